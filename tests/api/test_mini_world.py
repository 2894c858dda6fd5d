"""``mini_world``: some datasets of the mini world, written once."""

import json
from pathlib import Path

import pytest

import sigma_bench as sb


def test_one_dataset_is_written_in_its_official_layout_and_only_once(tmp_path: Path) -> None:
    root = sb.mini_world(tmp_path / "world", datasets="davis2016", progress=False)
    assert root == tmp_path / "world"
    assert {path.name for path in root.iterdir() if path.is_dir()} == {"davis2016"}
    marker = root / "davis2016" / "miniworld.json"
    assert json.loads(marker.read_text())["samples"] == {"davis2016": {"train": 3, "test": 6}}
    written = marker.stat().st_mtime_ns
    sb.mini_world(root, datasets=["davis2016"], progress=False)
    assert marker.stat().st_mtime_ns == written
    with pytest.raises(ValueError, match="contains another mini world"):
        sb.mini_world(root, datasets=["davis2016"], seed=1, progress=False)


def test_an_unknown_dataset_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"the mini world has no dataset 'sv2'. Did you mean 'ssv2'"):
        sb.mini_world(tmp_path / "world", datasets=["sv2"])
    assert not (tmp_path / "world").exists()
