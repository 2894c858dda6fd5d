"""Folders of a user: a folder per class, or frames and masks; and one sentence for each error."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sigma_bench.data.custom_csv import read_csv
from sigma_bench.data.custom_folders import read_class_folders, read_folders
from sigma_bench.data.datasets import open_dataset
from sigma_bench.data.sequences import MaskedSequence
from sigma_bench.specs.catalogue import load_dataset


def test_class_folders_with_and_without_splits(tmp_path: Path) -> None:
    for place in ("train/run", "test/run", "train/walk"):
        (tmp_path / "split" / place).mkdir(parents=True)
        Image.new("RGB", (4, 4)).save(tmp_path / "split" / place / "1.png")
    (tmp_path / "flat" / "run").mkdir(parents=True)
    Image.new("RGB", (4, 4)).save(tmp_path / "flat" / "run" / "1.png")
    split = read_class_folders(tmp_path / "split")
    assert {name: len(part.samples) for name, part in split.splits.items()} == {"train": 2, "test": 1}
    assert list(read_class_folders(tmp_path / "flat").splits) == ["all"]
    (tmp_path / "split" / "more" / "run").mkdir(parents=True)
    Image.new("RGB", (4, 4)).save(tmp_path / "split" / "more" / "run" / "1.png")
    with pytest.raises(ValueError, match=r"more/run/1\.png: is in none of the folders train, test"):
        read_class_folders(tmp_path / "split")


def picture(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (4, 4)).save(path, format="PNG")


def ids_of(root: Path) -> list[str]:
    return [sample.id for split in read_class_folders(root).splits.values() for sample in split.samples]


def test_links_to_class_folders_are_followed_and_loops_end(tmp_path: Path) -> None:
    """One of four class folders and three of twelve files are links."""
    for place in ("root/run", "root/walk", "elsewhere/jump", "elsewhere/files"):
        for number in range(2):
            picture(tmp_path / place / f"{number}.png")
    (tmp_path / "root" / "jump").symlink_to(tmp_path / "elsewhere" / "jump")
    (tmp_path / "root" / "walk" / "2.png").symlink_to(tmp_path / "elsewhere" / "files" / "0.png")
    (tmp_path / "root" / "walk" / "again").symlink_to(tmp_path / "root")
    assert ids_of(tmp_path / "root") == [
        *("jump/0.png", "jump/1.png", "run/0.png", "run/1.png", "walk/0.png", "walk/1.png", "walk/2.png"),
    ]
    (tmp_path / "root" / "lost").symlink_to(tmp_path / "nowhere")
    with pytest.raises(ValueError, match=r"root/lost: this link leads to .*nowhere, which is not there"):
        ids_of(tmp_path / "root")


def test_a_link_to_another_class_is_one_file_under_two_names(tmp_path: Path) -> None:
    picture(tmp_path / "run" / "1.png")
    (tmp_path / "walk").symlink_to(tmp_path / "run")
    with pytest.raises(ValueError, match=r"'run/1.png' and 'walk/1.png' are the same file; list it once"):
        ids_of(tmp_path)


@pytest.mark.parametrize("name", [".ipynb_checkpoints", "@eaDir", "__MACOSX", ".Trash-0"])
def test_folders_and_files_of_the_system_are_no_class_and_no_image(tmp_path: Path, name: str) -> None:
    for place in ("run/1.png", "walk/1.png", f"{name}/1.png", f"{name}/run/1.png", f"walk/{name}/2.png", "run/._1.png"):
        picture(tmp_path / place)
    for place in (".DS_Store", "run/Thumbs.db", "run/.DS_Store"):
        (tmp_path / place).write_bytes(b"x")
    manifest = read_class_folders(tmp_path)
    assert manifest.classes == ("run", "walk")
    assert ids_of(tmp_path) == ["run/1.png", "walk/1.png"]


@pytest.mark.parametrize("splits", [("",), ("train", "test")])
def test_an_empty_class_folder_is_named(tmp_path: Path, splits: tuple[str, ...]) -> None:
    for split in splits:
        for label in ("run", "walk"):
            picture(tmp_path / split / label / f"{split}1.png")
    (tmp_path / splits[0] / "jump").mkdir()
    (tmp_path / splits[0] / "jump" / "notes.txt").write_text("x")
    with pytest.raises(
        ValueError, match=r"jump: this class folder contains no video or image; add some, or move it out"
    ):
        read_class_folders(tmp_path)


def test_files_that_are_not_read_are_counted_in_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for label in ("run", "walk"):
        picture(tmp_path / label / "1.png")
    (tmp_path / "run" / "a.xyz").write_text("x")
    (tmp_path / "run" / "B.XYZ").write_text("x")
    (tmp_path / "run" / "c.MOV").write_text("x")
    assert ids_of(tmp_path) == ["run/1.png", "run/c.MOV", "walk/1.png"]
    assert "files that are neither videos nor images are not read (2 of .xyz)" in caplog.text


def test_a_folder_whose_name_is_not_text_is_named(tmp_path: Path) -> None:
    picture(tmp_path / "data" / "good" / "1.png")
    picture(tmp_path / "data" / "bad\udce9" / "2.png")
    with pytest.raises(ValueError, match=r"bad\\udce9/2\.png': this name is not text in UTF-8"):
        read_class_folders(tmp_path / "data")


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("run;walk", r"run;walk: ';' separates the labels of a sample"),
        (";", r"/;: ';' separates the labels of a sample"),
        ("a\nb", r"a\\nb/1\.png': this name holds a control character"),
        ("\x1b[31mred", r"\\x1b\[31mred/1\.png': this name holds a control character"),
    ],
)
def test_a_class_folder_whose_name_cannot_be_one_label_is_named(tmp_path: Path, name: str, sentence: str) -> None:
    picture(tmp_path / "good" / "1.png")
    picture(tmp_path / name / "1.png")
    with pytest.raises(ValueError, match=sentence):
        read_class_folders(tmp_path)


def test_val_folders_are_reported_as_test(tmp_path: Path) -> None:
    for place in ("train/run/1", "val/run/2"):
        picture(tmp_path / f"{place}.png")
    splits = read_folders(tmp_path).splits
    assert {name: [s.id for s in part.samples] for name, part in splits.items()} == {
        "train": ["train/run/1.png"],
        "test": ["val/run/2.png"],
    }


@pytest.mark.parametrize("dataset", ["davis2016", "davis2017"])
@pytest.mark.parametrize("layout", ["folders", "csv"])
def test_masks_of_a_user_are_those_of_the_official_reader(
    world: Path, tmp_path: Path, dataset: str, layout: str
) -> None:
    """DAVIS-2016 has black and white masks, DAVIS-2017 has ids; the number of objects is not the same."""
    official = open_dataset(load_dataset(dataset), world)
    samples = sorted((s for split in official.splits.values() for s in split.samples), key=lambda sample: sample.id)
    home = samples[0].path.parents[2]
    if layout == "csv":
        (tmp_path / "list.csv").write_text(
            "\n".join(["masks,path", *(f"{sample.mask_folder},{sample.path}" for sample in samples)])
        )
        found = read_csv(tmp_path / "list.csv")
    else:
        found = read_folders(home)
    assert found.classes is None and list(found.splits) == ["all"]
    for own, expected in zip(found.splits["all"].samples, samples, strict=True):
        assert own.path == expected.path and own.mask_kind == expected.mask_kind
        mine, theirs = MaskedSequence(own), MaskedSequence(expected)
        index = list(range(len(theirs)))
        np.testing.assert_array_equal(mine.masks(index), theirs.masks(index))


def sequence(root: Path, name: str, *values: int, masks: str = "masks") -> None:
    """A frame and a mask for each value, which one pixel of the mask has."""
    for number, value in enumerate(values):
        picture(root / "frames" / name / f"{number}.png")
        mask = np.zeros((4, 4), np.uint8)
        mask[0, 0] = value
        (root / masks / name).mkdir(parents=True, exist_ok=True)
        Image.fromarray(mask).save(root / masks / name / f"{number}.png")


def test_white_is_an_object_only_if_all_masks_are_black_and_white(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    sequence(tmp_path, "a", 0, 255)
    (sample,) = read_folders(tmp_path).splits["all"].samples
    assert (sample.id, sample.group, sample.mask_kind) == ("frames/a", "frames/a", "binary")
    assert "the masks are black and white; white is one object, not void" in caplog.text
    sequence(tmp_path, "b", 0, 2)
    with pytest.raises(ValueError, match="'masks/a' are black and white and 'masks/b' hold object ids, so 255 may be"):
        read_folders(tmp_path)


def test_every_sequence_needs_frames_and_masks(tmp_path: Path) -> None:
    sequence(tmp_path, "a", 1)
    (tmp_path / "frames" / "b").mkdir()
    with pytest.raises(ValueError, match=r"masks/b: this folder is missing; every sequence needs frames and masks"):
        read_folders(tmp_path)
    (tmp_path / "frames" / "b").rmdir()
    sequence(tmp_path, "c", 1, masks="Annotations")
    (tmp_path / "frames").rename(tmp_path / "JPEGImages")
    sequence(tmp_path, "a", 1, masks="Annotations_unsupervised")
    with pytest.raises(ValueError, match="holds the masks Annotations and Annotations_unsupervised"):
        read_folders(tmp_path)
