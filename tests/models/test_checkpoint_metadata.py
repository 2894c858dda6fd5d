"""Metadata of a checkpoint are validated before memory is allocated for the model."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import save_file

from sigma_bench.models.checkpoints import FORMAT
from sigma_bench.models.video_vit import VideoViT
from sigma_bench.models.zoo import load_encoder
from sigma_bench.specs.recipe import EncoderSpec
from tests.conftest import tiny_recipe

TINY = tiny_recipe()


def checkpoint(folder: Path, metadata: str) -> str:
    assert isinstance(TINY.encoder, EncoderSpec)
    tensors = {f"encoder.{name}": tensor for name, tensor in VideoViT(TINY.encoder).state_dict().items()}
    save_file(tensors, folder / "model.safetensors", {FORMAT: metadata})
    return str(folder / "model.safetensors")


def described(edit: Callable[[Any], None]) -> str:
    content = {"recipe": TINY.model_dump(mode="json"), "seed": 0, "epochs": 2, "identity": "x"}
    edit(content)
    return json.dumps(content)


def test_a_sound_one_is_read(tmp_path: Path) -> None:
    assert load_encoder(checkpoint(tmp_path, described(lambda content: None))).card.model == TINY.recipe


@pytest.mark.parametrize(
    ("metadata", "words"),
    [
        ("", "not JSON"),
        ("{}", "the key 'recipe' is missing"),
        ("[]", "not a JSON object"),
        ("[" * 100_000, "nested deeper than 64 levels"),
        ('{"recipe":' * 900 + "1" + "}" * 900, "nested deeper than 64 levels"),
        (described(lambda c: c.update(recipe=[])), "key 'recipe'"),
        (described(lambda c: c.update(seed="0")), "key 'seed'"),
        (described(lambda c: c.update(seed=-1)), "key 'seed'"),
        (described(lambda c: c.update(epochs=2**60)), "key 'epochs'"),
        (described(lambda c: c["recipe"].update(recipe="../x")), "key 'recipe'"),
        (described(lambda c: c["recipe"]["encoder"].update(width=1_200_000)), "key 'encoder.width'"),
        (described(lambda c: c["recipe"]["encoder"].update(depth=10**9)), "key 'encoder.depth'"),
        (described(lambda c: c["recipe"]["encoder"].update(image_size=8192, patch_size=1)), "exceed the limit of"),
        (described(lambda c: c["recipe"]["encoder"].update(width=65_536)), "has shape"),
        (described(lambda c: c["recipe"]["encoder"].update(depth=200)), "keys missing"),
    ],
)
def test_a_false_one_is_one_sentence_within_seconds(tmp_path: Path, metadata: str, words: str) -> None:
    path = checkpoint(tmp_path, metadata)
    started = time.monotonic()
    with pytest.raises(ValueError, match=words) as refused:
        load_encoder(path)
    assert time.monotonic() - started < 5
    assert str(refused.value).startswith(path) and "\n" not in str(refused.value)
