"""``sigma-bench bench heads`` on a bank that is small enough for a test."""

from pathlib import Path

import numpy as np

from sigma_bench.benchmark import heads
from sigma_bench.benchmark.heads import BankSize, measure_heads, write_features


def test_features_have_the_class_of_their_index(tmp_path: Path) -> None:
    size = BankSize(600, 60, 64, 3)
    write_features(tmp_path / "train.npy", size.samples, size, 0)
    write_features(tmp_path / "test.npy", size.queries, size, 1)
    train, test = (np.load(tmp_path / f"{name}.npy") for name in ("train", "test"))
    centre = np.stack([train[label::3].mean(0) for label in range(3)])
    closest = np.linalg.norm(test[:, None] - centre, axis=2).argmin(1)
    assert (closest == np.arange(60) % 3).mean() > 0.9
    assert not np.array_equal(train[:60], test)


def test_every_task_is_measured_in_a_process_of_its_own(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(heads, "TASKS", ("kinetics400/knn",))
    heard: list[str] = []
    result = measure_heads(BankSize(1000, 50, 128, 2), 1, tmp_path, heard.append)
    assert heard == ["writing features", "kinetics400/knn"]
    (row,) = result.rows
    assert row["top-1, %"] > 80
    assert 0 < row["of which libraries, MiB"] <= row["peak, MiB"]
    assert "| kinetics400/knn | 20 neighbours |" in result.markdown()
