"""Images of every kind, folders of frames, and masks."""

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sigma_bench.data.decoder import DecodeError
from sigma_bench.data.images import FrameFolderDecoder, numbered_files, read_image


def test_grey_palette_alpha_and_sixteen_bits_are_rgb_of_the_same_picture(tmp_path: Path) -> None:
    grey_HW = np.arange(0, 240, 10, dtype=np.uint8).reshape(4, 6)
    grey = Image.fromarray(grey_HW)
    opaque = grey.convert("RGBA")
    for name, image in {"L": grey, "P": grey.convert("P"), "RGBA": opaque, "LA": grey.convert("LA")}.items():
        image.save(tmp_path / f"{name}.png")
        assert np.array_equal(read_image(tmp_path / f"{name}.png"), np.repeat(grey_HW[..., None], 3, 2)), name
    Image.fromarray(grey_HW.astype(np.uint16) * 257).save(tmp_path / "I16.png")
    assert np.array_equal(read_image(tmp_path / "I16.png"), np.repeat(grey_HW[..., None], 3, 2))


def test_cmyk_is_converted_and_exif_turns_the_picture(tmp_path: Path) -> None:
    Image.new("CMYK", (16, 16), (0, 255, 255, 0)).save(tmp_path / "red.jpg")
    assert np.abs(read_image(tmp_path / "red.jpg").astype(int) - (255, 0, 0)).max() < 20
    picture = Image.fromarray(np.zeros((8, 16, 3), np.uint8))
    picture.paste((255, 255, 255), (0, 0, 8, 8))
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned a quarter clockwise
    picture.save(tmp_path / "turned.png", exif=exif)
    turned = read_image(tmp_path / "turned.png")
    assert turned.shape == (16, 8, 3)
    assert turned[:8].min() == 255
    assert turned[8:].max() == 0


@pytest.mark.parametrize("content", [b"", b"text", b"\x89PNG\r\n\x1a\n" + b"\x00" * 40])
def test_what_is_not_an_image_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(DecodeError, match=r"a\.png: not an image"):
        read_image(tmp_path / "a.png")


def blank(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (4, 4)).save(path, format="PNG")


@pytest.mark.parametrize(
    "names",
    [
        ("frame000002.jpg", "frame000010.jpg"),
        ("img_00002.jpeg", "img_00010.jpeg"),
        ("AB12C_000002.jpg", "AB12C_000010.jpg"),
        ("AB12C-000002.PNG", "AB12C-000010.PNG"),
        ("Image-2.jpg", "Image-10.jpg"),
        ("2.JPG", "10.jpg"),
    ],
)
def test_frames_are_read_in_the_order_of_their_numbers_under_every_common_name(
    tmp_path: Path, names: tuple[str, ...]
) -> None:
    folder = tmp_path / "AB12C"
    for name in (*names, "flow_x_00003.jpg", "cover.jpg", "._frame000003.jpg", "Thumbs.db", "@eaDir/1.jpg"):
        blank(folder / name)
    assert [path.name for path in FrameFolderDecoder(folder).paths] == list(names)


@pytest.mark.parametrize(
    ("names", "sentence"),
    [
        (("img_10.png", "frame_11.png"), "frames are named in two ways ('frame_11.png', 'img_10.png')"),
        (("1.png", "00001.png"), "two files have the same frame number ('00001.png', '1.png')"),
        (("1.png", "1.jpg"), "two files have the same frame number ('1.jpg', '1.png')"),
        (("flow_x_1.png",), "no numbered frames (.jpg, .jpeg, .png, .bmp, .webp, .tif, .tiff) in this folder; found f"),
    ],
)
def test_ambiguous_frames_are_refused(tmp_path: Path, names: tuple[str, ...], sentence: str) -> None:
    for name in names:
        blank(tmp_path / "f" / name)
    with pytest.raises(DecodeError, match=re.escape(sentence)):
        FrameFolderDecoder(tmp_path / "f")
    with pytest.raises(DecodeError, match="this folder of frames is missing"):
        FrameFolderDecoder(tmp_path / "none")


def test_a_folder_named_by_a_number_does_not_hide_a_part_of_the_frame_number(tmp_path: Path) -> None:
    for name in ("7_000002.jpg", "7_000010.jpg"):
        blank(tmp_path / "7" / name)
    assert [path.name for path in numbered_files(tmp_path / "7", (".jpg",))] == ["7_000002.jpg", "7_000010.jpg"]
    for name in ("70.png", "71.png", "8.png"):
        blank(tmp_path / "7" / name)
    assert [path.name for path in numbered_files(tmp_path / "7", (".png",))] == ["8.png", "70.png", "71.png"]


def test_frame_folders_follow_the_numbers_not_the_alphabet(tmp_path: Path) -> None:
    for number in (0, 5, 10, 100):
        Image.fromarray(np.full((8, 8, 3), number, np.uint8)).save(tmp_path / f"{number}.png")
    assert [path.stem for path in numbered_files(tmp_path, (".png",))] == ["0", "5", "10", "100"]
    assert FrameFolderDecoder(tmp_path).frames([3])[0, 0, 0, 0] == 100
