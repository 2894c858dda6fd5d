"""Stills of every kind, folders of frames and masks."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sigma_bench.data.decoder import DecodeError
from sigma_bench.data.images import FrameFolderDecoder, numbered_files, read_image, read_palette_mask


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
    for read in (read_image, read_palette_mask):
        with pytest.raises(DecodeError, match=r"a\.png: not a"):
            read(tmp_path / "a.png")


def test_frames_may_have_the_prefixes_that_datasets_have_and_no_other(tmp_path: Path) -> None:
    folder = tmp_path / "AB12C"
    folder.mkdir()
    for name in ("AB12C-000002", "AB12C-000010", "flow_x_00003"):
        Image.new("RGB", (4, 4)).save(folder / f"{name}.png")
    assert [path.stem for path in numbered_files(folder, (".png",))] == ["AB12C-000002", "AB12C-000010"]
    Image.new("RGB", (4, 4)).save(folder / "img_10.png")
    with pytest.raises(DecodeError, match="two files have the same frame number"):
        numbered_files(folder, (".png",))
    with pytest.raises(DecodeError, match="this folder of frames is missing"):
        FrameFolderDecoder(tmp_path / "none")


def test_frame_folders_follow_the_numbers_not_the_alphabet(tmp_path: Path) -> None:
    for number in (0, 5, 10, 100):
        Image.fromarray(np.full((8, 8, 3), number, np.uint8)).save(tmp_path / f"{number}.png")
    assert [path.stem for path in numbered_files(tmp_path, (".png",))] == ["0", "5", "10", "100"]
    assert FrameFolderDecoder(tmp_path).frames([3])[0, 0, 0, 0] == 100


def test_masks_keep_their_indices_and_colour_images_are_refused(tmp_path: Path) -> None:
    mask = Image.fromarray(np.array([[0, 1], [2, 255]], np.uint8), mode="P")
    mask.putpalette([0, 0, 0, 9, 9, 9] * 128)
    mask.save(tmp_path / "mask.png")
    assert read_palette_mask(tmp_path / "mask.png").tolist() == [[0, 1], [2, 255]]
    Image.new("RGB", (2, 2)).save(tmp_path / "colour.png")
    with pytest.raises(DecodeError, match="palette"):
        read_palette_mask(tmp_path / "colour.png")
