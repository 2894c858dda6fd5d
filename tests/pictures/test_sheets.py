"""Sheets put pictures where they belong, say in form what they say in colour, and keep their words in the file."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageColor

from sigma_bench.pictures.saved_pictures import load_pictures, save_picture
from sigma_bench.pictures.sheets import GAP, GROUP_GAP, MARK, OTHER, SAME, Picture, PictureRow, sheet

GREY = np.full((10, 10, 3), 128, np.uint8)


def colours(image: Image.Image) -> set[tuple[int, ...]]:
    return set(map(tuple, np.asarray(image).reshape(-1, 3).tolist()))


def test_pictures_stand_in_rows_and_columns_with_gaps() -> None:
    red, blue = (np.full((10, 20, 3), colour, np.uint8) for colour in ((255, 0, 0), (0, 0, 255)))
    image = np.asarray(sheet([PictureRow(("a",), tuple(map(Picture, (red, blue, red))))] * 2, height=30, gaps=[1]))
    is_blue = (image == (0, 0, 255)).all(2)
    is_red = (image == (255, 0, 0)).all(2)
    assert is_blue.sum() == 2 * 30 * 60 and is_red.sum() == 4 * 30 * 60
    (left,), (right,) = (np.flatnonzero(np.diff(is_blue.any(0).astype(int)) == step) for step in (1, -1))
    starts = np.flatnonzero(np.diff(is_red.any(0).astype(int)) == 1)
    assert (left - starts[0], starts[1] - right) == (60 + GAP, GROUP_GAP)


def test_same_and_other_differ_in_form_not_in_colour_alone() -> None:
    same, other = (sheet([PictureRow(("a",), (Picture(GREY, is_same=flag),))], height=60) for flag in (True, False))
    assert ImageColor.getrgb(SAME) in colours(same) and ImageColor.getrgb(OTHER) in colours(other)
    corners = ((np.asarray(image)[GAP : GAP + MARK, -60 - GAP :][:, :MARK] == 255).all(2) for image in (same, other))
    tick, cross = corners
    assert tick.any() and cross.any() and (tick != cross).mean() > 0.1
    plain = colours(sheet([PictureRow(("a",), (Picture(GREY),))], height=60))
    assert not {ImageColor.getrgb(SAME), ImageColor.getrgb(OTHER)} & plain


def test_a_box_lies_round_its_part() -> None:
    image = np.asarray(
        sheet([PictureRow(("a",), (Picture(np.zeros((10, 10, 3), np.uint8), boxes=((2, 3, 5, 7),)),))], height=100)
    )
    cell = (image[GAP : GAP + 100, -100 - GAP : -GAP] == 255).all(2)
    rows, columns = np.flatnonzero(cell.any(1)), np.flatnonzero(cell.any(0))
    assert (rows[0], rows[-1], columns[0], columns[-1]) == (29, 70, 19, 50)


def test_squares_stay_squares_where_values_are_shown() -> None:
    values = np.array([[[0, 0, 0], [200, 200, 200]]], np.uint8)
    exact, smooth = (colours(sheet([PictureRow((), (Picture(values),), flag)], height=40)) for flag in (False, True))
    assert exact == {(0, 0, 0), (200, 200, 200), (255, 255, 255)} and len(smooth) > 10


def test_long_words_wrap_once_and_are_cut() -> None:
    heights = [
        sheet([PictureRow(("a",), (Picture(GREY, (words,)),))], height=60).height
        for words in ("short", "two words here", "x " * 99)
    ]
    assert heights[0] < heights[1] == heights[2]


@pytest.mark.parametrize(
    "rows",
    [[], [PictureRow(("a",), ())], [PictureRow(("a",), (Picture(GREY),)), PictureRow(("b",), (Picture(GREY),) * 2)]],
)
def test_a_sheet_needs_equal_rows(rows: list[PictureRow]) -> None:
    with pytest.raises(ValueError, match="rows of equally many pictures"):
        sheet(rows, height=10)


def test_pictures_carry_their_words_and_others_are_left_alone(tmp_path: Path) -> None:
    image = Image.fromarray(GREY)
    save_picture(tmp_path / "b.png", image, "Head", "Größe ≥ 2")
    save_picture(tmp_path / "a.png", image, "Head", "first")
    save_picture(tmp_path / "c.png", image, "Other", "alone")
    image.save(tmp_path / "segmentation-1.png")
    found = load_pictures(tmp_path)
    assert {heading: [caption for caption, _ in shown] for heading, shown in found.items()} == {
        "Head": ["first", "Größe ≥ 2"],
        "Other": ["alone"],
    }
    assert found["Other"][0][1] == (tmp_path / "c.png").read_bytes()
    assert load_pictures(tmp_path / "not there") == {}
    (tmp_path / "d.png").write_text("no picture")
    with pytest.raises(ValueError, match=r"d\.png: not a PNG picture"):
        load_pictures(tmp_path)
