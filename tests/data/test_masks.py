"""Masks in every mode: ids if the meaning is unambiguous, one sentence if it is not."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sigma_bench.data.decoder import DecodeError
from sigma_bench.data.masks import MaskFolder
from sigma_bench.palette import voc_palette

OBJECT = np.array([[0, 1, 0], [1, 1, 0]], np.uint8)
IDS = np.array([[0, 1, 2], [1, 1, 0]], np.uint8)


def coloured(ids_HW: np.ndarray, *colours: tuple[int, ...]) -> np.ndarray:
    return np.array(colours, np.uint8)[ids_HW]


def saved(path: Path, pixels: np.ndarray | Image.Image) -> Path:
    path.parent.mkdir(exist_ok=True)
    (pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)).save(path)
    return path


def palette_mask(ids_HW: np.ndarray, palette: np.ndarray) -> Image.Image:
    image = Image.fromarray(ids_HW, mode="P")
    image.putpalette(palette.ravel().tolist())
    return image


@pytest.mark.parametrize(
    "pixels",
    [
        OBJECT * 255,
        OBJECT,
        OBJECT.astype(bool),
        OBJECT.astype(np.uint16) * 65535,
        coloured(OBJECT, (0, 255), (255, 255)),
        coloured(OBJECT, (0, 0), (255, 255)),
        coloured(OBJECT, (0, 0, 0), (255, 255, 255)),
        coloured(OBJECT, (0, 0, 0), (0, 0, 7)),
        coloured(OBJECT, (0, 0, 0, 255), (200, 0, 0, 255)),
        coloured(OBJECT, (0, 0, 0, 0), (200, 0, 0, 255)),
        palette_mask(OBJECT, np.array([[9, 9, 9], [0, 0, 0]])),
    ],
    ids=["L 255", "L 1", "1", "I;16", "LA", "LA clear", "RGB", "RGB blue", "RGBA", "RGBA clear", "P"],
)
def test_anything_but_black_is_the_object_of_a_binary_mask(tmp_path: Path, pixels: np.ndarray | Image.Image) -> None:
    path = saved(tmp_path / "m" / "00000.png", pixels)
    mask = MaskFolder(path.parent, "binary").read(path)
    assert mask.dtype == np.uint8
    assert mask.tolist() == OBJECT.tolist()


@pytest.mark.parametrize(
    "pixels",
    [
        IDS,
        IDS.astype(np.uint16),
        coloured(IDS, (0, 255), (1, 255), (2, 255)),
        coloured(IDS, (0, 0, 0), (1, 1, 1), (2, 2, 2)),
        voc_palette()[IDS],
        coloured(IDS, (0, 0, 0), (236, 95, 103), (249, 145, 87)),
        coloured(IDS, (0, 0, 0), (0, 255, 0), (255, 0, 0)),
        coloured(IDS, (0, 0, 0, 0), (0, 255, 0, 255), (255, 0, 0, 255)),
        palette_mask(IDS, np.array([[9, 9, 9], [0, 0, 0], [1, 2, 3]])),
    ],
    ids=["L", "I;16", "LA", "RGB grey", "RGB of DAVIS", "RGB of YouTube-VOS", "RGB", "RGBA", "P"],
)
def test_ids_are_read_from_every_form_with_one_value_or_colour_per_object(
    tmp_path: Path, pixels: np.ndarray | Image.Image
) -> None:
    path = saved(tmp_path / "m" / "00000.png", pixels)
    assert MaskFolder(path.parent, "ids").read(path).tolist() == IDS.tolist()


def test_one_colour_is_one_object_in_all_masks_of_a_sequence(tmp_path: Path) -> None:
    red, green, grey = (255, 0, 0), (0, 255, 0), (130, 130, 130)
    for number, colours in enumerate([(green, red), (red, green), (grey, grey)]):
        saved(tmp_path / "m" / f"{number}.png", coloured(IDS, (0, 0, 0), *colours))
    masks = MaskFolder(tmp_path / "m", "ids")
    swapped = np.array([[0, 3, 1], [3, 3, 0]])
    found = [masks.read(path) for path in masks.paths.values()]
    assert found[0].tolist() == np.where(IDS == 2, 3, IDS).tolist()
    assert found[1].tolist() == swapped.tolist()
    assert found[2].tolist() == (OBJECT * 2 + (IDS == 2) * 2).tolist(), "grey among colours is a colour"


def test_a_mask_in_colour_means_what_the_palette_of_the_others_says(tmp_path: Path) -> None:
    palette = np.array([[0, 0, 0], [10, 0, 0], [0, 10, 0], [0, 0, 10]])
    saved(tmp_path / "m" / "0.png", palette_mask(IDS, palette))
    path = saved(tmp_path / "m" / "1.png", coloured(IDS, (0, 0, 0), (0, 0, 10), (10, 0, 0)))
    assert MaskFolder(path.parent, "ids", names_matter=True).read(path).tolist() == [[0, 3, 1], [3, 3, 0]]
    saved(path, coloured(IDS, (0, 0, 0), (128, 0, 0), (0, 128, 0)))
    with pytest.raises(DecodeError, match="they are not those of the palette of the other masks"):
        MaskFolder(path.parent, "ids").read(path)


@pytest.mark.parametrize(
    ("pixels", "sentence"),
    [
        (coloured(IDS, (0, 0, 0), (255, 0, 0), (120, 0, 0)), r"the colour \(120, 0, 0\) lies between two others"),
        (coloured(IDS, (9, 0, 0), (255, 0, 0), (0, 200, 0)), "there is no black background"),
        (coloured(OBJECT, (0, 0, 0), (255, 255, 255)), "white may be an object or void"),
        (coloured(OBJECT, (0, 255), (255, 255)), "white may be an object or void"),
        (coloured(OBJECT, (0, 0, 0, 255), (255, 0, 0, 100)), "transparent pixels that are not black"),
        (coloured(OBJECT, (5, 0, 0, 0), (255, 0, 0, 255)), "transparent pixels that are not black"),
        (IDS.astype(np.uint16) * 300, "ids are 0 to 255"),
        (np.arange(3 * 400, dtype=np.uint8).reshape(20, 20, 3), "its masks have 256 colours"),
    ],
)
def test_masks_without_a_clear_meaning_are_refused(tmp_path: Path, pixels: np.ndarray, sentence: str) -> None:
    path = saved(tmp_path / "m" / "00000.png", pixels)
    with pytest.raises(DecodeError, match=sentence):
        MaskFolder(path.parent, "ids").read(path)


def test_new_colours_are_no_ids_where_an_annotation_names_ids(tmp_path: Path) -> None:
    path = saved(tmp_path / "m" / "00000.png", coloured(IDS, (0, 0, 0), (0, 255, 0), (255, 0, 0)))
    with pytest.raises(DecodeError, match="the annotation names ids and the colours are not those of a known palette"):
        MaskFolder(path.parent, "ids", names_matter=True).read(path)


def test_what_is_no_mask_is_named(tmp_path: Path) -> None:
    path = tmp_path / "m" / "00000.png"
    path.parent.mkdir()
    Image.fromarray(OBJECT * 255).save(path, format="JPEG")
    with pytest.raises(DecodeError, match=r"00000\.png: a mask cannot be a JPEG in mode L; store object ids as PNG"):
        MaskFolder(path.parent, "binary").read(path)
    path.write_bytes(b"text")
    with pytest.raises(DecodeError, match=r"00000\.png: not a mask that can be decoded"):
        MaskFolder(path.parent, "ids").read(path)
