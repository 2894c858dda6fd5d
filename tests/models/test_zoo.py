"""Model names on the command line: files of all known kinds, suffixes for other clips, and error messages."""

import argparse

import pytest
import torch

from sigma_bench.models.checkpoints import save_checkpoint
from sigma_bench.models.zoo import load_encoder
from sigma_bench.specs.catalogue import load_recipe
from sigma_bench.training.method import build_method
from tests.models.external_files import pretraining_file, pretraining_model

ARGUMENTS = argparse.Namespace(num_heads=3, num_frames=8, input_size=32)


@pytest.fixture
def released(tmp_path):
    model, path = pretraining_model(), tmp_path / "vit.pth"
    torch.save({"model": pretraining_file(model), "args": ARGUMENTS}, path)
    return model, path


def test_a_released_file_with_and_without_suffix(released):
    model, path = released
    for suffix, frames, size in (("", 8, 32), ("@4x48", 4, 48)):
        encoder = load_encoder(f"{path}{suffix}")
        clip = torch.randn(1, 3, frames, size, size)
        assert (encoder.card.num_frames, encoder.card.image_size) == (frames, size)
        assert encoder.card.model == f"vit{suffix}"
        assert torch.equal(encoder.encode(clip).token_BND, model.encoder(clip))


def test_heads_can_be_stated(released):
    model, path = released
    torch.save(pretraining_file(model), path)
    with pytest.raises(ValueError, match=r"state it, as in '.*vit.pth@6heads'"):
        load_encoder(str(path))
    clip = torch.randn(1, 3, 4, 16, 16)
    assert torch.equal(load_encoder(f"{path}@4x16@3heads").encode(clip).token_BND, model.encoder(clip))


def test_a_name_with_an_at_sign_that_exists_is_a_name(released):
    _, path = released
    other = path.rename(path.with_name("vit@4x48"))
    with pytest.raises(ValueError, match="not a weight file"):  # it is looked at, not taken apart
        load_encoder(str(other))


@pytest.mark.parametrize("name", ["folder", "file"])
def test_our_own_checkpoints_take_other_clips_too(tmp_path, name):
    recipe = load_recipe("mini_videomae")
    model = build_method(recipe, seed=0).model.eval()
    save_checkpoint(tmp_path / "model.safetensors", model.state_dict(), recipe, seed=2, identity="x")
    path = tmp_path if name == "folder" else tmp_path / "model.safetensors"
    spec = recipe.encoder
    frames, size = 2 * spec.tubelet_frames, 3 * spec.patch_size
    encoder = load_encoder(f"{path}@{frames}x{size}")
    clip = torch.randn(1, 3, frames, size, size)
    assert torch.equal(encoder.encode(clip).token_BND, model.encoder(clip))
    assert (encoder.card.num_frames, encoder.card.image_size) == (frames, size)
    assert encoder.card.model == f"mini_videomae@{frames}x{size}"
    assert load_encoder(str(path)).card.model == "mini_videomae"
    assert load_encoder(f"{path}@{spec.num_frames}x{spec.image_size}").card.model == "mini_videomae"
    with pytest.raises(ValueError, match="use multiples of both"):
        load_encoder(f"{path}@{frames + 1}x{size}")
    with pytest.raises(ValueError, match="leave '@3heads' out"):
        load_encoder(f"{path}@3heads")


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("absent", r"there is no model 'absent': .* Controls are random:<recipe> and statistics:<recipe>\."),
        ("absent.pth@8", "Clips of another geometry are written as @<frames>x<size>"),
        ("absent.pth@8x112", "there is no model 'absent.pth@8x112'"),
        ("randm:mini_videomae", "Did you mean 'random'"),
        ("", "there is no model ''"),
    ],
)
def test_unknown_names_are_answered(name, sentence, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=sentence):
        load_encoder(name)


def test_random_weights_may_have_a_seed_of_their_own():
    digests = [
        load_encoder(f"random:mini_videomae{own}", seed=seed).card.checkpoint_sha256
        for own, seed in (("", 3), ("@seed3", 0), ("@seed4", 3))
    ]
    assert digests[0] == digests[1] != digests[2]
    assert load_encoder("random:mini_dino@seed12").card.pretraining_seed == 12
    for name, sentence in (
        ("statistics:mini_videomae@seed3", "have no weights to draw; leave '@seed3' out"),
        ("random:mini_videomae@seed", "there is no recipe 'mini_videomae@seed'"),
    ):
        with pytest.raises(ValueError, match=sentence):
            load_encoder(name)


def test_files_named_like_every_other_take_their_folders_name(released):
    _, path = released
    folder = path.parent / "sigma_b"
    folder.mkdir()
    assert load_encoder(str(path.rename(folder / "checkpoint.pth"))).card.model == "sigma_b"
