"""Kinetics-400's lists: relative and absolute paths, numeric labels, and errors that name file and line."""

import pytest

from sigma_bench.data.datasets import open_dataset
from sigma_bench.specs.catalogue import load_dataset


@pytest.fixture
def root(tmp_path):
    folder = tmp_path / "kinetics400"
    (folder / "videos").mkdir(parents=True)
    for name in ("a", "b b", "c"):
        (folder / "videos" / f"{name}.mp4").write_bytes(b"x")
    (folder / "train.csv").write_text(f"videos/a.mp4 3\n{folder}/videos/b b.mp4 399\n")
    (folder / "val.csv").write_text("videos/c.mp4,0\n")
    return tmp_path


def test_paths_and_labels(root):
    manifest = open_dataset(load_dataset("kinetics400"), root)
    train, test = manifest.splits["train"], manifest.splits["test"]
    assert [(s.id, s.label) for s in train.samples] == [("videos/a", 3), ("videos/b b", 399)]
    assert train.samples[1].path == root / "kinetics400" / "videos" / "b b.mp4"
    assert (test.ids, test.expected) == (("videos/c",), 19906)


@pytest.mark.parametrize("line", ["videos/c.mp4 400", "videos/c.mp4", "videos/c.mp4 abseiling"])
def test_a_wrong_line_is_named(root, line):
    (root / "kinetics400" / "val.csv").write_text(f"videos/c.mp4 1\n{line}\n")
    with pytest.raises(ValueError, match=r"val.csv: line 2: expected 'path label'"):
        open_dataset(load_dataset("kinetics400"), root)
