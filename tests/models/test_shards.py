"""Weights in several files are read completely, as their index says, or not at all."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from sigma_bench.models.weights_file import read_weights
from tests.models.external_files import external_encoder, huggingface_file, pretraining_model
from tests.models.test_huggingface_videomae import folder

FIRST, SECOND = (f"model-0000{number}-of-00002.safetensors" for number in (1, 2))
TENSORS = {"a": torch.arange(3.0), "b": torch.ones(2, 2), "c": torch.zeros(1)}


def shards(path: Path, tensors: dict[str, Tensor] = TENSORS, **changes: Any) -> Path:
    """A folder with the first tensor in one file and the others in another one."""
    path.mkdir(exist_ok=True)
    first, *others = tensors
    save_file({first: tensors[first].contiguous()}, path / FIRST)
    save_file({name: tensors[name].contiguous() for name in others}, path / SECOND)
    places = {first: FIRST, **dict.fromkeys(others, SECOND)} | changes
    (path / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": places}))
    return path


def test_all_tensors_of_all_files_are_read(tmp_path: Path) -> None:
    file = read_weights(shards(tmp_path))
    assert file.content.keys() == TENSORS.keys()
    assert all(torch.equal(file.content[name], tensor) for name, tensor in TENSORS.items())
    assert read_weights(tmp_path / "model.safetensors.index.json").sha256 == file.sha256


def test_the_digest_is_that_of_the_weights(tmp_path: Path) -> None:
    digests = [read_weights(shards(tmp_path / name, {**TENSORS, "c": torch.full((1,), value)})).sha256
               for name, value in (("x", 0.0), ("y", 0.0), ("z", 1.0))]  # fmt: skip
    assert digests[0] == digests[1] != digests[2]


def test_a_model_in_several_files_is_that_of_one_file(tmp_path: Path) -> None:
    model = pretraining_model()
    whole = folder(tmp_path / "whole", huggingface_file(model))
    parts = shards(tmp_path / "parts", {name: value.detach() for name, value in huggingface_file(model).items()})
    (parts / "config.json").write_text((whole / "config.json").read_text())
    clip = torch.randn(1, 3, 8, 32, 32)
    encoders = [external_encoder(path) for path in (whole, parts)]
    assert torch.equal(encoders[0].encode(clip).token_BND, encoders[1].encode(clip).token_BND)
    assert encoders[1].card.model == "parts"


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"d": SECOND}, rf"{SECOND} lacks 'd', in contradiction"),
        ({"b": FIRST}, rf"{FIRST} lacks 'b', in contradiction"),
        ({"d": "model-00003-of-00003.safetensors"}, r"1 of 3 files are missing, such as model-00003-of-00003"),
        ({"d": "../weights.safetensors"}, r"lists '../weights.safetensors', which is not a weight file of its folder"),
        ({"d": "/etc/passwd"}, r"lists '/etc/passwd', which is not a weight file of its folder"),
        ({"d": "model.safetensors.index.json"}, r"lists 'model.safetensors.index.json', which is not a weight file"),
        ({"d": 3}, r"'weight_map' must map each tensor to a file"),
    ],
)
def test_an_index_that_does_not_fit_is_refused(tmp_path: Path, changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=r"model\.safetensors\.index\.json: .*" + sentence):
        read_weights(shards(tmp_path, **changes))


def test_a_tensor_that_the_index_does_not_list_is_refused(tmp_path: Path) -> None:
    shards(tmp_path)
    save_file({"a": TENSORS["a"], "b": TENSORS["b"]}, tmp_path / FIRST)
    with pytest.raises(ValueError, match=rf"{FIRST} holds 'b', in contradiction to the index"):
        read_weights(tmp_path)


def test_half_of_a_checkpoint_is_refused(tmp_path: Path) -> None:
    (shards(tmp_path) / SECOND).unlink()
    with pytest.raises(ValueError, match=rf"incomplete: 1 of 2 files are missing, such as {SECOND}"):
        read_weights(tmp_path)


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"weight_map": {}}'])
def test_a_damaged_index_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "model.safetensors.index.json").write_text(text)
    with pytest.raises(ValueError, match="not an index of weight files"):
        read_weights(tmp_path)
