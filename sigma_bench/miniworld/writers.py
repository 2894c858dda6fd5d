"""Writing frames of the mini world to encoded files: AVI (MPEG-4), WebM (VP9), MP4 (H.264), JPEG and palette PNG."""

import json
from pathlib import Path
from typing import Any, cast

import av
import numpy as np
from PIL import Image

from sigma_bench.palette import voc_palette
from sigma_bench.records.store import write_atomically

FRAMES_PER_SECOND = 12
_AVI_INDEX = {"reserve_index_space": "16"}
"""Reserves 16 bytes for an index of parts; by default FFmpeg leaves 4 KiB of every file empty."""
_CODECS = {
    ".avi": ("mpeg4", {"qmin": "5", "qmax": "5", "flags": "+bitexact", "bf": "0"}),
    ".webm": ("libvpx-vp9", {"crf": "30", "b": "0", "deadline": "realtime", "cpu-used": "8", "threads": "1"}),
    ".mp4": ("libx264", {"crf": "20", "preset": "veryfast", "threads": "1", "bf": "0"}),
}


def write_video(path: Path, frame_THWC: np.ndarray) -> None:
    """Encode uint8 RGB frames (T, H, W, 3) in the container of the suffix; equal frames give equal bytes."""
    codec, options = _CODECS[path.suffix]
    path.parent.mkdir(parents=True, exist_ok=True)
    layout = {"fflags": "+bitexact"} | (_AVI_INDEX if path.suffix == ".avi" else {})
    with av.open(str(path), "w", options=layout) as container:
        stream = cast(av.VideoStream, container.add_stream(codec, rate=FRAMES_PER_SECOND, options=options))
        stream.height, stream.width = frame_THWC.shape[1:3]
        stream.pix_fmt = "yuv420p"
        stream.codec_context.thread_count = 1
        for image in frame_THWC:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode())


def write_jpeg(path: Path, image_HWC: np.ndarray) -> None:
    """Encode one uint8 RGB image as JPEG at quality 95."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image_HWC).save(path, quality=95)


def write_palette_mask(path: Path, mask_HW: np.ndarray) -> None:
    """Write object ids as a palette PNG in the colours of PASCAL VOC, as in DAVIS."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(mask_HW, mode="P")
    image.putpalette(voc_palette().ravel().tolist())
    image.save(path)


def write_json(path: Path, content: Any) -> None:
    """Write JSON with one value per line."""
    write_atomically(path, json.dumps(content, indent=0).encode())
