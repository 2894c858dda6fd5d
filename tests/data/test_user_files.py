"""A user's CSV and class folders: what is read, and one sentence with the line for what is wrong."""

from pathlib import Path

import pytest
from PIL import Image

from sigma_bench.data.readers.user_files import read_class_folders, read_csv


def write(folder: Path, text: str) -> Path:
    for name in ("a.png", "b.png", "c.png", "d.png"):
        Image.new("RGB", (4, 4)).save(folder / name)
    path = folder / "list.csv"
    path.write_text(text)
    return path


def test_a_csv_gives_samples_classes_groups_and_splits(tmp_path: Path) -> None:
    text = "path,label,split,group\na.png,run,train,ann\nb.png,walk,train,bob\nc.png,run,test,cid\n"
    manifest = read_csv(write(tmp_path, text))
    assert manifest.classes == ("run", "walk")
    assert [(s.id, s.label, s.group) for s in manifest.splits["train"].samples] == [
        ("a.png", 0, "ann"),
        ("b.png", 1, "bob"),
    ]
    assert [s.id for s in manifest.splits["test"].samples] == ["c.png"]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("path,label\na.png,run\n", "line 1: the header lacks split"),
        ("path,label,split\na.png,run,train\nb.png,,test\n", "line 3: the field 'label' is empty"),
        ("path,label,split\na.png,run,train\nb.png,run\n", "line 3: the number of fields differs"),
        ("path,label,split\na.png,run,train\nb.png,run,test,x,y\n", "line 3: the number of fields differs"),
        ("path,label,split\na.png,run,valid\n", "line 2: split 'valid' is not one of train, test, all"),
        ("path,label,split\na.txt,run,train\n", "line 2: 'a.txt' is neither a video nor an image"),
        ("path,label,split\na.png,run,train\n", "needs both a train and a test split"),
        ("path,label,split\na.png,run,train\na.png,run,train\nb.png,run,test\n", "lists 'a.png' twice"),
        ("path,label,split\na.png,run,train\nb.png,Run,test\n", "'Run' stands in test and not in train, so it could"),
        ("path,label,split\na.png,run,train\n./a.png,run,test\n", "'a.png' and './a.png' are the same file"),
    ],
)
def test_a_bad_csv_is_named_with_its_line(tmp_path: Path, text: str, sentence: str) -> None:
    path = write(tmp_path, text)
    with pytest.raises(ValueError, match=r"list\.csv") as caught:
        read_csv(path)
    assert sentence in str(caught.value)


def test_missing_files_are_listed_and_refused_where_every_one_must_count(tmp_path: Path) -> None:
    rows = "path,label,split\na.png,run,train\ny.png,run,test\nb.png,run,test\nz.png,run,test\n"
    split = read_csv(write(tmp_path, rows)).splits["test"]
    assert [sample.id for sample in split.missing] == ["y.png", "z.png"]
    with pytest.raises(ValueError, match=r"y\.png: not found; 2 of the 3 files that the test list names"):
        split.require_present()


def test_class_folders_with_and_without_splits(tmp_path: Path) -> None:
    for place in ("train/run", "test/run", "train/walk"):
        (tmp_path / "split" / place).mkdir(parents=True)
        Image.new("RGB", (4, 4)).save(tmp_path / "split" / place / "1.png")
    (tmp_path / "flat" / "run").mkdir(parents=True)
    Image.new("RGB", (4, 4)).save(tmp_path / "flat" / "run" / "1.png")
    split = read_class_folders(tmp_path / "split")
    assert {name: len(part.samples) for name, part in split.splits.items()} == {"train": 2, "test": 1}
    assert list(read_class_folders(tmp_path / "flat").splits) == ["all"]
    (tmp_path / "split" / "val" / "run").mkdir(parents=True)
    Image.new("RGB", (4, 4)).save(tmp_path / "split" / "val" / "run" / "1.png")
    with pytest.raises(ValueError, match=r"val/run/1\.png: lies in neither train nor test"):
        read_class_folders(tmp_path / "split")
