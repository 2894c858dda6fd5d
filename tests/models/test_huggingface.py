"""Names ``hf:...``: folders that are incomplete or of another kind, changed weights, and repositories without a hub."""

import json
import re
import sys
import time
from functools import partial

import huggingface_hub
import pytest
import torch
from safetensors.torch import save_file

from sigma_bench.cli.main import app_main
from sigma_bench.models import hub
from sigma_bench.models.zoo import load_encoder
from tests.models.huggingface_folders import (
    MODELS,
    change_config,
    clip_for,
    saved,
    small_model,
    weights_in_folder,
    write_folder,
)

FAMILIES = ["timesformer", "vivit", "videoprism", "pe_video", "dinov2_swiglu", "dinov3", "clip", "siglip", "hiera"]
OF_TOWER = {"dinov2_swiglu": "dinov2.", "clip": "vision_model.", "siglip": "vision_model."}
"""Prefix of the tensors of the vision model, for folders that hold more."""


@pytest.fixture
def folder(request, tmp_path):
    return saved(small_model(request.param), tmp_path / "model")


@pytest.fixture
def dinov2(tmp_path):
    return saved(small_model("dinov2"), tmp_path / "model")


def refused(folder, weights=None):
    """The sentence with which a folder is refused, after its weights have been replaced."""
    if weights is not None:
        save_file({name: value.contiguous() for name, value in weights.items()}, folder / "model.safetensors")
    with pytest.raises(ValueError) as caught:
        load_encoder(f"hf:{folder}")
    assert "\n" not in str(caught.value) and str(folder) in str(caught.value)
    return str(caught.value)


def tower(request):
    name = request.node.callspec.params["folder"]
    return OF_TOWER.get(name, "")


@pytest.mark.parametrize("folder", FAMILIES, indirect=True)
def test_changed_weights_are_refused(folder, request):
    prefix, weights = tower(request), weights_in_folder(folder)
    for name in weights:
        is_needed = name.startswith(prefix) and not any(part in name for part in ("pooler.", f"{prefix}head."))
        if is_needed and "weight" in name and ".1." not in name:
            assert "1 keys missing" in refused(folder, {key: weights[key] for key in weights if key != name})
    first = next(key for key in weights if key.startswith(prefix) and key.endswith(".weight"))
    without = {key: other for key, other in weights.items() if key != first}
    assert "unexpected" in refused(folder, weights | {f"{prefix}extra.weight": torch.zeros(2)})
    assert "missing" in refused(folder, without | {first.replace("weight", "kernel"): weights[first]})
    assert "has shape" in refused(folder, without | {first: weights[first][:-1]})
    assert "quantised" in refused(folder, without | {first: weights[first].to(torch.int8)})
    assert "quantised" in refused(folder, without | {first: weights[first].to(torch.float8_e4m3fn)})
    assert "not finite" in refused(folder, without | {first: weights[first] * float("nan")})
    assert "not finite" in refused(folder, without | {first: weights[first].double() * 1e300})
    save_file(weights, folder / "model.safetensors")
    load_encoder(f"hf:{folder}")


@pytest.mark.parametrize(
    ("folder", "name", "twin"),
    [
        ("timesformer", "layernorm.weight", "timesformer.layernorm.weight"),
        ("timesformer_classifier", "timesformer.layernorm.weight", "layernorm.weight"),
        ("vivit", "encoder.layer.0.attention.attention.query.weight", "layers.0.attention.q_proj.weight"),
        ("vivit_classifier", "vivit.layernorm.weight", "layernorm.weight"),
        ("dinov2", "encoder.layer.0.attention.output.dense.bias", "encoder.layer.0.attention.o_proj.bias"),
        ("dinov2_swiglu", "dinov2.encoder.layer.0.mlp.weights_out.bias", "dinov2.encoder.layer.0.mlp.down_proj.bias"),
        ("dinov3", "layer.0.norm1.weight", "model.layer.0.norm1.weight"),
        ("clip", "vision_model.post_layernorm.weight", "post_layernorm.weight"),
        ("clip_vision", "post_layernorm.weight", "vision_model.post_layernorm.weight"),
        ("siglip", "vision_model.post_layernorm.weight", "vision_model.vision_model.post_layernorm.weight"),
        ("videoprism", "layernorm2.weight", "vision_model.layernorm2.weight"),
    ],
    indirect=["folder"],
)
def test_a_tensor_under_two_names_or_under_its_name_in_memory_is_refused(folder, name, twin):
    weights = weights_in_folder(folder)
    assert "unexpected" in refused(folder, weights | {twin: 2 * weights[name]})
    renamed = {key: value for key, value in weights.items() if key != name} | {twin: weights[name]}
    assert "unexpected" in refused(folder, renamed)


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.float64])
def test_weights_of_another_precision_are_read_as_float32(kind, dinov2):
    weights = {name: value.to(kind) for name, value in weights_in_folder(dinov2).items()}
    save_file(weights, dinov2 / "model.safetensors")
    encoder = load_encoder(f"hf:{dinov2}")
    expected = weights["embeddings.patch_embeddings.projection.weight"].float()
    assert torch.equal(encoder.network.embeddings.patch_embeddings.projection.weight, expected)


def test_pytorch_files_are_read_and_their_code_is_not_run(dinov2):
    weights = weights_in_folder(dinov2)
    expected = load_encoder(f"hf:{dinov2}").encode(clip_for("dinov2")).token_BND
    (dinov2 / "model.safetensors").unlink()
    torch.save(weights, dinov2 / "pytorch_model.bin")
    assert torch.equal(load_encoder(f"hf:{dinov2}").encode(clip_for("dinov2")).token_BND, expected)
    torch.save({"state": weights}, dinov2 / "pytorch_model.bin")
    assert "does not hold tensors by name" in refused(dinov2)
    torch.save(small_model("dinov2"), dinov2 / "pytorch_model.bin")
    assert "would run code" in refused(dinov2)


def test_folders_without_configuration_or_weights(dinov2):
    weights = dinov2 / "model.safetensors"
    content = weights.read_bytes()
    weights.unlink()
    assert "a folder without model.safetensors" in refused(dinov2)
    weights.write_bytes(content[: len(content) // 2])
    assert "not a safetensors checkpoint" in refused(dinov2)
    weights.write_bytes(content)
    (dinov2 / "config.json").write_text("{")
    assert "not valid JSON" in refused(dinov2)
    (dinov2 / "config.json").write_text("[]")
    assert "expected a mapping" in refused(dinov2)
    (dinov2 / "config.json").unlink()
    assert "has no config.json" in refused(dinov2)


def test_half_of_a_divided_checkpoint_is_refused(tmp_path):
    folder = tmp_path / "model"
    small_model("dinov2").save_pretrained(folder, max_shard_size="20KB")
    shards = sorted(folder.glob("model-*.safetensors"))
    assert len(shards) > 2
    whole = load_encoder(f"hf:{saved(small_model('dinov2'), tmp_path / 'whole')}")
    tokens = load_encoder(f"hf:{folder}").encode(clip_for("dinov2")).token_BND
    assert torch.equal(tokens, whole.encode(clip_for("dinov2")).token_BND)
    shards[1].unlink()
    assert "incomplete: 1 of" in refused(folder)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model_type": "vivit"}, "keys missing"),
        ({"model_type": "bert"}, "a model of type 'bert'; known types are clip, "),
        ({"model_type": "b" * 5000}, r"of type 'b{80}\.\.\.'; known"),
        ({"model_type": None}, "config.json has no model_type"),
        ({"model_type": ["dinov2"]}, "config.json has no model_type"),
        ({"model_type": "mine", "auto_map": {"AutoModel": "modeling_mine.Mine"}}, "never run here.*as_encoder"),
        ({"num_hidden_layers": 3}, "keys missing"),
        ({"num_hidden_layers": 1, "out_features": None, "out_indices": None, "stage_names": None}, "unexpected"),
        ({"num_hidden_layers": 1_000_000}, "states 1000000 blocks, but there are 43 tensors"),
        ({"hidden_size": 64}, "has shape"),
        ({"hidden_size": 2**50, "num_attention_heads": 1}, "cannot have this config.json|has shape"),
        ({"hidden_size": "wide"}, "config.json does not fit Dinov2Model"),
        ({"num_attention_heads": 3}, "3 attention heads, which do not divide the width 32"),
        ({"num_attention_heads": 0}, "0 attention heads"),
        ({"patch_size": [8, 4]}, "has shape"),
        ({"image_size": 64}, "has shape"),
        ({"hidden_act": "swoosh"}, "cannot have this config.json"),
        ({"quantization_config": {"load_in_8bit": True}}, "quantised"),
    ],
)
def test_configurations_that_do_not_describe_the_weights(changes, message, dinov2):
    change_config(dinov2, **changes)
    sentence = refused(dinov2)
    assert re.search(message, sentence), sentence


def test_a_model_with_towers_needs_the_configuration_of_its_vision_model(tmp_path):
    folder = saved(small_model("clip"), tmp_path / "model")
    change_config(folder, vision_config=None)
    assert "has no vision_config" in refused(folder)


@pytest.mark.parametrize("name", ["dinov2", "timesformer", "clip"])
def test_a_plain_path_to_a_folder_says_how_to_write_it(name, tmp_path):
    folder = saved(small_model(name), tmp_path / "model")
    with pytest.raises(ValueError, match=rf"of type '{name}'; use hf:{folder}$"):
        load_encoder(str(folder))


def test_names_of_no_folder_and_of_no_repository(tmp_path):
    (tmp_path / "file").write_text("")
    for name, message in (
        (f"hf:{tmp_path}/nothing", "there is no folder"),
        ("hf:", "names no model"),
        ("timm:", "timm: names no model"),
        ("vjepa1:", "vjepa1: names no model; write vjepa1:<file>"),
        ("hf:../a/b/c", "there is no folder"),
        (f"hf:{tmp_path}/file", "is a file; name the folder"),
        (f"hf:{tmp_path}@8heads", "states the number of heads"),
    ):
        with pytest.raises(ValueError, match=message):
            load_encoder(name)


def test_without_transformers_one_sentence_says_what_to_install(dinov2, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "transformers", None)
    assert "pip install 'sigma-bench[hf]'" in refused(dinov2)
    monkeypatch.setattr(sys, "argv", ["sigma-bench", "check", f"hf:{dinov2}"])
    with pytest.raises(SystemExit) as ended:
        app_main()
    assert ended.value.code == 2
    assert "pip install 'sigma-bench[hf]'" in capsys.readouterr().err


@pytest.fixture
def no_hub(monkeypatch, tmp_path):
    """An endpoint at which nothing listens, and an empty cache."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr(hub, "HfApi", partial(huggingface_hub.HfApi, endpoint="http://127.0.0.1:9"))
    return tmp_path / "cache"


def test_without_a_hub_a_repository_is_refused_at_once(no_hub):
    before = time.monotonic()
    with pytest.raises(ValueError, match=r"'someone/model' is not in the hub's cache, and the hub cannot be reached"):
        load_encoder("hf:someone/model")
    with pytest.raises(ValueError, match="the hub cannot be reached"):
        hub.require_reachable("timm/some_model", cached=hub.TIMM_FILES)
    assert time.monotonic() - before < 2


def test_offline_a_repository_is_refused_without_a_request(no_hub, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr(hub, "HfApi", None)
    with pytest.raises(ValueError, match="HF_HUB_OFFLINE is set"):
        load_encoder("hf:someone/model")


def snapshot(cache, repository, commit="0" * 40):
    """The folder of a repository in the hub's cache."""
    root = cache / f"models--{repository.replace('/', '--')}"
    (root / "refs").mkdir(parents=True)
    (root / "refs" / "main").write_text(commit)
    return root / "snapshots" / commit


def test_a_complete_snapshot_in_the_cache_needs_no_hub_and_has_the_name_of_its_repository(no_hub):
    folder = snapshot(no_hub, "someone/small-1.5")
    saved(small_model("timesformer"), folder)
    assert load_encoder("hf:someone/small-1.5").card.model == "small-1.5"
    assert load_encoder("hf:someone/small-1.5@6x48").card.model == "small-1.5@6x48"
    (folder / "model.safetensors").unlink()
    with pytest.raises(ValueError, match="the hub cannot be reached"):
        load_encoder("hf:someone/small-1.5")


def test_a_file_of_timm_in_the_cache_needs_no_hub(no_hub):
    folder = snapshot(no_hub, "timm/small")
    folder.mkdir(parents=True)
    (folder / "model.safetensors").write_bytes(b"")
    hub.require_reachable("timm/small", cached=hub.TIMM_FILES)


def test_size_and_normalisation_come_from_the_preprocessor(tmp_path):
    folder = saved(small_model("timesformer"), tmp_path / "model")
    assert load_encoder(f"hf:{folder}").card.image_size == 32
    stated = {"size": {"shortest_edge": 64}, "crop_size": {"height": 48, "width": 48}, "image_mean": [0.45] * 3}
    (folder / "preprocessor_config.json").write_text(json.dumps(stated))
    card = load_encoder(f"hf:{folder}").card
    assert (card.image_size, card.mean, card.std) == (48, (0.45,) * 3, (0.229, 0.224, 0.225))
    assert card.model == "model", "a size that the folder states is its own"
    folder = saved(small_model("vivit"), tmp_path / "vivit")
    card = load_encoder(f"hf:{folder}").card
    assert (card.mean, card.std) == ((0.75,) * 3, (0.25,) * 3)


def test_every_model_type_is_documented_by_a_model_in_these_tests(tmp_path):
    from sigma_bench.models.transformers_families import FAMILIES, TOWERS

    seen = set()
    for name in MODELS:
        folder = saved(small_model(name), tmp_path / name)
        seen.add(json.loads((folder / "config.json").read_text())["model_type"])
    assert seen >= FAMILIES.keys() | TOWERS.keys() - {"pe_video", "videoprism"}


def test_videomae_folders_are_read_by_the_network_of_this_project(tmp_path):
    from tests.models.external_files import HF_CONFIG, huggingface_file, pretraining_model

    weights = {name: value.detach() for name, value in huggingface_file(pretraining_model()).items()}
    folder = write_folder(tmp_path / "videomae", HF_CONFIG, weights)
    clip = torch.randn(1, 3, 8, 32, 32)
    by_hf, by_path = load_encoder(f"hf:{folder}"), load_encoder(str(folder))
    assert torch.equal(by_hf.encode(clip).token_BND, by_path.encode(clip).token_BND)
    assert by_hf.card == by_path.card
