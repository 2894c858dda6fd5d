"""Pretraining methods of other packages: found by entry point, trained, and refused in one sentence."""

import json
from pathlib import Path

import pytest
import torch
from click.testing import Result
from typer.testing import CliRunner

from sigma_bench.cli.main import app
from sigma_bench.models.zoo import load_encoder
from sigma_bench.specs.catalogue import load_recipe
from sigma_bench.specs.recipe import parse_recipe
from tests.conftest import tiny_recipe
from tests.other_packages import install, visible

SPEC = """
from typing import ClassVar, Literal

from sigma_bench.specs.masked_video import MaskedVideoRecipe
from sigma_bench.specs.recipe import Objective, Positive


class L1Objective(Objective):
    kind: Literal["l1_autoencoder"]
    weight: Positive
    family: ClassVar[str] = "L1 autoencoder"


class L1Recipe(MaskedVideoRecipe):
    objective: L1Objective


RECIPE = L1Recipe
"""
METHOD = """
import torch.nn.functional as F

from sigma_bench.training.masked_video import MaskedVideoMethod
from sigma_bench.training.step import StepOutput, feature_std


class L1Method(MaskedVideoMethod):
    def step(self, clip_BCTHW, mask_BN):
        target = self.model.masked_pixels(clip_BCTHW, mask_BN)
        visible = self.model.encode(clip_BCTHW, ~mask_BN)
        loss = self.recipe.objective.weight * F.l1_loss(self.model.decode(visible, mask_BN), target)
        return StepOutput(loss, {"feature_std": feature_std(visible)})


METHOD = L1Method
"""


def install_method(site: Path, package: str, modules: dict[str, str], kind: str = "l1_autoencoder") -> Path:
    """A package that registers a method, below ``site``, which is returned."""
    install(site, package, modules, "sigma_bench.methods", {kind: package})
    return site


def recipe_file(folder: Path, **objective: object) -> Path:
    content = tiny_recipe("mini_videomae").model_dump(mode="json") | {"recipe": "tiny_l1"}
    content["objective"] = {"kind": "l1_autoencoder", "weight": 2.0, **objective}
    content["optim"] |= {"epochs": 1}
    path = folder / "tiny_l1.yaml"
    path.write_text(json.dumps(content))
    return path


def pretrain(site: Path, recipe: Path, data: Path, output: Path) -> Result:
    """The command in this process, which sees the packages in ``site``."""
    arguments = ["pretrain", str(recipe), "--data", str(data), "--output", str(output), "--device", "cpu"]
    with visible(site):
        return CliRunner().invoke(app, arguments)


@pytest.mark.slow
def test_a_method_of_another_package_pretrains_an_encoder(world: Path, tmp_path: Path) -> None:
    site = install_method(tmp_path / "site", "l1_package", {"spec": SPEC, "method": METHOD})
    done = pretrain(site, recipe_file(tmp_path), world, tmp_path / "run")
    assert done.exit_code == 0, done.output
    assert (tmp_path / "run" / "model.safetensors").exists()
    with visible(site):
        encoder = load_encoder(str(tmp_path / "run"))
    card = encoder.card
    assert (card.model, card.family) == ("tiny_l1", "L1 autoencoder")
    clip = torch.zeros(1, 3, card.num_frames, card.image_size, card.image_size)
    assert encoder.encode(clip).token_BND.shape == (1, 144, 32)
    with pytest.raises(ValueError, match="there is no pretraining method 'l1_autoencoder'"):
        load_encoder(str(tmp_path / "run"))  # the package is not visible here


def refused(site: Path, recipe: Path) -> str:
    """The sentence with which the command ends, before it looks for data."""
    done = pretrain(site, recipe, site, site / "run")
    assert isinstance(done.exception, ValueError), done.output
    return str(done.exception)


def test_an_unknown_key_of_a_method_of_another_package_is_named(tmp_path: Path) -> None:
    site = install_method(tmp_path / "site", "l1_package", {"spec": SPEC, "method": METHOD})
    sentence = refused(site, recipe_file(tmp_path, weigth=1.0))
    assert "tiny_l1.yaml: unknown key 'objective.weigth'. Did you mean 'weight'" in sentence


def test_two_packages_with_one_name_are_refused(tmp_path: Path) -> None:
    site = install_method(tmp_path / "site", "l1_package", {"spec": SPEC, "method": METHOD})
    install_method(tmp_path / "site", "other_package", {"spec": SPEC, "method": METHOD})
    sentence = refused(site, recipe_file(tmp_path))
    assert "the pretraining method 'l1_autoencoder' is registered by the package " in sentence
    assert "l1_package" in sentence and "other_package" in sentence


@pytest.mark.parametrize(
    ("modules", "sentence"),
    [
        ({"spec": "RECIPE = dict\n"}, "its module 'spec' must define RECIPE, a subclass of"),
        ({"spec": "import no_such_module\n"}, "cannot be imported from l1_package.spec: ModuleNotFoundError"),
        ({"spec": SPEC, "method": ""}, "its module 'method' must define METHOD, a subclass of"),
    ],
    ids=["no recipe", "no import", "no method"],
)
def test_an_incomplete_package_is_named(tmp_path: Path, modules: dict[str, str], sentence: str) -> None:
    site = install_method(tmp_path / "site", "l1_package", modules)
    assert sentence in refused(site, recipe_file(tmp_path))


def test_a_mistyped_method_gets_near_names() -> None:
    content = load_recipe("mini_sigma_mlp").model_dump(mode="json")
    content["objective"]["kind"] = "sigma_mpl"
    with pytest.raises(
        ValueError, match=r"mine: key 'objective.kind': there is no .* 'sigma_mpl'. Did you mean 'sigma_mlp'"
    ):
        parse_recipe(content, where="mine")


@pytest.mark.parametrize("objective", [None, {}, {"kind": 3}, ["videomae"]])
def test_a_recipe_without_a_method_is_refused(objective: object) -> None:
    content = load_recipe("mini_videomae").model_dump(mode="json") | {"objective": objective}
    with pytest.raises(ValueError, match=r"mine: the key 'objective.kind' is missing; .* dino, .* videomae"):
        parse_recipe(content, where="mine")
