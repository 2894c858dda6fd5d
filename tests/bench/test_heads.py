"""``sigma-bench bench-heads`` measures what it says, on a bank small enough for a test."""

from pathlib import Path

import numpy as np

from sigma_bench.bench import heads
from sigma_bench.bench.heads import BankSize, markdown, measure_heads, write_features


def test_features_have_the_class_their_place_says(tmp_path: Path) -> None:
    size = BankSize(600, 60, 64, 3)
    write_features(tmp_path / "train.npy", size.samples, size, 0)
    write_features(tmp_path / "test.npy", size.queries, size, 1)
    train, test = (np.load(tmp_path / f"{name}.npy") for name in ("train", "test"))
    centre = np.stack([train[label::3].mean(0) for label in range(3)])
    nearest = np.linalg.norm(test[:, None] - centre, axis=2).argmin(1)
    assert (nearest == np.arange(60) % 3).mean() > 0.9
    assert not np.array_equal(train[:60], test)


def test_every_task_is_measured_in_a_process_of_its_own(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(heads, "TASKS", ("kinetics400/knn",))
    heard: list[str] = []
    result = measure_heads(BankSize(1000, 50, 128, 2), 1, tmp_path, heard.append)
    assert heard[:2] == ["writing features", "kinetics400/knn"]
    assert result.bank_bytes == (tmp_path / "train.npy").stat().st_size
    (cost,) = result.costs
    assert cost.top1 > 0.8
    assert 0 < cost.start_bytes <= cost.peak_bytes
    assert "| kinetics400/knn | 20 neighbours |" in markdown(result)
