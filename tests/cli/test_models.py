"""``sigma-bench models`` and ``models inspect``."""

import argparse
import sys

import pytest
import torch

from sigma_bench.cli.main import app_main
from sigma_bench.models.checkpoints import CustomVideos, RunOrigin, save_checkpoint
from sigma_bench.specs.catalogue import load_recipe
from sigma_bench.specs.recipe import overridden
from sigma_bench.training.method import build_method
from tests.models.external_files import pretraining_file, pretraining_model
from tests.models.huggingface_folders import saved, small_model
from tests.models.video_files import svt_layout


@pytest.fixture
def run(monkeypatch, capsys):
    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["sigma-bench", "models", *map(str, arguments)])
        with pytest.raises(SystemExit) as caught:
            app_main()
        captured = capsys.readouterr()
        return int(caught.value.code or 0), " ".join(captured.out.split()), " ".join(captured.err.split())

    return call


@pytest.fixture
def files(tmp_path):
    recipe = load_recipe("mini_videomae")
    model = build_method(recipe, seed=0).model
    save_checkpoint(tmp_path / "run" / "model.safetensors", model.state_dict(), recipe, seed=2, identity="x")
    weights = pretraining_file(pretraining_model(), prototypes=True, projection=True)
    arguments = argparse.Namespace(num_heads=3, num_frames=8, input_size=32, seed=5, notes="[red]x[/red]")
    torch.save({"model": weights, "args": arguments, "epoch": 11}, tmp_path / "vit.pth")
    return tmp_path


def test_listing_a_folder_a_file_and_nothing(run, files, monkeypatch):
    code, out, _ = run(files)
    assert code == 0
    assert "VideoMAE" in out
    assert "SIGMA-MLP 8 x 32 px" in run(files / "vit.pth")[1]
    monkeypatch.chdir(files)
    code, _, err = run("results")
    assert (code, "results: there is no such file or folder" in err) == (2, True)
    (files / "results").mkdir()
    assert "no checkpoints below results" in run("results")[1]
    code, out, _ = run()
    assert code == 0
    for family in ("V-JEPA 2 (vjepa2)", "hf:<folder or id>", "random:<recipe>[@seed<n>]", "timm:<name>[:<file>]"):
        assert family in out, family


def test_a_broken_checkpoint_does_not_stop_the_listing(run, files):
    (files / "broken").mkdir()
    (files / "broken" / "model.safetensors").write_bytes(b"no tensors")
    code, out, err = run(files)
    assert code == 1 and "VideoMAE" in out
    assert err.count("error:") == 1 and "broken/model.safetensors" in err


def test_inspecting_a_released_file(run, files):
    code, out, _ = run("inspect", files / "vit.pth")
    assert code == 0
    for fact in (
        "format released pretraining", "family SIGMA-MLP", "2 blocks, 24 wide, 3 heads, tubes of 2 frames x 8 px",
        "clip 8 frames x 32 px", "length 12 epochs", "seed 5", "matched 30 tensors", "missing 0 tensors",
        "not needed 22 tensors: decoder.blocks.0.", "metadata num_heads = 3", "[red]x[/red]",
    ):  # fmt: skip
        assert fact in out, fact
    assert "clip 4 frames x 16 px" in run("inspect", f"{files / 'vit.pth'}@4x16")[1]


def test_inspecting_our_own_file(run, files):
    code, out, _ = run("inspect", files / "run")
    assert code == 0
    for fact in (
        "format sigma-bench/1", "family VideoMAE", "seed 2", "missing 0 tensors", "recipe = mini_videomae",
        "pretrained on ssv2", "length 4 epochs", "metadata summary = ",
    ):  # fmt: skip
        assert fact in out, fact


def test_a_run_on_custom_videos_states_them_and_its_steps(run, tmp_path):
    recipe = overridden(load_recipe("mini_videomae"), {"optim": {"steps": 60}, "data": {"datasets": []}})
    origin = RunOrigin(videos=CustomVideos(name="clips", num_videos=30))
    tensors, path = build_method(recipe, seed=0).model.state_dict(), tmp_path / "run" / "model.safetensors"
    save_checkpoint(path, tensors, recipe, seed=2, identity="x", origin=origin)
    _, out, _ = run("inspect", tmp_path / "run")
    for fact in ("pretrained on clips (30 custom videos)", "length 60 steps", "metadata optim.steps = 60"):
        assert fact in out, fact
    assert "metadata summary" not in out and "mini world" not in out
    _, out, _ = run(tmp_path)
    assert "?" not in out and "60 steps" in out


def test_inspecting_an_image_model(run, tmp_path):
    import timm

    vit = timm.create_model("vit_tiny_patch16_224", img_size=32, num_classes=0, depth=2)
    torch.save({"teacher": {f"backbone.{k}": v for k, v in vit.state_dict().items()}}, tmp_path / "dino.pth")
    code, out, _ = run("inspect", tmp_path / "dino.pth")
    assert code == 0
    assert "image ViT" in out and f"load as timm:<name>:{tmp_path / 'dino.pth'}" in out.replace("\n", "")
    assert "2 blocks, 192 wide, patches of 16 px, 5 learned positions" in out


def test_inspecting_svt(run, tmp_path):
    files = svt_layout()
    name = files.write(tmp_path, files.needed | files.others)
    code, out, _ = run("inspect", name)
    assert code == 0
    for fact in (
        "format SVT, the teacher", "family SVT", "2 blocks, 24 wide, 2 heads, patches of 8 px", "clip 4 frames x 32 px",
        "frames: any number; height and width: multiples of 8 px", "fine-tuning yes", "missing 0 tensors",
        "not needed 2 tensors: head.last_layer.weight_g, head.mlp.0.weight",
        "metadata attention_type = divided_space_time",
    ):  # fmt: skip
        assert fact in out, fact
    assert f"sigma-bench check {name}" in out.replace("\n", "")


@pytest.mark.parametrize("prefix", ["hf:", ""])
def test_inspecting_a_folder_of_transformers(run, tmp_path, prefix):
    folder = saved(small_model("vivit"), tmp_path / "vivit")
    code, out, _ = run("inspect", f"{prefix}{folder}")
    assert code == 0
    for fact in (
        "format Hugging Face vivit", "family ViViT", "2 blocks, 32 wide, 2 heads, tubes of 2 frames x 8 px",
        "clip 4 frames x 32 px", "frames: 4 only; height and width: 32 px only", "fine-tuning yes",
        f"sigma-bench check hf:{folder}",
    ):  # fmt: skip
        assert fact in out, fact
    assert run("inspect", f"{prefix}{folder}@8x32")[0] == 2


def test_inspecting_a_control_and_a_file_of_an_unsupported_kind(run, tmp_path):
    code, out, _ = run("inspect", "statistics:mini_videomae")
    assert code == 0 and "format no file of its own" in out and "frames: unknown; height and width: unknown" in out
    tensors = {"patch_embed.proj.weight": torch.zeros(24, 3, 1, 14, 14), "blocks.0.ls1.gamma": torch.zeros(24)}
    torch.save({"module": tensors}, tmp_path / "iv2.pt")
    code, _, err = run("inspect", tmp_path / "iv2.pt")
    assert code == 2 and "holds an InternVideo2 encoder" in err


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("a.pth", {"model": {"conv1.weight": torch.zeros(2)}}, "not a video ViT of SIGMA"),
        ("b.pth", {"model": {}}, "not a model's weights"),
        ("c.pth", [1, 2], "holds a list"),
        ("d.pth", {"model": {"a": 3}}, "'a' is of type int, not a tensor"),
    ],
)
def test_what_is_no_model_is_one_sentence(run, tmp_path, name, content, sentence):
    torch.save(content, tmp_path / name)
    code, _, err = run("inspect", tmp_path / name)
    assert code == 2
    assert "Traceback" not in err
    assert sentence in err


def test_an_absent_file_is_one_sentence(run, tmp_path):
    code, _, err = run("inspect", tmp_path / "absent.pth")
    assert code == 2
    assert "there is no model" in err and "absent.pth" in err
