"""Blocks are complete or missing: in any order, from several stores, and on a full disk."""

import errno
import json
import os
from pathlib import Path

import numpy as np
import pytest

from sigma_bench.protocols.block_store import ArrayLayout, BlockStore

LAYOUT = {"feature": ArrayLayout((3,), "float32"), "token": ArrayLayout((2, 2), "float16")}


def store_in(folder: Path) -> BlockStore:
    return BlockStore(folder / "entry", 10, 4, LAYOUT, {"model": "m"})


def rows(items: range) -> dict[str, np.ndarray]:
    first = np.array(items, np.float64)
    return {"feature": first[:, None] + [0, 0.25, 0.5], "token": np.tile(first[:, None, None], (1, 2, 2))}


def test_blocks_written_in_any_order_are_the_rows_of_one_array(tmp_path: Path) -> None:
    blocks = store_in(tmp_path).missing()
    assert blocks == [range(4), range(4, 8), range(8, 10)]
    for block in reversed(blocks):
        store_in(tmp_path).write(block, rows(block), {9: "broken"} if 9 in block else {})
    found = store_in(tmp_path)
    assert found.missing() == [] and found.failures() == {9: "broken"}
    for name, whole in rows(range(10)).items():
        assert found.read(name).dtype == LAYOUT[name].dtype
        np.testing.assert_array_equal(found.read(name), whole)


def test_a_block_on_a_full_disk_is_one_sentence_and_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store_in(tmp_path).write(range(4), rows(range(4)), {})

    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as disk, pytest.raises(ValueError, match=r"No space left .*sigma-bench cache ls"):
        disk.setattr(os, "fsync", full)
        store_in(tmp_path).write(range(4, 8), rows(range(4, 8)), {})
    assert store_in(tmp_path).missing() == [range(4, 8), range(8, 10)]


def damaged_markers(folder: Path) -> dict[str, bytes]:
    """A damaged marker of the first block."""
    marker = folder / "block-000000.json"
    content = json.loads(marker.read_bytes())
    other = folder.with_name("other")
    BlockStore(other, 10, 4, LAYOUT, {}).write(range(4), rows(range(4)), {})
    return {
        "a failure removed": json.dumps(content | {"failures": {}}).encode(),
        "a failure added": json.dumps(content | {"failures": {"1": "torn", "2": "torn"}}).encode(),
        "an item that is none": json.dumps(content | {"failures": {"99": "torn"}}).encode(),
        "that of another block": (folder / "block-000001.json").read_bytes(),
        "that of another entry": (other / "block-000000.json").read_bytes(),
        "deep": b"[" * 100_000,
        "empty": b"",
    }


def test_a_marker_that_was_edited_or_moved_counts_as_damaged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    store = store_in(tmp_path)
    for block in store.missing():
        store.write(block, rows(block), {2: "torn"} if 2 in block else {})
    for damage, content in damaged_markers(store.folder).items():
        caplog.clear()
        (store.folder / "block-000000.json").write_bytes(content)
        assert store.missing() == [range(4)] and store.failures() == {}, damage
        assert "block-000000.json: damaged" in caplog.text
        store.write(range(4), rows(range(4)), {2: "torn"})
        assert store.missing() == [] and store.failures() == {2: "torn"}
