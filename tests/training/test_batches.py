"""Loading: what is wrong with a file or a worker is said in one sentence, whoever met it."""

import os
import shutil
import signal
from pathlib import Path

import numpy as np
import pytest
import torch

from sigma_bench.data.decoder import DecodeError, Decoder
from sigma_bench.data.examples import FrameCache, Origin
from sigma_bench.data.manifest import Sample
from sigma_bench.sigma.method import SigmaMethod
from sigma_bench.sigma.spec import SigmaRecipe
from sigma_bench.training.batches import Batches
from sigma_bench.training.distribution import Processes
from sigma_bench.training.loop import train
from sigma_bench.training.method import build_method
from sigma_bench.training.pretraining import training_samples
from sigma_bench.training.run_plan import RunOptions, plan_of
from tests.conftest import tiny_recipe

ALONE = Processes(torch.device("cpu"))


def streamed() -> SigmaRecipe:
    recipe = tiny_recipe()
    assert isinstance(recipe, SigmaRecipe)
    return recipe.model_copy(update={"data": recipe.data.model_copy(update={"loader": "stream"})})


class Killed(SigmaMethod):
    """Its examples end the process that makes them, as the system does when memory runs out."""

    def draw(self, video: Decoder, rng: np.random.Generator, origin: Origin) -> tuple[torch.Tensor, ...]:
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError


@pytest.mark.parametrize("num_workers", [0, 1])
def test_a_broken_video_is_named_and_nothing_takes_its_place(world: Path, tmp_path: Path, num_workers: int) -> None:
    recipe = streamed()
    samples, _ = training_samples(recipe, world)
    broken = tmp_path / "broken.webm"
    broken.write_bytes(b"no video")
    bad = Sample("broken", broken, "video", None, group="broken")
    batches = Batches(plan_of(recipe), [bad] * 16 + samples, ALONE, RunOptions(num_workers=num_workers), seed=0)
    share = next(batches.starting_at(0, build_method(recipe, seed=0)))
    assert batches.ids_of(0).count("broken") > 0
    assert share.failures == {"broken": f"{broken}: not a video that can be decoded"}
    assert len(share.example[0]) == recipe.optim.global_batch - batches.ids_of(0).count("broken")


def test_a_killed_worker_is_named(world: Path, tmp_path: Path) -> None:
    recipe = streamed()
    samples, _ = training_samples(recipe, world)
    method, options = Killed(recipe), RunOptions(num_workers=1)
    with pytest.raises(ValueError, match=r"a worker that reads videos was killed .* use fewer --num-workers"):
        train(plan_of(recipe), method, samples, identity="x", seed=0, folder=tmp_path, processes=ALONE, options=options)


def test_a_continued_run_gets_the_batches_it_would_have_got(world: Path) -> None:
    recipe = tiny_recipe()
    samples, _ = training_samples(recipe, world)
    batches, method = Batches(plan_of(recipe), samples, ALONE, seed=0), build_method(recipe, seed=0)
    whole = [share.example for share in batches.starting_at(0, method)]
    rest = [share.example for share in batches.starting_at(7, method)]
    assert len(whole) == batches.num_steps == len(rest) + 7
    assert all(
        torch.equal(a, b) for one, two in zip(whole[7:], rest, strict=True) for a, b in zip(one, two, strict=True)
    )


def test_videos_decoded_for_one_run_are_not_read_again_by_the_next(world: Path, tmp_path: Path) -> None:
    shutil.copytree(world / "ssv2", tmp_path / "ssv2")
    samples, _ = training_samples(tiny_recipe(), tmp_path)
    memory = FrameCache(2**30)
    before = [memory.frames(sample) for sample in samples]
    for sample in samples:
        sample.path.unlink()
    assert all(np.array_equal(memory.frames(sample), frames) for sample, frames in zip(samples, before, strict=True))
    with pytest.raises(DecodeError):
        FrameCache(0).frames(samples[0])
