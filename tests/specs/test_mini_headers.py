"""Headers of the mini recipes: their scores are those of the committed table, and their steps follow from the keys."""

import csv
import re
from pathlib import Path

import pytest

from sigma_bench.miniworld.datasets import ssv2, ucf101
from sigma_bench.resources import declarations
from sigma_bench.specs.catalogue import load_recipe, recipe_names

TABLE = Path(__file__).resolve().parents[2] / "results" / "tables" / "mini.csv"
TASKS = {
    "SSv2 linear": "ssv2/linear",
    "SSv2 kNN": "ssv2/knn",
    "UCF101 linear": "ucf101/linear",
    "CIFAR-100 linear": "cifar100/linear",
    "DAVIS over-clustering": "davis2017/overclustering",
}
UCF_TRAIN = 10 * (ucf101.UCF_GROUPS - ucf101.UCF_TEST_GROUPS) * ucf101.SIZE[0]
"""Number of training videos of the ten classes."""
MINI = [name for name in recipe_names() if name.startswith("mini_")]


def header(name: str) -> str:
    """The comment of a recipe in one line."""
    text = (declarations("pretrain") / f"{name}.yaml").read_text()
    return " ".join(" ".join(re.findall(r"^#(.*)$", text, re.MULTILINE)).split())


def measured(model: str, column: str) -> dict[str, str]:
    """Values of a column in percent, by task."""
    with TABLE.open(newline="") as stream:
        rows = [row for row in csv.DictReader(stream) if row["model"] == model and row["origin"] == "measured"]
    return {row["task"]: f"{100 * float(row[column]):.1f}" for row in rows}


@pytest.mark.parametrize("name", [name for name in MINI if not name.endswith("_long")])
def test_the_expected_scores_are_those_of_the_table(name: str) -> None:
    found = re.findall(rf"({'|'.join(TASKS)}) (\d+\.\d)", header(name))
    assert len(found) >= 2
    assert dict(found) == {task: measured(name, "value")[TASKS[task]] for task, _ in found}
    first, _ = found[0]
    assert f"standard deviation {measured(name, 'seed_std')[TASKS[first]]}" in header(name)


@pytest.mark.parametrize("name", MINI)
def test_the_number_of_steps_follows_from_the_keys(name: str) -> None:
    optim = load_recipe(name).optim
    assert optim.epochs is not None
    per_epoch = (ssv2.SIZE[0] + UCF_TRAIN) // optim.global_batch
    epochs = {optim.epochs} if name in ("mini_dino", "mini_sigma_dino") else {6, 20}
    assert {int(number) for number in re.findall(r"(\d{3,}) steps", header(name))} <= {per_epoch * e for e in epochs}
