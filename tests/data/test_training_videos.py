"""Custom videos for pretraining: which files of a CSV, a list or a folder are used, and one sentence for each error."""

from pathlib import Path

import pytest

from sigma_bench.data.training_videos import TrainingVideos, open_training_videos


def write(folder: Path, text: str, *videos: str) -> Path:
    for name in videos:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(name.encode())
    path = folder / "clips.csv"
    path.write_text(text, encoding="utf-8")
    return path


def ids(videos: TrainingVideos) -> list[str]:
    assert list(videos.manifest.splits) == ["train"]
    samples = videos.manifest.splits["train"].samples
    assert all(sample.label is None for sample in samples)
    return [sample.id for sample in samples]


@pytest.mark.parametrize(
    ("text", "used"),
    [
        ("path\na.mp4\nb c.avi\n", ["a.mp4", "b c.avi"]),
        ("label, path ,split\nrun,a.mp4,train\nrun,x.mp4,val\nrun,b c.avi,train\n", ["a.mp4", "b c.avi"]),
        ('path,label\n"a.mp4",run\nb c.avi,\n', ["a.mp4", "b c.avi"]),
        ("path,label,split\na.mp4,run,all\nb c.avi,walk,all\n", ["a.mp4", "b c.avi"]),
        ("a.mp4\r\nb c.avi\r\n\r\n", ["a.mp4", "b c.avi"]),
        ("a.mp4 0\nb c.avi 17\n", ["a.mp4", "b c.avi"]),
        ("a.mp4,0\nb c.avi,-1", ["a.mp4", "b c.avi"]),
        ("\ufeffa.mp4\t3\n", ["a.mp4"]),
    ],
)
def test_the_videos_of_a_csv_or_list(tmp_path: Path, text: str, used: list[str]) -> None:
    videos = open_training_videos(csv=write(tmp_path, text, *used))
    assert ids(videos) == used and videos.manifest.dataset == "clips"
    assert [sample.path for sample in videos.manifest.splits["train"].samples] == [tmp_path / name for name in used]


def test_videos_of_other_splits_are_counted(tmp_path: Path) -> None:
    rows = ["path,split", "a.mp4,train", *(f"t{number}.mp4,test" for number in range(3)), "v.mp4,validation"]
    videos = open_training_videos(csv=write(tmp_path, "\n".join(rows)))
    assert videos.left_out == {"test": 3, "validation": 1}
    assert str(videos) == "1 videos of clips are used; 3 of the split test and 1 of the split validation are left out"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("path,path\na.mp4,b.mp4\n", "line 1: the header names path twice"),
        ("path,label\na.mp4\n", "line 2: the number of fields differs"),
        ("path,label\n,run\n", "line 2: the field 'path' is empty"),
        ("path,split\na.mp4,train\nb.mp4,tst\n", "line 3: split 'tst' is not one of train, all, test, val, validation"),
        ("path,split\na.mp4,test\n", "no videos for pretraining here; its splits are test, and pretraining uses train"),
        ("", "there are no videos for pretraining here"),
        ("a.mp4\nb.jpg\n", "line 2: 'b.jpg' is not a video by its suffix"),
        (
            "file,label\na.mp4,run\n",
            "line 1: 'file,label' is not a video by its suffix; a CSV has a header with the col",
        ),
        ("a.mp4\nb\x07.mp4\n", "line 2: the path holds a control character"),
        ("a.mp4\n" + "b" * 5000 + ".mp4\n", "line 2: the path is longer than 4096 characters"),
        ("a.mp4 1\na.mp4 2\n", "lists 'a.mp4' twice"),
        ("a.mp4\n./a.mp4\n", "'a.mp4' and './a.mp4' are the same file"),
        ("path,Split\na.mp4,train\nb.mp4,test\n", "line 1: the column 'Split' is not read; call it 'split'"),
        ("path,SPLIT\na.mp4,train\nb.mp4,test\n", "line 1: the column 'SPLIT' is not read; call it 'split'"),
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, text: str, sentence: str) -> None:
    path = write(tmp_path, text, "a.mp4")
    with pytest.raises(ValueError, match=r"clips\.csv") as caught:
        open_training_videos(csv=path)
    assert sentence in str(caught.value)


def test_a_folder_needs_no_class_folders_and_its_other_files_are_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write(tmp_path, "", "a.mp4", "deep/er/b.MOV", "deep/cover.jpg", ".hidden/c.mp4")
    videos = open_training_videos(folders=tmp_path)
    assert ids(videos) == ["a.mp4", "deep/er/b.MOV"] and videos.manifest.dataset == tmp_path.name
    assert "files that are not videos are not read (1 of .csv, 1 of .jpg)" in caplog.text


def test_a_folder_with_train_and_test_gives_its_train_videos(tmp_path: Path) -> None:
    write(tmp_path, "", "train/x/a.mp4", "test/x/b.mp4", "val/c.mp4", "train/d.mp4")
    videos = open_training_videos(folders=tmp_path)
    assert ids(videos) == ["train/d.mp4", "train/x/a.mp4"]
    assert videos.left_out == {"test": 1, "val": 1}


def test_one_source_is_named(tmp_path: Path) -> None:
    for given in ({}, {"csv": tmp_path / "a.csv", "folders": tmp_path}):
        with pytest.raises(ValueError, match="give --csv or --folders"):
            open_training_videos(**given)
    with pytest.raises(ValueError, match="there is no such CSV file or list"):
        open_training_videos(csv=tmp_path / "a.csv")
    with pytest.raises(ValueError, match="there is no such folder"):
        open_training_videos(folders=tmp_path / "a")


def test_a_file_whose_name_holds_a_control_character_is_named(tmp_path: Path) -> None:
    write(tmp_path, "", "good.mp4", "a\nb.mp4")
    with pytest.raises(ValueError, match=r"a\\nb\.mp4': this name holds a control character"):
        open_training_videos(folders=tmp_path)


def test_the_name_of_a_folder_of_lists_is_that_of_the_data(tmp_path: Path) -> None:
    write(tmp_path, "", "a.mp4").rename(tmp_path / "train.csv")
    (tmp_path / "train.csv").write_text("a.mp4 0\n")
    videos = open_training_videos(csv=tmp_path)
    assert ids(videos) == ["a.mp4"] and videos.manifest.dataset == tmp_path.name
