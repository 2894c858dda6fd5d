"""``sb.pretrain``: the function behind the command line."""

from pathlib import Path

import pytest

import sigma_bench as sb
from tests.conftest import tiny_recipe


def test_a_run_has_a_checkpoint_a_history_and_an_encoder_and_is_found_again(world: Path, tmp_path: Path) -> None:
    run = sb.pretrain(tiny_recipe(), data=world, output=tmp_path / "run", seed=3, device="cpu", progress=False)
    assert run.checkpoint == tmp_path / "run" / "model.safetensors" and run.decoding_failures is None
    history = run.history()
    assert history["step"].iloc[-1] == 10 and history["loss"].notna().all()  # 80 videos in batches of 16, two epochs
    assert run.load_encoder("cpu").card.pretraining_seed == 3
    stamp = run.checkpoint.stat().st_mtime_ns
    assert sb.pretrain(tiny_recipe(), data=world, output=tmp_path / "run", seed=3, progress=False) == run
    assert run.checkpoint.stat().st_mtime_ns == stamp


@pytest.mark.parametrize(
    ("recipe", "change", "sentence"),
    [
        ("mini_sigma_ml", {}, r"there is no recipe 'mini_sigma_ml'\. Did you mean 'mini_sigma_mlp'"),
        ("mini_sigma_mlp", {"data": "nowhere"}, "nowhere"),
        ("mini_sigma_mlp", {"teacher": "timm:vit_tiny"}, "has no teacher"),
        ("mini_sigma_mlp", {"accumulate": 5}, "does not divide into 1 processes x 5 micro-batches"),
    ],
)
def test_a_mistake_is_one_sentence(
    world: Path, tmp_path: Path, recipe: str, change: dict[str, object], sentence: str
) -> None:
    options = {"data": world, "output": tmp_path, "device": "cpu", "progress": False} | change
    with pytest.raises(ValueError, match=sentence):
        sb.pretrain(recipe, **options)  # type: ignore[arg-type]
