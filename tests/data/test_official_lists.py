"""The official lists at full size: published counts, digests of the subsets, and real clips that are found."""

import csv
import hashlib
import json
import pickle
import shutil
import zipfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from ruamel.yaml import YAML
from scipy.io import loadmat

from sigma_bench.data.annotations import CycleBounds, neighbour_offsets
from sigma_bench.data.datasets import open_dataset
from sigma_bench.data.manifest import Manifest, shared_groups
from sigma_bench.data.readers.kinetics400 import letters_of
from sigma_bench.data.readers.youtube_vos import HELD_OUT
from sigma_bench.evaluation.requirements import require_disjoint
from sigma_bench.resources import declarations
from sigma_bench.specs.catalogue import load_dataset


@pytest.fixture
def root(shared_data: Path, tmp_path: Path) -> Path:
    """The lists at the places where their datasets have them, and the few real videos."""
    lists = shared_data / "lists"
    for name in ("ucf101", "finegym"):
        (tmp_path / name).mkdir()
    (tmp_path / "ucf101" / "ucfTrainTestlist").symlink_to(lists / "ucf101")
    (tmp_path / "ucf101" / "UCF-101").symlink_to(shared_data / "ucf101_clips")
    (tmp_path / "finegym" / "annotations").symlink_to(lists / "finegym")
    (tmp_path / "hmdb51").mkdir()
    (tmp_path / "hmdb51" / "testTrainMulti_7030_splits").symlink_to(lists / "hmdb51" / "testTrainMulti_7030_splits")
    return tmp_path


def counts(manifest: Manifest) -> tuple[int, ...]:
    return tuple(len(split.samples) for split in manifest.splits.values())


@pytest.mark.parametrize(
    ("name", "expected", "classes"),
    [
        ("ucf101", (9537, 3783), 101),
        ("ucf101_split2", (9586, 3734), 101),
        ("ucf101_split3", (9624, 3696), 101),
        ("ucf101_1k", (1010, 3783), 101),
        ("finegym_gym99", (20484, 8521), 99),
        ("finegym_fx_s1", (1882, 777), 11),
        ("finegym_ub_s1", (3511, 1471), 15),
        ("finegym_gym99_1k", (1089, 8521), 99),
        ("hmdb51", (3570, 1530), 51),
        ("hmdb51_split2", (3570, 1530), 51),
        ("hmdb51_split3", (3570, 1530), 51),
    ],
)
def test_counts_classes_and_groups(root: Path, name: str, expected: tuple[int, int], classes: int) -> None:
    card = load_dataset(name)
    manifest = open_dataset(card, root)
    assert counts(manifest) == expected == tuple(split.samples for split in card.splits.values())
    assert manifest.data_source == "official"
    assert len(manifest.classes or ()) == classes == card.classes
    for split in manifest.splits.values():
        assert {sample.label for sample in split.samples} == set(range(classes))
    assert not shared_groups(manifest.splits["train"], manifest.splits["test"])


def test_the_classes_of_the_two_fine_grained_sets_have_the_published_sizes(root: Path) -> None:
    sizes = {
        "finegym_fx_s1": (
            [286, 133, 376, 126, 192, 82, 72, 68, 86, 359, 102],
            [118, 55, 154, 52, 79, 34, 30, 28, 37, 147, 43],
        ),
        "finegym_ub_s1": (
            [276, 132, 727, 114, 324, 838, 76, 83, 72, 130, 102, 116, 161, 96, 264],
            [115, 55, 304, 49, 135, 351, 34, 35, 30, 55, 43, 48, 67, 40, 110],
        ),
    }
    for name, expected in sizes.items():
        for split, size in zip(open_dataset(load_dataset(name), root).splits.values(), expected, strict=True):
            found = Counter(sample.label for sample in split.samples)
            assert [found[label] for label in range(len(size))] == size


@pytest.mark.parametrize(
    ("name", "as_drawn", "as_sorted"),
    [
        ("ucf101_1k", "9d1cc0ebaf63243bbda15ed8c5b2c328", "7db616af150f1341f793c102ecdfda33"),
        ("finegym_gym99_1k", "20b72821254117fff7f916a2a102d619", "ec35b1943f18de567a077ca259c29246"),
    ],
)
def test_subsets_are_severes_sample_by_sample(root: Path, name: str, as_drawn: str, as_sorted: str) -> None:
    samples = open_dataset(load_dataset(name), root).splits["train"].samples
    if name == "ucf101_1k":
        rows = [f"{sample.path.parent.name}/{sample.id}.avi {sample.label}" for sample in samples]
    else:
        rows = [f"{sample.id}.avi {sample.label}" for sample in samples]
    digests = [hashlib.md5("\n".join(order).encode()).hexdigest() for order in (rows, sorted(rows))]
    assert digests == [as_drawn, as_sorted]


def test_a_missing_file_changes_no_subset(root: Path) -> None:
    before = open_dataset(load_dataset("ucf101_1k"), root).splits["train"].ids
    (root / "ucf101" / "UCF-101").unlink()
    (root / "ucf101" / "UCF-101").mkdir()
    assert open_dataset(load_dataset("ucf101_1k"), root).splits["train"].ids == before


def test_real_clips_are_found_under_their_official_names(root: Path, shared_data: Path) -> None:
    ucf = open_dataset(load_dataset("ucf101"), root).splits
    found = {name: len(split.samples) - len(split.missing) for name, split in ucf.items()}
    assert found == {"train": 12, "test": 7}
    for clip in (shared_data / "hmdb51_clips").glob("*.avi"):
        plain = clip.name.removeprefix("hmdb51_")
        label = "wave" if "_wave_" in plain else "cartwheel"
        folder = root / "hmdb51" / "hmdb51_org" / label
        folder.mkdir(parents=True, exist_ok=True)
        (folder / plain).symlink_to(clip)
    used = {
        sample.id
        for name in ("hmdb51", "hmdb51_split2", "hmdb51_split3")
        for split in open_dataset(load_dataset(name), root).splits.values()
        for sample in set(split.samples) - set(split.missing)
    }
    assert len(used) == 4, "one of them is in neither part of split 1"


def test_ssv2s_validation_list(shared_data: Path, tmp_path: Path) -> None:
    labels = tmp_path / "ssv2" / "labels"
    shutil.copytree(shared_data / "lists" / "ssv2", labels)
    validation = labels / "something-something-v2-validation.json"
    shutil.copyfile(validation, labels / "something-something-v2-train.json")  # the real one is not among these lists
    manifest = open_dataset(load_dataset("ssv2"), tmp_path)
    assert counts(manifest)[1] == 24777
    assert len({sample.label for sample in manifest.splits["test"].samples}) == 174
    first = manifest.splits["test"].samples[0]
    assert (first.id, (manifest.classes or ())[first.label or 0]) == (
        "74225",
        "Spinning something that quickly stops spinning",
    )


def test_kinetics_validation_list_and_its_class_map(shared_data: Path, tmp_path: Path) -> None:
    (tmp_path / "kinetics400").mkdir()
    for name in ("train", "val"):  # the real train list is not among these
        shutil.copyfile(
            shared_data / "lists/kinetics400/kinetics-400_val.csv", tmp_path / f"kinetics400/kinetics-400_{name}.csv"
        )
    manifest = open_dataset(load_dataset("kinetics400"), tmp_path)
    assert counts(manifest)[1] == 19906
    official = (shared_data / "lists/kinetics400/label_map_k400.txt").read_text().split("\n")
    assert list(manifest.classes or ()) == [line for line in official if line]


def test_every_spelling_of_a_class_of_kinetics_is_that_class_alone(shared_data: Path) -> None:
    """torchvision writes blanks as underscores and drops apostrophes and brackets, which ten of the classes have."""
    labels = (shared_data / "lists/kinetics400/label_map_k400.txt").read_text().splitlines()
    written = [label.replace(" ", "_").translate(str.maketrans("", "", "'()")) for label in labels]
    assert sum(label.replace(" ", "_") != name for label, name in zip(labels, written, strict=True)) == 10
    assert len({letters_of(label) for label in labels}) == 400
    assert [letters_of(label) for label in labels] == [letters_of(name) for name in written]


def youtube_ids(shared_data: Path, name: str) -> list[str]:
    return (shared_data / "lists/youtubevos" / name).read_text().split()


def test_splits_of_which_one_list_is_here_have_no_sample_twice_nor_in_another_list(shared_data: Path) -> None:
    """Lists whose other half did not come with them: SSv2, Kinetics, YouTube-VOS, DAVIS."""
    lists = shared_data / "lists"
    ssv2 = {
        part: [entry["id"] for entry in json.loads((lists / f"ssv2/something-something-v2-{part}.json").read_text())]
        for part in ("validation", "test")
    }
    assert {part: (len(ids), len(set(ids))) for part, ids in ssv2.items()} == {
        "validation": (24777, 24777),
        "test": (27157, 27157),
    }
    assert not set(ssv2["validation"]) & set(ssv2["test"])
    with (lists / "kinetics400/kinetics-400_val.csv").open() as stream:
        kinetics = [row["youtube_id"] for row in csv.DictReader(stream)]
    assert len(kinetics) == len(set(kinetics)) == 19906
    held_out = youtube_ids(shared_data, "ytvos_timet_val_ids.txt")
    assert len(held_out) == len(set(held_out)) == 695
    own = (declarations("tasks") / HELD_OUT).read_text().splitlines()
    assert {line for line in own if line and not line.startswith("#")} == set(held_out)
    assert not set(held_out) & set(youtube_ids(shared_data, "valid_list_2018.txt")), "train videos are no valid videos"
    sequences = YAML(typ="safe").load(lists / "davis/davis2017_db_info.yaml")["sequences"]
    by_set = {kind: [one["name"] for one in sequences if one["set"] == kind] for kind in ("train", "val", "test-dev")}
    assert {kind: len(names) for kind, names in by_set.items()} == {"train": 60, "val": 30, "test-dev": 30}
    assert len(set().union(*by_set.values())) == 120


def cifar(names: list[str], path: Path) -> None:
    """A file of CIFAR-100 with one black image for every name."""
    data = np.zeros((len(names), 3072), np.uint8)
    labels = [number % 100 for number in range(len(names))]
    path.write_bytes(
        pickle.dumps({"filenames": names, "fine_labels": labels, "coarse_labels": labels, "data": data}, protocol=2)
    )


def test_cifars_two_names_in_both_splits_are_four_images(tmp_path: Path) -> None:
    folder = tmp_path / "cifar100" / "cifar-100-python"
    folder.mkdir(parents=True)
    in_both = ["baby_s_000222.png", "girl_s_001234.png"]
    cifar([*in_both, *(f"train_{number}.png" for number in range(498))], folder / "train")
    cifar([*(f"test_{number}.png" for number in range(98)), *in_both], folder / "test")
    (folder / "meta").write_bytes(
        pickle.dumps({"fine_label_names": [str(number) for number in range(100)]}, protocol=2)
    )
    manifest = open_dataset(load_dataset("cifar100"), tmp_path)
    train, test = manifest.splits["train"], manifest.splits["test"]
    require_disjoint(manifest, train, test)
    assert not shared_groups(train, test)
    assert len({sample.group for sample in (*train.samples, *test.samples)}) == 600


def test_labels_in_another_order_are_noticed(root: Path) -> None:
    lists = root / "ucf101" / "ucfTrainTestlist"
    content = {path.name: path.read_text() for path in lists.iterdir()}
    lists.unlink()
    lists.mkdir()
    for name, text in content.items():
        (lists / name).write_text(text)
    swapped = (
        content["classInd.txt"]
        .replace("1 ApplyEyeMakeup", "1 Xpply", 1)
        .replace("2 ApplyLipstick", "2 ApplyEyeMakeup", 1)
    )
    (lists / "classInd.txt").write_text(swapped.replace("1 Xpply", "1 ApplyLipstick"))
    with pytest.raises(
        ValueError, match="the class names, in the order of their labels, are not the official ones of UCF101"
    ):
        open_dataset(load_dataset("ucf101"), root)


@pytest.fixture
def ucfrep(root: Path, shared_data: Path) -> Path:
    with zipfile.ZipFile(shared_data / "lists/ucfrep/ucf526_annotations.zip") as archive:
        archive.extractall(root / "ucf101" / "UCFRep")
    return root


def test_ucfrep_has_its_526_videos_and_regenerates_every_published_label(ucfrep: Path) -> None:
    manifest = open_dataset(load_dataset("ucfrep"), ucfrep)
    assert counts(manifest) == (421, 105)
    assert not shared_groups(manifest.splits["train"], manifest.splits["test"])
    num_labels = 0
    for split, folder in (("train", "train"), ("test", "val")):
        total = 0
        for sample in manifest.splits[split].samples:
            assert isinstance(sample.annotation, CycleBounds)
            total += sample.annotation.count
            path = ucfrep / "ucf101/UCFRep/annotations" / folder / f"{sample.id}.mat"
            label = loadmat(path, simplify_cells=True)["label"]
            published = [
                np.atleast_1d(label[key]).astype(int) for key in ("offset_next_estimate", "offset_pre_estimate")
            ]
            ours = neighbour_offsets(sample.annotation)
            assert all(np.array_equal(mine, theirs) for mine, theirs in zip(ours, published, strict=True)), sample.id
            num_labels += 2 * len(ours[0])
        assert split == "train" or total == 730
    assert num_labels == 174_980
    names = {sample.path.parent.name for split in manifest.splits.values() for sample in split.samples}
    assert "HandstandPushups" in names and "HandStandPushups" not in names


def test_youtube_vos_holds_out_a_fifth_by_the_list(shared_data: Path, tmp_path: Path) -> None:
    import json

    held_out = [line for line in (shared_data / "lists/youtubevos/ytvos_timet_val_ids.txt").read_text().split() if line]
    known = list(json.loads((shared_data / "lists/youtubevos/e2fgvi_train.json").read_text()))
    assert len(known) == 3471 and set(held_out) <= set(known)
    (tmp_path / "youtube_vos/train").mkdir(parents=True)
    meta = {"videos": {name: {"objects": {"1": {"category": "person", "frames": ["0"]}}} for name in known}}
    (tmp_path / "youtube_vos/train/meta.json").write_text(json.dumps(meta))
    manifest = open_dataset(load_dataset("youtube_vos"), tmp_path)
    assert counts(manifest) == (2776, 695)
    assert set(manifest.splits["test"].ids) == set(held_out)


def test_a_real_youtube_vos_sequence_is_read_where_it_has_masks(shared_data: Path) -> None:
    from sigma_bench.data.annotations import ObjectCategories
    from sigma_bench.data.manifest import Sample
    from sigma_bench.data.sequences import MaskedSequence

    home, name = shared_data / "youtube_vos_demos", "0pV_HO8Om0U_4"
    sample = Sample(
        name,
        home / "JPEGImages" / name,
        "frame_folder",
        None,
        name,
        mask_folder=home / "Annotations" / name,
        annotation=ObjectCategories(((1, 2), (2, 1), (3, 2))),
    )
    sequence = MaskedSequence(sample)
    assert len(sequence) == 30
    frames, masks = sequence.read([0, 29], 64)
    assert frames.shape == (2, 3, 64, 64)
    assert set(np.unique(masks)) <= {0, 1, 2, 255}


def test_real_davis_2016_sequences_have_one_object(shared_data: Path, tmp_path: Path) -> None:
    from sigma_bench.data.sequences import MaskedSequence

    (tmp_path / "davis2016").symlink_to(shared_data / "davis2016")
    manifest = open_dataset(load_dataset("davis2016"), tmp_path)
    assert counts(manifest) == (30, 20)
    present = [s for split in manifest.splits.values() for s in split.samples if s.path.exists()]
    assert sorted(sample.id for sample in present) == ["blackswan", "car-shadow"]
    for sample, length in zip(sorted(present, key=lambda s: s.id), (50, 40), strict=True):
        sequence = MaskedSequence(sample)
        assert len(sequence) == length
        _, masks = sequence.read([0, length - 1], 64)
        assert set(np.unique(masks)) == {0, 1}, "255 is the object here, not void"
