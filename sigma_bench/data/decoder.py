"""The interface of decoders, which return frames of an open video, image or folder of frames by index.

Shapes: T frames, H W pixels, C colours; uint8 RGB.
"""

from collections.abc import Sequence
from typing import Literal, Protocol

import numpy as np

DECODER_RULE = 1
"""Version of the rule that chooses a file's decoder.

It is raised whenever that choice or a decoded pixel changes.  It is part of the identity of data, so results under the
previous version are not used again.
"""
DecoderName = Literal["decord", "pyav", "pyav_sequential"]
"""Decoder of a video: decord, PyAV from the nearest safe packet, or PyAV counting from the start of the file."""


class DecodeError(ValueError):
    """A file cannot be decoded; the message names it."""


class Decoder(Protocol):
    """An open video, image or folder of frames; its length is the number of frames."""

    def __len__(self) -> int: ...

    def frames(self, indices: Sequence[int]) -> np.ndarray:
        """Frames (T, H, W, C) at the given indices, in their order; an index may occur more than once."""
        ...
