"""Recipes of the paper: steps and teachers in their headers agree with their keys and the dataset cards."""

import re
import shlex

import pytest
import typer

from sigma_bench.cli.main import app
from sigma_bench.resources import declarations
from sigma_bench.sigma.spec import SigmaDinoObjective
from sigma_bench.specs.catalogue import load_dataset, load_recipe, recipe_names

CUSTOM = "sigma_mlp_vit_b"
"""The recipe for custom videos, whose number of steps depends on them."""
PAPER = [name for name in recipe_names() if "vit_" in name and name != CUSTOM]


def header(name: str) -> str:
    text = (declarations("pretrain") / f"{name}.yaml").read_text()
    return "".join(line for line in text.splitlines(keepends=True) if line.startswith("#"))


def test_there_are_eleven() -> None:
    assert len(PAPER) == 11


@pytest.mark.parametrize("name", PAPER)
def test_the_number_of_steps_follows_from_the_cards(name: str) -> None:
    """ViT-S on SSv2: 168,913 // 128 = 1319 steps x 2401 epochs; Kinetics-400: 246,534 // 640 = 385 x 801."""
    recipe = load_recipe(name)
    videos = sum(load_dataset(dataset).splits["train"].samples for dataset in recipe.data.datasets)
    steps = videos // recipe.optim.global_batch * recipe.optim.epochs
    found = re.search(r"^# Cost: +([\d ]+) steps of (\d+) clips", header(name), re.MULTILINE)
    assert found is not None
    assert int(found[1].replace(" ", "")) == steps
    assert int(found[2]) == recipe.optim.global_batch


@pytest.mark.parametrize("name", recipe_names())
def test_the_commands_of_a_header_exist_and_name_the_recipe(name: str) -> None:
    """They are parsed by the real command line, down to the verb; a number stands for every placeholder."""
    commands = re.findall(r"^#(?: Run:)? +sigma-bench (.+)$", header(name), re.MULTILINE)
    assert len(commands) == (1 if name.startswith("mini_") else 2)
    for command in commands:
        verb: typer.core.TyperGroup = typer.main.get_command(app)  # type: ignore[assignment]
        words = shlex.split(re.sub("<[^>]+>", "1", command))
        while hasattr(verb, "commands"):
            verb = verb.commands[words.pop(0)]
        assert verb.make_context("", words).params["recipe"] in (name, [name])


@pytest.mark.parametrize("name", PAPER)
def test_epochs_are_those_of_the_shipped_scripts(name: str) -> None:
    assert load_recipe(name).optim.epochs == (2401 if "vit_s" in name else 801)


@pytest.mark.parametrize("name", [name for name in PAPER if "sigma_dino" in name])
def test_the_teacher_is_dino_vit_b_whatever_the_size_of_the_video_model(name: str) -> None:
    objective = load_recipe(name).objective
    assert isinstance(objective, SigmaDinoObjective)
    assert (objective.teacher.model, objective.teacher.width) == ("timm:vit_base_patch16_224.dino", 768)
    assert "--teacher timm:vit_base_patch16_224.dino:<file>" in header(name)


def test_the_recipe_for_custom_videos_is_that_of_kinetics_without_its_dataset_and_length() -> None:
    custom, kinetics = (load_recipe(name).model_dump(mode="json") for name in (CUSTOM, "sigma_mlp_vit_b_k400"))
    assert custom["data"].pop("datasets") == [] and kinetics["data"].pop("datasets") == ["kinetics400"]
    for changed in (custom["optim"], kinetics["optim"]):
        del changed["epochs"], changed["warmup_epochs"], changed["global_batch"]
    assert [key for key in custom if custom[key] != kinetics[key]] == ["recipe", "summary"]
