"""The official files of CIFAR: pickles whose content is checked before it is used.

Shapes: N images, P = 3 x 32 x 32 pixels and colours.
"""

from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from sigma_bench.data.decoder import DecodeError
from sigma_bench.data.plain_pickle import read_plain_pickle

MAX_BYTES = 1 << 30
"""The largest official file has 186 million bytes."""
NUM_PIXELS, NUM_CLASSES = 3 * 32 * 32, 100
_LONGEST_NAME = 255


@lru_cache(maxsize=4)
def read_cifar(path: Path) -> dict[str, Any]:
    """One of CIFAR's official pickles, as a dictionary with text keys.

    Returns:
        ``data`` is uint8 (N, 3072), ``filenames`` N names, ``fine_labels`` and ``coarse_labels`` N whole numbers
        from 0 to 99, ``fine_label_names`` and ``coarse_label_names`` distinct names.  Each key is present if the file
        has it.

    Raises:
        DecodeError: the file is not one of CIFAR's, or its content is wrong; names the file and the fault.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ValueError(f"more than {MAX_BYTES:,} bytes")
        content = read_plain_pickle(path.read_bytes())
        if not isinstance(content, dict) or not content:
            raise ValueError("no dictionary inside")
        return _checked(content)
    except OSError as error:
        raise DecodeError(f"{path}: cannot be read ({error.strerror})") from error
    except (ValueError, OverflowError, MemoryError) as error:
        raise DecodeError(f"{path}: not one of CIFAR's files ({str(error)[:200]}); download it again") from error


def _checked(content: dict[str, Any]) -> dict[str, Any]:
    """The content; ValueError if a key that this project reads has the wrong type, size or values."""
    for key in ("fine_label_names", "coarse_label_names"):
        if key in content:
            _require_names(key, content[key])
            if len(set(content[key])) < len(content[key]):
                raise ValueError(f"'{key}' names a class twice")
    if "data" not in content:
        return content
    pixel_NP = content["data"]
    is_right = isinstance(pixel_NP, np.ndarray) and pixel_NP.dtype == np.uint8
    if not is_right or pixel_NP.ndim != 2 or pixel_NP.shape[1] != NUM_PIXELS:
        raise ValueError(f"'data' is not an array of bytes with {NUM_PIXELS} columns")
    for key in ("fine_labels", "coarse_labels", "filenames"):
        if key in content and (not isinstance(content[key], list) or len(content[key]) != len(pixel_NP)):
            raise ValueError(f"'{key}' is not a list of {len(pixel_NP)} entries, one per row of 'data'")
    for key in ("fine_labels", "coarse_labels"):
        if not all(type(label) is int and 0 <= label < NUM_CLASSES for label in content.get(key, ())):
            raise ValueError(f"'{key}' holds something other than whole numbers from 0 to {NUM_CLASSES - 1}")
    _require_names("filenames", content.get("filenames", []))
    return content


def _require_names(key: str, names: object) -> None:
    """ValueError unless ``names`` is a list of printable names without path separators."""
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ValueError(f"'{key}' is not a list of names")
    for name in names:
        if not 0 < len(name) <= _LONGEST_NAME or not name.isprintable() or "/" in name or "\\" in name:
            raise ValueError(f"'{key}' holds {name[:60]!r}, which is not a plain name")
