"""Warm start: what is loaded from which checkpoint, what starts anew, and what is refused."""

from pathlib import Path
from typing import Any

import pytest
import torch

from sigma_bench.models.checkpoints import InitialWeights, RunOrigin, save_checkpoint
from sigma_bench.specs.recipe import Recipe, overridden
from sigma_bench.training.method import build_method
from sigma_bench.training.warm_start import open_warm_start
from tests.conftest import tiny_recipe
from tests.dino.recipes import tiny_dino
from tests.models.external_files import SMALL, finetuned_file, pretraining_file, pretraining_model


def run_of(recipe: Recipe, folder: Path, origin: RunOrigin | None = None) -> Path:
    """A run folder with a model of random weights, which differ from those of seed 0."""
    folder.mkdir()
    weights = build_method(recipe, seed=5).model.state_dict()
    save_checkpoint(folder / "model.safetensors", weights, recipe, seed=5, identity="x", origin=origin)
    return folder


def equal_parts(recipe: Recipe, name: str) -> tuple[set[str], InitialWeights]:
    """Names of the tensors that a warm start changes in a new model of seed 0, and its report."""
    model, new = build_method(recipe, seed=0).model, build_method(recipe, seed=0).model.state_dict()
    report = open_warm_start(name, recipe).load_into(model)
    return {key for key, value in model.state_dict().items() if not torch.equal(value, new[key])}, report


def test_the_whole_model_of_the_same_method_is_loaded(tmp_path: Path) -> None:
    recipe = tiny_recipe()
    run = run_of(recipe, tmp_path / "run")
    model = build_method(recipe, seed=0).model
    report = open_warm_start(str(run), recipe).load_into(model)
    expected = build_method(recipe, seed=5).model.state_dict()
    assert all(torch.equal(value, expected[key]) for key, value in model.state_dict().items())
    assert report.initialised == () and {"encoder", "decoder", "prototypes", "projector"} <= set(report.loaded)
    assert report.pretraining_data == ("ssv2",)


@pytest.mark.parametrize("before", ["mini_sigma_mlp", "mini_videomae"])
def test_the_encoder_alone_is_loaded_from_another_method_or_if_asked_for(tmp_path: Path, before: str) -> None:
    recipe = tiny_recipe()
    run = run_of(tiny_recipe(before), tmp_path / "run")
    changed, report = equal_parts(recipe, f"{'encoder:' if before == 'mini_sigma_mlp' else ''}{run}")
    assert {key.partition(".")[0] for key in changed} == {"encoder"} and "encoder.patch_embed.proj.weight" in changed
    assert report.loaded == ("encoder",)
    assert report.initialised == ("decoder", "encoder_to_decoder", "mask_token", "projector", "prototypes")


def test_both_networks_of_dino_start_from_an_encoder(tmp_path: Path) -> None:
    recipe = tiny_dino()
    changed, report = equal_parts(recipe, f"encoder:{run_of(recipe, tmp_path / 'run')}")
    assert report.loaded == ("student.backbone", "teacher.backbone") and "centre" in report.initialised
    assert {".".join(key.split(".")[:2]) for key in changed} == {"student.backbone", "teacher.backbone"}


def small_recipe(name: str, **decoder: Any) -> Recipe:
    """A recipe with the geometry of the small external files."""
    recipe = tiny_recipe(name)
    changes = SMALL.model_dump(exclude={"num_frames", "image_size", "drop_path"})
    return overridden(recipe, {"encoder": changes, "decoder": {"width": 12, "num_heads": 2, **decoder}})


def test_a_released_file_gives_its_encoder_or_for_its_method_all_of_it(tmp_path: Path) -> None:
    model = pretraining_model(SMALL)
    path = tmp_path / "released.pth"
    torch.save({"model": pretraining_file(model), "epoch": 7}, path)
    name = f"{path}@3heads"
    changed, report = equal_parts(small_recipe("mini_sigma_mlp"), name)
    assert report.loaded == ("encoder",) and report.pretraining_data == ()
    assert {key.partition(".")[0] for key in changed} == {"encoder"}
    with pytest.raises(ValueError, match=r"heads of released decoders are 64 wide, those of the recipe 6; set decoder"):
        open_warm_start(name, small_recipe("mini_videomae"))
    with pytest.raises(ValueError, match=r"its encoder has num_heads 3, the recipe states 4; set encoder\.num_heads"):
        open_warm_start(name, overridden(small_recipe("mini_sigma_mlp"), {"encoder": {"num_heads": 4}}))


def test_what_a_recipe_does_not_train_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "classifier.pth"
    torch.save({"model": finetuned_file(pretraining_model(SMALL).encoder)}, path)
    with pytest.raises(ValueError, match="its blocks, positions or norms differ from those that recipes train"):
        open_warm_start(f"{path}@3heads", small_recipe("mini_sigma_mlp"))
    with pytest.raises(ValueError, match="another architecture"):
        open_warm_start("random:mini_dino", tiny_recipe())
    with pytest.raises(ValueError, match="can start from a run of this project only"):
        open_warm_start("timm:vit_tiny_patch16_224", tiny_dino())
    with pytest.raises(ValueError, match="an image encoder cannot start a video encoder"):
        open_warm_start(str(run_of(tiny_dino(), tmp_path / "dino")), tiny_recipe())


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"encoder": {"depth": 2}}, "its encoder has depth 1, the recipe states 2; set encoder.depth to 1$"),
        ({"encoder": {"num_heads": 2}}, "its encoder has num_heads 1, the recipe states 2"),
        ({"decoder": {"num_heads": 2}}, "its decoder has num_heads 1, .* or load its encoder alone with encoder:"),
        (
            {"objective": {"num_prototypes": 32}},
            r"'prototypes.weight' has shape \(64, 32\), .*; encoder:.* loads",
        ),
    ],
)
def test_another_geometry_is_refused_in_one_sentence(tmp_path: Path, changes: dict[str, Any], sentence: str) -> None:
    run, recipe = run_of(tiny_recipe(), tmp_path / "run"), overridden(tiny_recipe(), changes)
    model = build_method(recipe, seed=0).model
    before = {key: value.clone() for key, value in model.state_dict().items()}
    with pytest.raises(ValueError, match=sentence):
        open_warm_start(str(run), recipe).load_into(model)
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())


def test_clips_of_another_size_and_length_are_allowed(tmp_path: Path) -> None:
    recipe = overridden(tiny_recipe(), {"encoder": {"num_frames": 4, "image_size": 32}})
    assert equal_parts(recipe, str(run_of(tiny_recipe(), tmp_path / "run")))[1].initialised == ()


def test_the_identity_tells_weights_and_what_is_loaded_of_them(tmp_path: Path) -> None:
    recipe, run = tiny_recipe(), run_of(tiny_recipe(), tmp_path / "run")
    other = run_of(tiny_recipe().model_copy(update={"recipe": "other"}), tmp_path / "other")
    names = (str(run), f"encoder:{run}", str(other))
    assert len({str(open_warm_start(name, recipe).identity) for name in names}) == 3
