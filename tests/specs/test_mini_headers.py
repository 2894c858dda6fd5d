"""Headers of the mini recipes: their scores are those of the committed table, and their steps follow from the keys."""

import csv
import re
from pathlib import Path

import pytest

from sigma_bench.miniworld.datasets import ssv2, ucf101
from sigma_bench.miniworld.patterns import SCENES
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
UCF_TRAIN = len(SCENES) * (ucf101.UCF_GROUPS - ucf101.UCF_TEST_GROUPS) * ucf101.SIZE[0]
"""Number of training videos of all classes."""
LONG = "_long"
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


@pytest.mark.parametrize("name", MINI)
def test_the_expected_scores_are_those_of_the_table(name: str) -> None:
    """A recipe whose model is not in the table states no scores."""
    found = re.findall(rf"({'|'.join(TASKS)}) (\d+\.\d)", header(name))
    if not measured(name, "value"):
        assert found == []
        return
    assert len(found) >= 2
    assert dict(found) == {task: measured(name, "value")[TASKS[task]] for task, _ in found}
    first, _ = found[0]
    assert f"standard deviation {measured(name, 'seed_std')[TASKS[first]]}" in header(name)


def epochs_of(name: str) -> float:
    epochs = load_recipe(name).optim.epochs
    assert epochs is not None
    return epochs


def steps_of(name: str) -> float:
    """Number of steps of a recipe; the last batch of an epoch is left out if it is not full."""
    return (ssv2.SIZE[0] + UCF_TRAIN) // load_recipe(name).optim.global_batch * epochs_of(name)


@pytest.mark.parametrize("name", MINI)
def test_the_number_of_steps_follows_from_the_keys(name: str) -> None:
    """A header may state the steps of its recipe and those of the long or short recipe of the same method."""
    short = name.removesuffix(LONG)
    stated = {int(number) for number in re.findall(r"(\d{3,}) steps", header(name))}
    assert stated <= {steps_of(short), steps_of(short + LONG)}


@pytest.mark.parametrize("name", [name for name in MINI if name.endswith(LONG)])
def test_a_long_recipe_is_that_of_the_demo_with_more_epochs(name: str) -> None:
    short = name.removesuffix(LONG)
    long, demo = (load_recipe(n).model_dump(mode="json") for n in (name, short))
    assert f"for {long['optim']['epochs']} epochs, where the demo has {demo['optim']['epochs']}" in long["summary"]
    assert long["optim"]["epochs"] > demo["optim"]["epochs"]
    if "teacher" in demo["objective"]:
        assert long["objective"]["teacher"]["model"] == demo["objective"]["teacher"]["model"] + LONG
        demo["objective"]["teacher"]["model"] += LONG
    for spec in (long, demo):
        del spec["recipe"], spec["summary"], spec["checkpoint_every_steps"]
        del spec["optim"]["epochs"], spec["optim"]["warmup_epochs"]
    assert long == demo
