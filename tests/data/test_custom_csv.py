"""CSV files and lists of a user: what is read, and one sentence with the line for each error."""

from pathlib import Path

import pytest
from PIL import Image

from sigma_bench.data.annotations import VideoLabels
from sigma_bench.data.custom_csv import read_csv


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
        ("path,split\na.png,train\n", "line 1: the header lacks label"),
        ("path,label,split\na.png,run,train\nb.png,,test\n", "line 3: the field 'label' is empty"),
        ("path,label,split\na.png,run,train\nb.png,run\n", "line 3: the number of fields differs"),
        ("path,label,split\na.png,run,train\nb.png,run,test,x,y\n", "line 3: the number of fields differs"),
        (
            "path,label,split\na.png,run,valid\n",
            "line 2: split 'valid' is not one of train, val, validation, test, all",
        ),
        ("path,label,split\na.txt,run,train\n", "line 2: 'a.txt' is neither a video nor an image"),
        ("path,label,split\na.png,run,train\n", "needs a train split and a test or val split"),
        ("path,label,split\na.png,run,train\na.png,run,train\nb.png,run,test\n", "lists 'a.png' twice"),
        ("path,label,split\na.png,run,train\nb.png,Run,test\n", "'Run' is in test and not in train, so it could"),
        ("path,label,split\na.png,run,train\n./a.png,run,test\n", "'a.png' and './a.png' are the same file"),
        ("path,path,label,split\na.png,b.png,run,train\n", "line 1: the header names path twice"),
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


def test_blanks_around_the_names_of_columns_do_not_count(tmp_path: Path) -> None:
    manifest = read_csv(write(tmp_path, "path, label ,split  \na.png, run,train  \nb.png,run,test\n"))
    assert [(s.id, s.label) for split in manifest.splits.values() for s in split.samples] == [
        ("a.png", 0),
        ("b.png", 0),
    ]


def test_composed_and_separate_accents_are_one_class(tmp_path: Path) -> None:
    manifest = read_csv(write(tmp_path, "path,label,split\na.png,caf\u00e9,train\nb.png,cafe\u0301,test\n"))
    assert manifest.classes == ("caf\u00e9",)
    with pytest.raises(ValueError, match="line 2: the label 'caf\u00e9' occurs twice"):
        read_csv(write(tmp_path, "path,label\na.png,caf\u00e9;cafe\u0301\nb.png,x\n"))


def test_composed_and_separate_accents_are_one_group(tmp_path: Path) -> None:
    manifest = read_csv(write(tmp_path, "path,label,group\na.png,x,Zo\u00eb\nb.png,x,Zoe\u0308\n"))
    assert {sample.group for sample in manifest.splits["all"].samples} == {"Zo\u00eb"}


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("paht,label,split\na.png,run,train\n", "line 1: the header lacks path; expected path,label"),
        ("path,label,GROUP\na.png,run,x\n", "line 1: the column 'GROUP' is not read; call it 'group'"),
        ("path,label,spilt\na.png,run,train\n", "line 1: the column 'spilt' is not read; call it 'split'"),
        ("a.png,run,train\n", "line 1: the header lacks path, label"),
        ("a.png 0\nb.png run\n", "line 2: expected a path and an integer label, got 'b.png run'"),
        ("a.png 0\nb 1\n", "line 2: 'b' is neither a video nor an image by its suffix, nor a folder of frames"),
        ("a.mp4 30 0\n", "line 1: 'path num_frames label' is for folders of frames"),
        ("path,label\na.png,run;;walk\n", "line 2: a label between ';' is empty"),
        ("path,label\na.png,run;run\n", "line 2: the label 'run' occurs twice"),
        ("path,masks\na.png,m\n", "line 2: masks belong to a folder of frames, but 'a.png' is a image"),
        ("path,label,split\na.png,run,val\nb.png,run,test\n", "needs a train split and a test or val split"),
        ("path,label\n", "lists no files"),
        ("path,label\na.png,;\n", "no sample has a label"),
    ],
)
def test_a_bad_list_is_named_with_its_line(tmp_path: Path, text: str, sentence: str) -> None:
    path = write(tmp_path, text)
    with pytest.raises(ValueError, match=r"list\.csv") as caught:
        read_csv(path)
    assert sentence in str(caught.value)


def test_a_list_without_a_header_has_integer_classes_in_numeric_order(tmp_path: Path) -> None:
    rows = ["a.png 2", "b.png, 10", "my clip, one.mp4 0", "", "c.png\t2", *(f"{n}.mp4 {n}" for n in (1, *range(3, 10)))]
    manifest = read_csv(write(tmp_path, "\n".join(rows)))
    assert manifest.classes == tuple(map(str, range(11)))
    assert [(s.id, s.label, s.group, s.media) for s in manifest.splits["all"].samples[:4]] == [
        ("a.png", 2, "a.png", "image"),
        ("b.png", 10, "b.png", "image"),
        ("my clip, one.mp4", 0, "my clip, one.mp4", "video"),
        ("c.png", 2, "c.png", "image"),
    ]


def test_folders_of_frames_may_be_listed_with_their_number(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for folder, frames in (("clip 1", 2), ("clip 2", 3)):
        (tmp_path / folder).mkdir()
        for number in range(frames):
            Image.new("RGB", (4, 4)).save(tmp_path / folder / f"{number}.png")
    samples = read_csv(write(tmp_path, "clip 1 2 7\nclip 2 7\n")).splits["all"].samples
    assert [(s.id, s.media, s.label) for s in samples] == [("clip 1", "frame_folder", 0), ("clip 2", "frame_folder", 0)]
    assert not caplog.text
    read_csv(write(tmp_path, "clip 1 2 7\nclip 2 9 7\n"))
    assert "1 folders hold another number of frames than listed (first 'clip 2')" in caplog.text


@pytest.mark.parametrize("name", ["val", "validation"])
def test_val_is_reported_unless_there_is_test(tmp_path: Path, caplog: pytest.LogCaptureFixture, name: str) -> None:
    text = f"split,group,label,path\ntrain,g1,run,a.png\n{name},g2,run,b.png\n"
    splits = read_csv(write(tmp_path, text)).splits
    assert {split: [s.id for s in part.samples] for split, part in splits.items()} == {
        "train": ["a.png"],
        "test": ["b.png"],
    }
    assert "val (1 samples) is reported as the test split" in caplog.text
    splits = read_csv(write(tmp_path, f"{text}test,g3,run,c.png\n")).splits
    assert [s.id for s in splits["test"].samples] == ["c.png"] and len(splits) == 2
    assert "val (1 samples) is neither trained on nor reported" in caplog.text


@pytest.mark.parametrize("header", ["", "path,label\n"])
def test_a_folder_of_lists_has_a_split_per_file(tmp_path: Path, header: str) -> None:
    with pytest.raises(ValueError, match=r"expected train.csv, and val.csv or test.csv, in this folder; found nothing"):
        read_csv(tmp_path)
    write(tmp_path, "")
    (tmp_path / "train.csv").write_text(f"{header}a.png,3\nb.png,1\n")
    (tmp_path / "val.csv").write_text(f"{header}c.png,3\n")
    manifest = read_csv(tmp_path)
    assert manifest.dataset == tmp_path.name and manifest.classes == ("1", "3")
    assert [(s.id, s.label) for s in manifest.splits["train"].samples] == [("a.png", 1), ("b.png", 0)]
    assert [(s.id, s.label) for s in manifest.splits["test"].samples] == [("c.png", 1)]
    (tmp_path / "val.csv").write_text("path,label,split\nc.png,3,test\n")
    with pytest.raises(ValueError, match=r"val\.csv: line 1: the name of this file is its split; remove the column"):
        read_csv(tmp_path)


def test_several_labels_of_a_sample_make_the_data_multi_label(tmp_path: Path) -> None:
    text = "path,label,split\na.png,run; wave,train\nb.png,;,train\nc.png,wave,test\nd.png,run,test\n"
    manifest = read_csv(write(tmp_path, text))
    assert manifest.classes == ("run", "wave")
    found = [(s.label, s.annotation) for split in manifest.splits.values() for s in split.samples]
    assert found == [(None, VideoLabels(labels)) for labels in ((0, 1), (), (1,), (0,))]
    with pytest.raises(ValueError, match="the class 'wave' is in test and not in train"):
        read_csv(write(tmp_path, text.replace("run; wave", "run")))
