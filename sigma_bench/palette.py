"""The PASCAL VOC palette, which DAVIS masks are stored with and clusters are drawn with."""

import numpy as np
from numpy.typing import NDArray


def voc_palette() -> NDArray[np.uint8]:
    """The 256 colours, (256, 3): bits of the id, distributed over the channels from the highest bit."""
    ids = np.arange(256)
    palette = np.zeros((256, 3), np.uint8)
    for bit in range(8):
        for channel in range(3):
            palette[:, channel] |= (((ids >> (3 * bit + channel)) & 1) << (7 - bit)).astype(np.uint8)
    return palette


def tint(frame_THWC: np.ndarray, label_THW: np.ndarray, opacity: float) -> np.ndarray:
    """Frames (T, H, W, 3) uint8 with the VOC colour of every label but 0 blended over them."""
    colour_THWC = voc_palette()[label_THW]
    weight = np.where(label_THW == 0, 0.0, opacity)[..., None]
    blended: np.ndarray = np.rint(frame_THWC * (1 - weight) + colour_THWC * weight)
    return blended.astype(np.uint8)
