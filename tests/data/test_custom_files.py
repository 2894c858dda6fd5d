"""CSV files and class folders of a user: what is read, and one sentence with the line for each error."""

from pathlib import Path

import pytest
from PIL import Image

from sigma_bench.data.custom_csv import read_csv
from sigma_bench.data.custom_folders import read_class_folders


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


def test_blanks_around_the_names_of_columns_do_not_count(tmp_path: Path) -> None:
    manifest = read_csv(write(tmp_path, "path, label ,split  \na.png, run,train  \nb.png,run,test\n"))
    assert [(s.id, s.label) for split in manifest.splits.values() for s in split.samples] == [
        ("a.png", 0),
        ("b.png", 0),
    ]


def test_composed_and_separate_accents_are_one_class(tmp_path: Path) -> None:
    manifest = read_csv(write(tmp_path, "path,label,split\na.png,caf\u00e9,train\nb.png,cafe\u0301,test\n"))
    assert manifest.classes == ("caf\u00e9",)


def test_a_folder_whose_name_is_not_text_is_named(tmp_path: Path) -> None:
    picture(tmp_path / "data" / "good" / "1.png")
    picture(tmp_path / "data" / "bad\udce9" / "2.png")
    with pytest.raises(ValueError, match=r"bad\\udce9/2\.png': this name is not text in UTF-8"):
        read_class_folders(tmp_path / "data")
