"""Datasets in another layout: what ``data prepare`` finds, says and links, and what it leaves alone."""

import json
import os
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from sigma_bench.cli.main import app
from sigma_bench.data.inventory import take_inventory
from sigma_bench.data.layout_links import propose
from sigma_bench.data.layout_search import layouts_of, search
from sigma_bench.specs.catalogue import dataset_names, load_dataset, load_dataset_file

WRONG = {
    "ucf101": {"ucf101": "UCF101"},
    "ucfrep": {"ucf101": "ucf101_/UCF-101"},
    "hmdb51": {"hmdb51": "videos/HMDB51", "hmdb51/hmdb51_org": "videos/clips"},
    "ssv2": {"ssv2": "sthv2", "ssv2/20bn-something-something-v2": "sthv2/vids", "ssv2/labels": "sthv2/annos"},
    "kinetics400": {
        "kinetics400": "k400",
        "kinetics400/train": "k400/train_256",
        "kinetics400/val": "k400/val_256",
        "kinetics400/kinetics-400_train.csv": "k400/annotations/train.csv",
        "kinetics400/kinetics-400_val.csv": "k400/annotations/validate.csv",
    },
    "imagenet1k": {"imagenet1k": "ILSVRC/Data/CLS-LOC"},
    "cifar100": {"cifar100/cifar-100-python": "cifar100/CIFAR"},
    "finegym_gym99": {"finegym": "FineGym", "finegym/subactions": "FineGym/clips"},
    "charades": {"charades": "CHARADES", "charades/Charades": "CHARADES/lists"},
    "davis2016": {"davis2016": "DAVIS-2016"},
    "davis2017": {"davis2017/DAVIS": "DAVIS-2017-trainval-480p"},
    "youtube_vos": {"youtube_vos": "YouTube-VOS"},
}
"""Dataset -> renames below the data root that break its layout, applied from the last to the first."""


def prepare(root: Path, *arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["data", "prepare", str(root), *map(str, arguments)], env={"COLUMNS": "200"})


def copied(world: Path, root: Path, *names: str) -> Path:
    for name in names:
        shutil.copytree(world / name, root / name, copy_function=os.link)
    return root


def broken(world: Path, root: Path, name: str) -> Path:
    """A data root with one dataset in a wrong layout."""
    copied(world, root, load_dataset(name).home)
    first, *rest = WRONG[name].items()
    for old, new in [first, *rest]:
        now = root / (old if old == first[0] else old.replace(first[0], first[1], 1))
        (root / new).parent.mkdir(parents=True, exist_ok=True)
        now.rename(root / new)
    return root


def files(root: Path) -> set[Path]:
    return {path for path in root.rglob("*") if not path.is_symlink() and ".manifest.jsonl" not in path.name}


def test_every_part_of_the_official_layout_is_recognised_in_its_place(world: Path) -> None:
    layouts = layouts_of([load_dataset_file(name) for name in dataset_names()], world)
    found = search(layouts, world)
    assert all(layout.parts for layout in layouts)
    for layout in layouts:
        proposal = propose(layout, found)
        assert (proposal.lacking, proposal.links, proposal.blocked) == ([], {}, {}), layout.home


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_layout_is_found_and_linked_without_moving_anything(world: Path, tmp_path: Path, name: str) -> None:
    root = broken(world, tmp_path, name)
    before, card = files(root), load_dataset(name)
    offer = prepare(root, name)
    assert offer.exit_code == 1
    assert f"sigma-bench data prepare {root} {name} --link" in offer.output
    assert files(root) == before and not any(path.is_symlink() for path in root.rglob("*"))
    assert prepare(root, name, "--link").exit_code == 0
    assert take_inventory(card, root).is_complete
    assert files(root) - before <= {root / card.home}
    link = next(path for path in (root / card.home).iterdir() if path.is_symlink())
    assert not link.readlink().is_absolute()


def test_a_link_to_another_place_is_absolute_and_takes_the_marker_along(world: Path, tmp_path: Path) -> None:
    store = copied(world, tmp_path / "store", "ucf101")
    (tmp_path / "data").mkdir()
    done = prepare(tmp_path / "data", "ucf101", "--link", "--from", store / "ucf101")
    assert done.exit_code == 0, done.output
    home = tmp_path / "data" / "ucf101"
    assert (home / "UCF-101").readlink() == (store / "ucf101" / "UCF-101").resolve()
    manifest = take_inventory(load_dataset("ucf101"), tmp_path / "data").manifest
    assert manifest is not None and manifest.data_source == "mini"


def test_of_two_folders_the_one_with_listed_files_is_taken(world: Path, tmp_path: Path) -> None:
    root = broken(world, tmp_path, "ssv2")
    (root / "other").mkdir()
    (root / "other" / "99999.webm").touch()
    assert prepare(root, "ssv2", "--link").exit_code == 0
    assert (root / "ssv2" / "20bn-something-something-v2").resolve() == (root / "sthv2" / "vids").resolve()


def test_two_copies_are_ambiguous_until_one_is_named(world: Path, tmp_path: Path) -> None:
    root = broken(world, tmp_path, "hmdb51")
    shutil.copytree(root / "videos", root / "again", copy_function=os.link)
    done = prepare(root, "hmdb51", "--link")
    assert done.exit_code == 1
    assert "both look like it; name the folder to search with --from" in done.output
    assert not (root / "hmdb51").exists()
    assert prepare(root, "hmdb51", "--link", "--from", root / "again").exit_code == 0


def test_nothing_is_overwritten(world: Path, tmp_path: Path) -> None:
    home = copied(world, tmp_path, "ucf101") / "ucf101"
    (home / "UCF-101").rename(home / "x")
    (home / "UCF-101").mkdir()
    (home / "x").rename(home / "UCF-101" / "UCF-101")
    before = files(tmp_path)
    done = prepare(tmp_path, "ucf101", "--link")
    assert done.exit_code == 1
    assert "where something else is; move or rename that first" in done.output
    assert "lists are here, but none of the " in done.output
    assert files(tmp_path) == before and not any(path.is_symlink() for path in home.iterdir())


def test_the_semi_supervised_davis_is_named_and_not_linked(world: Path, tmp_path: Path) -> None:
    root = broken(world, tmp_path, "davis2017")
    home = root / "DAVIS-2017-trainval-480p"
    (home / "Annotations_unsupervised").rename(home / "Annotations")
    done = prepare(root, "davis2017", "--link")
    assert done.exit_code == 1
    assert f"found {home}, but this is the semi-supervised version" in done.output
    assert not (root / "davis2017" / "DAVIS").exists()


def test_videos_without_lists_and_archives_are_said(world: Path, tmp_path: Path) -> None:
    root = copied(world, tmp_path, "ucf101")
    shutil.rmtree(root / "ucf101" / "ucfTrainTestlist")
    (root / "ucf101trainTestSplits-RecognitionTask.ZIP").touch()
    done = prepare(root, "ucf101")
    assert done.exit_code == 1
    assert "in place: UCF-101; not found in full: ucfTrainTestlist" in done.output
    assert f"found {root / 'ucf101trainTestSplits-RecognitionTask.ZIP'}: unpack what is not unpacked yet" in done.output


def test_missing_masks_are_missing_samples(world: Path, tmp_path: Path) -> None:
    root = copied(world, tmp_path, "davis2016", "youtube_vos")
    for name, masks in (("davis2016", "DAVIS/Annotations/480p"), ("youtube_vos", "train/Annotations")):
        first, *_ = sorted(path for path in (root / name / masks).iterdir() if "val" in path.name or "te" in path.name)
        shutil.rmtree(first)
        done = prepare(root, name)
        assert done.exit_code == 1
        assert f"{name} test: 1 of 2 missing: {first}\n" in done.output
        manifest = take_inventory(load_dataset(name), root).manifest
        assert manifest is not None
        with pytest.raises(ValueError, match=f"{first.name}: not found; 1 of the 2 files"):
            manifest.splits["test"].require_present()


def test_an_empty_root_shows_the_layout_source_size_and_licence_of_every_dataset(tmp_path: Path) -> None:
    done = prepare(tmp_path)
    assert done.exit_code == 0
    text = " ".join(done.output.split())
    for name in dataset_names():
        file = load_dataset_file(name)
        assert file.download, name
        assert f"{tmp_path / file.home}/" in text
        for path in (*file.layout, *file.optional):
            assert all(part in text for part in path.split("/")), path
        for fact in (file.source, file.licence, *file.download.values(), *file.optional.values(), *file.alternatives):
            assert " ".join(fact.split()) in text, (name, fact)


def test_what_a_task_file_shows_of_a_dataset_is_the_same() -> None:
    shown = json.loads(CliRunner().invoke(app, ["tasks", "ucf101"]).output)
    file = load_dataset_file("ucf101")
    assert (tuple(shown["layout"]), shown["download"]) == (file.layout, file.download)


def test_a_search_stops_at_its_depth_and_says_so(world: Path, tmp_path: Path) -> None:
    deep = tmp_path / "a" / "b" / "c" / "d" / "e"
    deep.mkdir(parents=True)
    copied(world, deep, "cifar100")
    done = prepare(tmp_path, "cifar100")
    assert "--link" not in done.output
    assert "may have missed something (it went 4 levels deep: " in done.output
    assert prepare(tmp_path, "cifar100", "--from", deep, "--link").exit_code == 0


def test_official_lists_of_ucf101_at_full_size(shared_data: Path, tmp_path: Path) -> None:
    lists, home = shared_data / "lists" / "ucf101", tmp_path / "UCF_data"
    (home / "splits").mkdir(parents=True)
    for path in (*lists.glob("t*list0?.txt"), lists / "classInd.txt"):
        shutil.copyfile(path, home / "splits" / path.name)
    listed = [line.split()[0] for path in lists.glob("t*list01.txt") for line in path.read_text().splitlines()]
    for path in map(Path, listed):
        (home / "vids" / path.parent).mkdir(parents=True, exist_ok=True)
        (home / "vids" / path).touch()
    done = prepare(tmp_path, "ucf101", "--link")
    assert done.exit_code == 0, done.output
    assert [line.split()[1:] for line in done.output.splitlines() if line.startswith("ucf101 ")] == [
        ["train", "9,537", "9,537", "9,537", "0"],
        ["test", "3,783", "3,783", "3,783", "0"],
    ]
    assert (tmp_path / "ucf101" / "UCF-101").readlink() == Path("../UCF_data/vids")
