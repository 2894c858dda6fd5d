"""Size and normalisation of clips in the preprocessor configuration of a Hugging Face folder.

A preprocessor multiplies pixels of 0 to 255 by ``rescale_factor``, subtracts 1 if it has an ``offset`` (ViViT), and
normalises the result by mean and std.  Cards state mean and std for pixels of 0 to 1, so for ViViT the two steps are
mean .75 and std .25.  How a frame is resized before the crop is a property of protocols, and is not read.
"""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from sigma_bench.specs.untrusted import parse_json, read_bounded

MAX_BYTES = 16_000_000
"""Greatest size of a JSON file in a model folder."""
Colour = tuple[float, float, float]


class Preprocessing(NamedTuple):
    """Size of the crop in pixels (None if not stated), and mean and std of pixels of 0 to 1."""

    size: int | None
    mean: Colour
    std: Colour


def read_preprocessing(folder: Path, *, mean: Colour, std: Colour, has_offset: bool = False) -> Preprocessing:
    """What a folder states about clips.

    Args:
        mean, std: those of the preprocessor's class, for a folder that does not state them.
        has_offset: whether the preprocessor's class subtracts 1 before the normalisation.

    Raises:
        ValueError: a file is damaged, or states a crop that is not square or colours that are not three numbers.
    """
    where, stated = _stated(folder)
    factor = 255.0
    if stated.get("do_rescale", True):
        factor *= _number(stated.get("rescale_factor", 1 / 127.5 if has_offset else 1 / 255), "rescale_factor", where)
    else:
        has_offset = False
    offset = float(has_offset and bool(stated.get("offset", True)))
    if stated.get("do_normalize", True):
        mean = _colour(stated.get("image_mean", mean), "image_mean", where)
        std = _colour(stated.get("image_std", std), "image_std", where)
    else:
        mean, std = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
    if factor <= 0 or min(std) <= 0:
        raise ValueError(f"{where}: rescale_factor and image_std have to be above 0")
    crops = stated.get("do_center_crop", "crop_size" in stated) and stated.get("crop_size") is not None
    size = _side(stated.get("crop_size" if crops else "size"), where)
    return Preprocessing(
        size,
        (
            _rounded((mean[0] + offset) / factor),
            _rounded((mean[1] + offset) / factor),
            _rounded((mean[2] + offset) / factor),
        ),
        (_rounded(std[0] / factor), _rounded(std[1] / factor), _rounded(std[2] / factor)),
    )


def read_json(path: Path) -> dict[str, Any] | None:
    """The mapping in a JSON file; None if there is no such file.

    Raises:
        ValueError: the file cannot be read, is not JSON, or does not hold a mapping.
    """
    if not path.exists():
        return None
    found = read_bounded(path, MAX_BYTES)
    try:
        content = parse_json(found)
    except ValueError as error:
        raise ValueError(f"{path}: not valid JSON ({error})") from error
    if not isinstance(content, dict):
        raise ValueError(f"{path}: expected a mapping of settings")
    return content


def _stated(folder: Path) -> tuple[Path, Mapping[str, Any]]:
    """The file that describes the preprocessor of videos or images, in the order of transformers, and its content."""
    processor = folder / "processor_config.json"
    inner = read_json(processor) or {}
    for key in ("video_processor", "image_processor"):
        if isinstance(inner.get(key), dict):
            return processor, inner[key]
    for path in (folder / "video_preprocessor_config.json", folder / "preprocessor_config.json"):
        if (content := read_json(path)) is not None:
            return path, content
    return folder, {}


def _side(size: Any, where: Path) -> int | None:
    """The side of a square that is given as one number, as two, or as the shorter edge."""
    if isinstance(size, Mapping):
        size = [size[key] for key in ("height", "width", "shortest_edge") if size.get(key) is not None]
    sides = size if isinstance(size, list | tuple) else [size]
    if all(side is None for side in sides):
        return None
    side = sides[0]
    if any(other != side for other in sides) or isinstance(side, bool) or not isinstance(side, int) or side < 1:
        raise ValueError(f"{where}: states frames of size {size}; only square ones are supported")
    return side


def _colour(values: Any, key: str, where: Path) -> Colour:
    values = [values] * 3 if isinstance(values, int | float) else values
    if not isinstance(values, list | tuple) or len(values) != 3:
        raise ValueError(f"{where}: {key} must give one number for each of three colours")
    return (_number(values[0], key, where), _number(values[1], key, where), _number(values[2], key, where))


def _number(value: Any, key: str, where: Path) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"{where}: {key} must hold numbers; found {value!r}")
    return float(value)


def _rounded(value: float) -> float:
    """The value without the last digits, so that 255 / 255 is 1 and the mean .485 is .485."""
    return float(f"{value:.12g}")
