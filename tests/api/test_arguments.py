"""Arguments of a wrong type or out of range: one sentence, before anything is computed."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import sigma_bench as sb
from sigma_bench.api.arguments import folder_of, mapping_of, names_of, seed_of
from tests.api.test_evaluation import QUICK, colours

MISTAKES: list[tuple[dict[str, Any], str]] = [
    ({"tasks": None}, "tasks is None"),
    ({"tasks": 3}, "tasks is 3"),
    ({"tasks": b"ssv2/knn"}, "tasks is b'ssv2/knn'"),
    ({"tasks": [None]}, "tasks is None"),
    ({"tasks": [["ssv2/knn"]]}, r"tasks is \['ssv2/knn'\]"),
    ({"suite": 3}, "suite is 3"),
    ({"data": 3}, "data is 3"),
    ({"data": ""}, "data is empty"),
    ({"data": "a\0b"}, "data is 'a"),
    ({"output": None}, "output is None"),
    ({"output": ""}, "output is empty"),
    ({"output": __file__}, "not a folder; choose another --output"),
    ({"seed": -1}, "seed is -1; give a whole number from 0"),
    ({"seed": 2**32}, f"seed is {2**32}; give a whole number from 0"),
    ({"seed": 1.0}, r"seed is 1\.0"),
    ({"seed": True}, "seed is True"),
    ({"seed": None}, "seed is None"),
    ({"seed": np.arange(2)}, "seed is array"),
    ({"num_workers": -1}, "num_workers is -1"),
    ({"num_workers": "2"}, "num_workers is '2'"),
    ({"cache_limit": float("inf")}, "cache_limit is inf"),
    ({"cache_limit": "1"}, "cache_limit is '1'"),
    ({"cache_limit": None}, "cache_limit is None"),
    ({"overrides": "neighbours=3"}, "overrides is 'neighbours=3'"),
    ({"overrides": {"metrics": []}}, "metrics are none"),
    ({"overrides": {"metrics": ["top1", "top1"]}}, "metrics are top1, top1"),
    ({"overrides": {"temperature": float("inf")}}, "key 'temperature'.*finite"),
    ({"device": "gpu"}, "choose auto, cpu or cuda"),
]


@pytest.mark.parametrize(("changes", "sentence"), MISTAKES)
def test_a_wrong_argument_of_evaluate_is_one_sentence(tmp_path: Path, changes: dict[str, Any], sentence: str) -> None:
    given = {"tasks": "ssv2/knn", "data": tmp_path, "output": tmp_path / "runs", "progress": False} | changes
    with pytest.raises(ValueError, match=sentence) as caught:
        sb.evaluate(colours(), **given)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"recipe": 3}, "recipe is 3"),
        ({"recipe": None}, "recipe is None"),
        ({"data": None}, "data is missing: give the root folder of the datasets, or custom videos"),
        ({"csv": "clips.csv"}, "is for the datasets of the recipe; custom videos are named by csv or folders"),
        ({"data": None, "csv": "a.csv", "folders": "."}, "give --csv or --folders, not both"),
        ({"data": None, "csv": 3}, "csv is 3"),
        ({"init": 3}, "init is 3"),
        ({"overrides": "optim.epochs=3"}, "overrides is 'optim.epochs=3'"),
        ({"output": 3}, "output is 3"),
        ({"seed": 2**70}, "seed is "),
        ({"seed": 1.5}, r"seed is 1\.5"),
        ({"accumulate": 0}, "accumulate is 0"),
        ({"num_workers": None}, "num_workers is None"),
        ({"teacher": 3}, "teacher is 3"),
    ],
)
def test_a_wrong_argument_of_pretrain_is_one_sentence(tmp_path: Path, changes: dict[str, Any], sentence: str) -> None:
    given = {"recipe": "mini_sigma_mlp", "data": tmp_path, "output": tmp_path / "run", "progress": False} | changes
    with pytest.raises(ValueError, match=sentence):
        sb.pretrain(**given)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: sb.Records(3), "the folder of records is 3"),  # type: ignore[arg-type]
        (lambda: sb.board(None), "name is None and there are no records"),
        (lambda: sb.board("mini").save(None), "path is None"),  # type: ignore[arg-type]
        (lambda: sb.board("mini").save("a\0.md"), "path is 'a"),
        (lambda: sb.include(3), "3 cannot be included"),  # type: ignore[arg-type]
        (lambda: sb.include("a\0b"), "cannot be included"),
        (lambda: sb.load_encoder(3), "name is 3"),  # type: ignore[arg-type]
        (lambda: sb.load_encoder("random:mini_sigma_mlp", seed=-1), "seed is -1"),
        (lambda: sb.load_encoder("random:mini_sigma_mlp", device="meta"), "no values on it"),
        (lambda: sb.load_encoder("random:mini_sigma_mlp", device=None), "choose auto"),  # type: ignore[arg-type]
    ],
)
def test_a_wrong_argument_of_the_other_functions_is_one_sentence(call: Callable[[], object], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        call()


def test_numbers_of_numpy_and_paths_of_any_kind_are_what_they_look_like(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/somebody")
    assert [seed_of(number) for number in (3, np.int64(3), np.uint8(3), torch.tensor(3))] == [3, 3, 3, 3]
    assert all(type(seed_of(number)) is int for number in (np.int64(3), torch.tensor(3)))
    assert folder_of("output", "~/runs") == Path("/home/somebody/runs")
    assert names_of("tasks", Path("mine.yaml")) == ["mine.yaml"]
    assert names_of("tasks", (name for name in ("a", np.str_("b")))) == ["a", "b"]
    assert mapping_of("overrides", {"a": {"b": 1}}) == {"a": {"b": 1}}


def test_a_seed_of_numpy_is_stored_as_a_number(world: Path, tmp_path: Path) -> None:
    more = {"data": world, "output": tmp_path, "overrides": QUICK, "progress": False}
    (record,) = sb.evaluate(colours(), "ssv2/knn", seed=np.int64(3), device=torch.device("cpu"), **more)  # type: ignore[arg-type]
    assert record.seed == 3
    assert record == sb.evaluate(colours(), "ssv2/knn", seed=3, **more)[0]
