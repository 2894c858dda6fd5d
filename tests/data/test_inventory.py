"""``data prepare``: which files exist, which are missing, and a manifest that states this for every sample."""

import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from sigma_bench.cli.main import app
from sigma_bench.data.inventory import manifest_rows, take_inventory
from sigma_bench.specs.catalogue import load_dataset


@pytest.fixture
def root(world: Path, tmp_path: Path) -> Path:
    shutil.copytree(world / "ssv2", tmp_path / "ssv2")
    return tmp_path


def rows(root: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (root / "ssv2.manifest.jsonl").read_text().splitlines()]


def test_a_complete_dataset_is_complete(root: Path) -> None:
    inventory = take_inventory(load_dataset("ssv2"), root)
    assert inventory.is_complete
    assert inventory.manifest is not None
    found = list(manifest_rows(inventory.manifest, root))
    assert {row["found"] for row in found} == {True}
    assert len(found) == sum(split.expected for split in inventory.manifest.splits.values())
    assert all((root / str(row["path"])).is_file() for row in found)


def test_a_missing_file_is_named_and_stays_in_the_manifest(root: Path) -> None:
    assert CliRunner().invoke(app, ["data", "prepare", str(root), "ssv2"]).exit_code == 0
    whole = rows(root)
    gone = whole[7]
    (root / str(gone["path"])).unlink()
    done = CliRunner().invoke(app, ["data", "prepare", str(root), "ssv2"])
    assert done.exit_code == 1
    assert f"ssv2 train: 1 of 80 missing: {root / str(gone['path'])}\n" in done.output
    assert rows(root) == [row | {"found": row != gone} for row in whole]


def test_an_absent_dataset_says_what_to_put_where(root: Path) -> None:
    done = CliRunner().invoke(app, ["data", "prepare", str(root), "ucf101"])
    assert done.exit_code == 1
    assert f"{root / 'ucf101'}/" in done.output and "v_ApplyEyeMakeup_g01_c01.avi" in done.output
    everything = CliRunner().invoke(app, ["data", "prepare", str(root)])
    assert everything.exit_code == 0, "a dataset that no task uses may be absent"


def test_a_list_that_is_not_the_official_one_is_said(root: Path) -> None:
    for path in (root / "ssv2").rglob("*.json"):
        if path.name != "miniworld.json":
            path.write_text("[")
    inventory = take_inventory(load_dataset("ssv2"), root)
    assert inventory.manifest is None
    assert "not valid JSON" in (inventory.problem or "")
    with pytest.raises(ValueError, match="there is no such data root"):
        take_inventory(load_dataset("ssv2"), root / "nowhere")
