"""Layouts and names of common copies of the datasets are read, or refused with what was found."""

import csv
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from sigma_bench.data.datasets import open_dataset
from sigma_bench.data.decoder import DecodeError
from sigma_bench.data.inventory import take_inventory
from sigma_bench.data.manifest import Manifest, Split
from sigma_bench.data.media_opening import open_media
from sigma_bench.data.sequences import MaskedSequence
from sigma_bench.evaluation.session import open_session
from sigma_bench.models.zoo import load_encoder
from sigma_bench.specs.catalogue import load_dataset, load_task, resolve
from sigma_bench.specs.dataset import DatasetCard, SplitSpec


def opened(root: Path, name: str) -> Manifest:
    return open_dataset(load_dataset(name), root)


def rows(split: Split, root: Path) -> list[tuple[str, int | None, str]]:
    return [(s.id, s.label, s.path.relative_to(root).as_posix()) for s in split.samples]


def write(path: Path, content: str | bytes = b"x") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def picture(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (4, 4)).save(path, format="JPEG")
    return path


@pytest.fixture
def copy_of(world: Path, tmp_path: Path):
    def copied(name: str) -> Path:
        home = load_dataset(name).home
        shutil.copytree(world / home, tmp_path / home)
        return tmp_path / home

    return copied


def same(one: Manifest, other: Manifest) -> bool:
    return one.classes == other.classes and all(
        [(s.id, s.label, s.group) for s in one.splits[name].samples]
        == [(s.id, s.label, s.group) for s in other.splits[name].samples]
        for name in one.splits
    )


@pytest.mark.parametrize("folder", ["labels", "annotations", ""])
def test_ssv2_under_the_names_of_the_present_download(copy_of, world: Path, folder: str) -> None:
    home = copy_of("ssv2")
    (home / folder).mkdir(exist_ok=True)
    for path in list((home / "labels").glob("*.json")):
        path.rename(home / folder / path.name.removeprefix("something-something-v2-"))
    assert same(opened(home.parent, "ssv2"), opened(world, "ssv2"))
    (home / folder / "validation.json").unlink()
    with pytest.raises(ValueError, match=r"validation.json: this official file is missing; in .* found .*labels.json"):
        opened(home.parent, "ssv2")


def test_ssv2_without_lists_says_what_was_looked_for_and_found(tmp_path: Path) -> None:
    write(tmp_path / "ssv2" / "labels" / "readme.txt")
    with pytest.raises(
        ValueError,
        match=r"labels/something-something-v2-labels.json: this official file is missing \(or labels.json\); in "
        r".*labels found readme.txt; in .*ssv2 found labels",
    ):
        opened(tmp_path, "ssv2")


@pytest.mark.parametrize("folder", ["20bn-something-something-v2", "videos"])
def test_bare_names_are_looked_up_in_the_official_folder(tmp_path: Path, folder: str) -> None:
    home = tmp_path / "ssv2"
    for name in ("1.webm", "2.MP4"):
        write(home / folder / name)
    write(home / "train.csv", "1.mp4 146\n")
    write(home / "val.csv", "2.mp4 3\n")
    splits = opened(tmp_path, "ssv2").splits
    assert rows(splits["train"], home) == [("1", 146, f"{folder}/1.webm")]
    assert rows(splits["test"], home) == [("2", 3, f"{folder}/2.MP4")]


@pytest.mark.parametrize(
    ("train", "test", "ids"),
    [
        (["p/0001.mp4 0", "q/0001.mp4 5"], ["p/0002.mp4 0"], ["p/0001", "q/0001", "p/0002"]),
        (["train/1.mp4 0"], ["val/1.mp4 0"], ["train/1", "val/1"]),
        (["a/rgb 9 0", "b/rgb 9 0"], ["c/rgb 9 1"], ["a/rgb", "b/rgb", "c/rgb"]),
        (["./p//1.mp4,0"], ["q/../q/1.mp4,1"], ["p/1", "q/1"]),
    ],
)
def test_ids_and_groups_of_lists_of_paths_are_the_paths(
    tmp_path: Path, train: list[str], test: list[str], ids: list[str]
) -> None:
    write(tmp_path / "kinetics400" / "train.csv", "\n".join(train))
    write(tmp_path / "kinetics400" / "val.csv", "\n".join(test))
    samples = [s for split in opened(tmp_path, "kinetics400").splits.values() for s in split.samples]
    assert [s.id for s in samples] == [s.group for s in samples] == ids


def test_ids_do_not_depend_on_where_the_files_of_absolute_paths_lie(tmp_path: Path) -> None:
    found = []
    for place in ("one", "two/deeper"):
        root = tmp_path / place / "root"
        for split, number in (("train", 1), ("val", 2)):
            video = write(tmp_path / place / "store" / split / f"{number}.mp4")
            write(root / "kinetics400" / f"{split}.csv", f"{video} 3\n")
        found.append([s.id for split in opened(root, "kinetics400").splits.values() for s in split.samples])
    assert found == [["train/1", "val/2"]] * 2


def test_suffixes_are_read_in_any_case_and_of_every_container(tmp_path: Path) -> None:
    home = tmp_path / "kinetics400"
    for name in ("a.MP4", "b.mov", "c.M4V", "d.WebM"):
        write(home / "v" / name)
    write(home / "train.csv", "v/a.MP4 0\nv/b.mov 1\nv/c.m4v 2\n")
    write(home / "val.csv", "v/d.mp4 0\n")
    splits = opened(tmp_path, "kinetics400").splits
    assert rows(splits["train"], home) == [("v/a", 0, "v/a.MP4"), ("v/b", 1, "v/b.mov"), ("v/c", 2, "v/c.M4V")]
    assert rows(splits["test"], home) == [("v/d", 0, "v/d.WebM")]


SPELLINGS = {
    "as it is": lambda label: label,
    "underscores": lambda label: label.replace(" ", "_"),
    "torchvision": lambda label: label.replace(" ", "_").replace("'", "").replace("(", "").replace(")", ""),
    "hyphens": lambda label: label.replace(" ", "-").replace("(", "").replace(")", ""),
}


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_kinetics_classes_are_found_however_tools_spell_their_folders(tmp_path: Path, spelling: str) -> None:
    home = tmp_path / "kinetics400"
    labels = ["massaging person's head", "shaking hands", "skiing (not slalom or crosscountry)", "skiing crosscountry"]
    for name in ("train", "val"):
        lines = [
            f"{label},{name[0] * 10}{number},{number},{number + 10},{name},0" for number, label in enumerate(labels)
        ]
        write(
            home / f"kinetics-400_{name}.csv", "\n".join(["label,youtube_id,time_start,time_end,split,is_cc", *lines])
        )
        for number, label in enumerate(labels):
            file = f"{name[0] * 10}{number}_{number:06d}_{number + 10:06d}.mp4"
            write(home / name / SPELLINGS[spelling](label) / file)
    manifest = open_dataset(load_dataset("kinetics400").model_copy(update={"class_map_sha256": None}), tmp_path)
    assert [len(split.missing) for split in manifest.splits.values()] == [0, 0]
    assert {s.path.parent.name for s in manifest.splits["test"].samples} == {SPELLINGS[spelling](one) for one in labels}


@pytest.mark.parametrize("names", [("train_element_v1.0", "val_element"), ("train_element_v1.1", "val_element_v1.1")])
def test_finegym_under_the_names_of_its_site(copy_of, world: Path, names: tuple[str, str]) -> None:
    annotations = copy_of("finegym_gym99") / "annotations"
    for short, name in zip(("train", "val"), names, strict=True):
        (annotations / f"gym99_{short}.txt").rename(annotations / f"gym99_{name}.txt")
    assert same(opened(annotations.parents[1], "finegym_gym99"), opened(world, "finegym_gym99"))
    shutil.copyfile(annotations / f"gym99_{names[0]}.txt", annotations / "gym99_train_element_v9.9.txt")
    with pytest.raises(ValueError, match=r"gym99_train_element_v9.9.txt are versions of one list; keep one of them"):
        opened(annotations.parents[1], "finegym_gym99")


@pytest.mark.parametrize("name", ["davis2016", "davis2017"])
def test_davis_with_and_without_its_folder(copy_of, world: Path, name: str) -> None:
    home = copy_of(name)
    for path in list((home / "DAVIS").iterdir()):
        path.rename(home / path.name)
    (home / "DAVIS").rmdir()
    manifest = opened(home.parent, name)
    assert same(manifest, opened(world, name))
    assert not any(split.missing for split in manifest.splits.values())


@pytest.mark.parametrize("mode", ["LA", "RGB", "RGBA", "1"])
def test_masks_of_another_mode_among_those_of_davis_2016_change_no_id(copy_of, world: Path, mode: str) -> None:
    home = copy_of("davis2016")
    sample, before = (opened(root, "davis2016").splits["test"].samples[0] for root in (home.parent, world))
    assert sample.mask_folder is not None
    path = sorted(sample.mask_folder.glob("*.png"))[1]
    Image.open(path).convert("L").convert(mode).save(path)
    assert np.array_equal(MaskedSequence(sample).masks(range(4)), MaskedSequence(before).masks(range(4)))


@pytest.mark.parametrize(
    "name", ["ucf101", "hmdb51", "ucfrep", "imagenet1k", "davis2017", "youtube_vos", "kinetics400"]
)
def test_entries_of_the_system_are_no_data_anywhere(copy_of, world: Path, name: str) -> None:
    home = copy_of(name)
    for folder in [home, *(path for path in home.rglob("*") if path.is_dir())]:
        for path in [path for path in folder.iterdir() if path.is_file()][:2]:
            write(folder / f"._{path.name}", b"\x00\x05\x16\x07Mac OS X")
            write(folder / ".ipynb_checkpoints" / path.name)
            write(folder / "@eaDir" / path.name)
        write(folder / ".DS_Store")
        write(folder / "Thumbs.db")
    found, official = opened(home.parent, name), opened(world, name)
    assert same(found, official)
    for sample in [split.samples[0] for split in found.splits.values()]:
        if sample.mask_folder is not None:
            assert len(MaskedSequence(sample)) > 1
        assert len(open_media(sample)) > 0


def imagenet(root: Path, layout: str) -> Path:
    """Three images of two classes in train and three in val; the development kit numbers the classes the other way."""
    home = root / "imagenet1k"
    data = home / "ILSVRC/Data/CLS-LOC" if layout == "kaggle" else home
    for wnid in ("n01", "n02"):
        for number in (1, 2):
            picture(data / "train" / wnid / f"{number}.JPEG")
    truth = {"ILSVRC2012_val_00000001": "n02", "ILSVRC2012_val_00000002": "n01", "ILSVRC2012_val_00000003": "n02"}
    place = data / ("validation" if layout == "validation" else "val")
    for image, wnid in truth.items():
        picture(place / ("" if layout in ("kit", "kaggle") else wnid) / f"{image}.JPEG")
    if layout == "kaggle":
        answers = [f"{image},{wnid} 1 2 3 4 {wnid} 5 6 7 8" for image, wnid in reversed(truth.items())]
        write(home / "LOC_val_solution.csv", "\n".join(["ImageId,PredictionString", *answers]))
    if layout == "kit":
        kit = home / "ILSVRC2012_devkit_t12" / "data"
        write(kit / "ILSVRC2012_validation_ground_truth.txt", "1\n2\n1\n")
        kinds = [("ILSVRC2012_ID", "i4"), ("WNID", "O"), ("words", "O"), ("num_children", "i4")]
        savemat(
            kit / "meta.mat", {"synsets": np.array([(1, "n02", "b", 0), (2, "n01", "a", 0), (3, "n9", "c", 2)], kinds)}
        )
    return home


@pytest.mark.parametrize("layout", ["folders", "validation", "kit", "kaggle"])
def test_imagenet_has_the_same_samples_in_every_layout(tmp_path: Path, layout: str) -> None:
    imagenet(tmp_path, layout)
    manifest = opened(tmp_path, "imagenet1k")
    assert manifest.classes == ("n01", "n02")
    train, test = manifest.splits["train"], manifest.splits["test"]
    assert [(s.id, s.label) for s in train.samples] == [
        *(("train/n01/1", 0), ("train/n01/2", 0), ("train/n02/1", 1), ("train/n02/2", 1)),
    ]
    assert {(s.id, s.label) for s in test.samples} == {
        ("val/n02/ILSVRC2012_val_00000001", 1),
        ("val/n01/ILSVRC2012_val_00000002", 0),
        ("val/n02/ILSVRC2012_val_00000003", 1),
    }
    assert not train.missing + test.missing


def test_imagenet_numbered_per_class_has_no_image_twice(tmp_path: Path) -> None:
    for path in ("train/n01/1.JPEG", "train/n02/1.JPEG", "val/n01/1.JPEG", "val/n02/1.JPEG"):
        picture(tmp_path / "imagenet1k" / path)
    samples = [s for split in opened(tmp_path, "imagenet1k").splits.values() for s in split.samples]
    assert len({s.id for s in samples}) == len({s.group for s in samples}) == 4


def test_imagenet_without_labels_for_a_flat_val_names_what_would_do(tmp_path: Path) -> None:
    home = imagenet(tmp_path, "kit")
    shutil.rmtree(home / "ILSVRC2012_devkit_t12" / "data")
    with pytest.raises(
        ValueError, match=r"val: there are no folders of classes here .* \(neither LOC_val_solution.csv nor ILSV"
    ):
        opened(tmp_path, "imagenet1k")


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ("empty class", r"train/n02: no images of this class; found nothing"),
        ("other classes", r"'n03' is in val and not in train \(1 such folders\)"),
        ("two names", r"both val/ and validation/ are here; keep the one that is right"),
        ("archives", r"train: there is no such folder; in .* found ILSVRC2012_img_train.tar, .*: unpack the archives"),
        ("archives of classes", r"train: expected a folder per class; found n01.tar, n02.tar: unpack the archives"),
    ],
)
def test_what_is_wrong_with_imagenet_is_named(tmp_path: Path, change: str, sentence: str) -> None:
    home = imagenet(tmp_path, "folders")
    if change == "empty class":
        for path in (home / "train" / "n02").iterdir():
            path.unlink()
    if change == "other classes":
        picture(home / "val" / "n03" / "1.JPEG")
    if change == "two names":
        (home / "validation").mkdir()
    if change.startswith("archives"):
        shutil.rmtree(home / "train")
        names = ("ILSVRC2012_img_train.tar",) if change == "archives" else ("train/n01.tar", "train/n02.tar")
        for name in names:
            write(home / name)
    with pytest.raises(ValueError, match=sentence):
        opened(tmp_path, "imagenet1k")


def trimmed(home: Path) -> int:
    """The mini Kinetics with a list shortened by three test videos, and the number of videos left."""
    path = home / "kinetics-400_val.csv"
    with path.open(newline="") as stream:
        listed = list(csv.DictReader(stream))
    path.write_text("\n".join(path.read_text().splitlines()[:-3]) + "\n")
    for row in listed[-3:]:
        for video in home.rglob(f"{row['youtube_id']}_*"):
            video.unlink()
    return len(listed) - 3


def test_missing_videos_name_the_ways_out(copy_of) -> None:
    home = copy_of("kinetics400")
    first = opened(home.parent, "kinetics400").splits["test"].samples[0]
    first.path.unlink()
    split = opened(home.parent, "kinetics400").splits["test"]
    with pytest.raises(
        ValueError,
        match=r"mp4: not found; 1 of the 16 files that the test list names are missing: fetch them, or count them as "
        r"wrong, or remove them from the list \(for an official list, declare the new length in declared.json\)",
    ):
        split.require_present("count them as wrong")


def test_a_shortened_list_can_be_declared_complete(copy_of) -> None:
    home = copy_of("kinetics400")
    card = load_dataset("kinetics400")
    left = trimmed(home)
    assert not take_inventory(card, home.parent).is_complete
    write(home / "declared.json", json.dumps({"kinetics400": {"train": 32, "test": left}}))
    inventory = take_inventory(card, home.parent)
    assert inventory.is_complete
    assert inventory.manifest is not None
    assert {n: (s.expected, s.official) for n, s in inventory.manifest.splits.items()} == {
        "train": (32, 32),
        "test": (left, left + 3),
    }
    card = load_encoder("statistics:mini_videomae").card
    session = open_session(card, resolve(load_task("kinetics400/knn")), inventory.manifest, seed=0)
    assert session.data_identity().splits["test"].official == left + 3


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("[", "not valid JSON"),
        ("[]", "expected numbers of samples by dataset and split, such as "),
        ('{"kinetics": {"train": 1, "test": 1}}', "there is no dataset 'kinetics'. Did you mean 'kinetics400'"),
        ('{"kinetics400": {"train": 1}}', "expected one positive number for each split of kinetics400, such as "),
        ('{"kinetics400": {"train": 32, "test": true}}', "expected one positive number for each split"),
        (
            '{"kinetics400": {"train": 32, "test": 9}}',
            "lists 16 samples, but declared.json declares 9; correct one of them",
        ),
    ],
)
def test_a_wrong_declaration_is_one_sentence(copy_of, content: str, sentence: str) -> None:
    home = copy_of("kinetics400")
    write(home / "declared.json", content)
    with pytest.raises(ValueError) as caught:
        opened(home.parent, "kinetics400")
    assert sentence in str(caught.value)


def test_a_declaration_is_for_the_datasets_that_it_names(copy_of) -> None:
    home = copy_of("ucf101")
    write(home / "declared.json", '{"ucfrep": {"train": 1, "test": 1}}')
    assert {split.official for split in opened(home.parent, "ucf101").splits.values()} == {None}


def test_an_image_of_cifar_is_its_own_group_whatever_its_name(copy_of, world: Path) -> None:
    """Two official file names of CIFAR-100 occur in both splits."""
    manifest = opened(world, "cifar100")
    samples = [sample for split in manifest.splits.values() for sample in split.samples]
    assert len({sample.group for sample in samples}) == len(samples)
    assert not any(sample.group == Path(sample.id).name for sample in samples)


def test_frames_and_masks_named_alike_are_paired(copy_of) -> None:
    home = copy_of("davis2017")
    sample = opened(home.parent, "davis2017").splits["test"].samples[0]
    expected = MaskedSequence(sample).masks(range(3))
    assert sample.mask_folder is not None
    for folder in (sample.path, sample.mask_folder):
        for number, path in enumerate(sorted(folder.iterdir())):
            path.rename(folder / f"frame_{2 * number + 1}{path.suffix}")  # not padded, with gaps
    assert np.array_equal(MaskedSequence(sample).masks(range(3)), expected)
    for path in sorted(sample.mask_folder.iterdir())[:1]:
        path.rename(path.with_name("img_99.png"))
    with pytest.raises(DecodeError, match="frames are named in two ways"):
        MaskedSequence(replace(sample))


@pytest.fixture
def folders_of_gestures(tmp_path: Path) -> Path:
    """Nine images of three classes in the layout of ImageNet; one name is misspelt."""
    for name, numbers in {"nod": "012", "wave": "34", "wvae": "5"}.items():
        for number in numbers:
            write(tmp_path / "imagenet1k" / "train" / name / f"{number}.JPEG")
        write(tmp_path / "imagenet1k" / "val" / name / "0.JPEG")
    return tmp_path


def card_of(classes: int, train: int = 6) -> DatasetCard:
    splits = {"train": SplitSpec(samples=train), "test": SplitSpec(samples=3)}
    return load_dataset("imagenet1k").model_copy(update={"classes": classes, "splits": splits})


def test_more_classes_than_those_of_the_card_are_refused_and_the_rarest_is_named(folders_of_gestures: Path) -> None:
    assert opened_as(card_of(3), folders_of_gestures) == 3
    words = (
        r"imagenet1k: imagenet1k has 3 classes here, but its card states 2 \(the rarest, 'wvae', has 2 of the samples\)"
    )
    with pytest.raises(ValueError, match=words):
        opened_as(card_of(2), folders_of_gestures)
    with pytest.raises(ValueError, match="has 3 classes here, but its card states 2"):
        opened_as(card_of(2, train=9), folders_of_gestures)


def test_fewer_classes_are_those_of_a_copy_with_fewer_samples(folders_of_gestures: Path) -> None:
    with pytest.raises(ValueError, match="has 3 classes here, but its card states 5; correct the class names"):
        opened_as(card_of(5), folders_of_gestures)
    assert opened_as(card_of(5, train=9), folders_of_gestures) == 3
    declaration = folders_of_gestures / "imagenet1k" / "declared.json"
    declaration.write_text('{"imagenet1k": {"train": 6, "test": 3}}')
    assert opened_as(card_of(5, train=9), folders_of_gestures) == 3
    declaration.unlink()
    (folders_of_gestures / "imagenet1k" / "miniworld.json").write_text(
        '{"samples": {"imagenet1k": {"train": 6, "test": 3}}}'
    )
    assert opened_as(card_of(5), folders_of_gestures) == opened_as(card_of(2), folders_of_gestures) == 3


def opened_as(card: DatasetCard, root: Path) -> int:
    return len(open_dataset(card, root).classes or ())
