"""Two real processes are one: codes, loss, gradients, twenty steps, a killed worker, a polite stop.

The recipes are tiny; the processes talk over gloo, and torchrun's are started where signals are sent.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from sigma_bench.models.checkpoints import read_checkpoint
from sigma_bench.records.lock import exclusive
from sigma_bench.specs.catalogue import load_recipe
from sigma_bench.specs.strict import read_yaml
from sigma_bench.training.accumulation import accumulate_gradients
from sigma_bench.training.batches import LocalBatch
from sigma_bench.training.decoding_failures import DecodingFailures
from sigma_bench.training.distribution import Processes, joined_processes
from sigma_bench.training.method import build_method
from sigma_bench.training.pretraining import run_recipe
from sigma_bench.training.run_plan import plan_of
from tests.conftest import tiny_recipe
from tests.fork_server import Command
from tests.training.test_termination import wait_until_gone
from tests.two_processes import in_two_processes


def batch_of(recipe, dtype=torch.float64):
    generator = torch.Generator().manual_seed(0)
    frames = torch.randint(0, 256, (8, 8, 3, 48, 48), generator=generator).to(dtype)
    places = torch.rand(8, 1, 36, generator=generator).argsort(-1) < 27
    return frames, places.expand(8, 4, 36).flatten(1)


def one_step(name: str, processes: Processes, num_micro_batches: int, num_broken: int, folder: Path):
    """Loss and gradients of the global batch as this processes computes them, in float64.

    With ``num_broken`` the second process has drawn as many videos that do not decode, besides its clips.
    """
    from sigma_bench.training.accumulation import distributed

    recipe = tiny_recipe(name)
    method = build_method(recipe, seed=0, group=processes.group).double()
    sizes = [8] if processes.size == 1 else [4 + num_broken // 2, 4 - num_broken // 2]
    mine = tuple(part.split(sizes)[processes.rank] for part in batch_of(recipe))
    optim = recipe.optim.model_copy(update={"global_batch": 8 + num_broken})
    videos = DecodingFailures(plan_of(recipe.model_copy(update={"optim": optim})), processes, folder, num_listed=1000)
    broken = {f"video {number}": "broken" for number in range(num_broken)} if processes.rank == 1 else {}
    weight = videos.weigh(LocalBatch(0, mine, broken, 0.0)) if processes.size > 1 else 1.0
    assert len(videos) == (num_broken if processes.size > 1 else 0)
    module = distributed(method, processes)
    output = accumulate_gradients(module, method, mine, num_micro_batches=num_micro_batches, weight=weight)
    gradients = {key: p.grad for key, p in method.model.named_parameters() if p.grad is not None}
    return float(processes.mean(output.loss)), gradients


CASES = (("mini_sigma_mlp", 1, 0), ("mini_sigma_mlp", 2, 0), ("mini_videomae", 1, 0), ("mini_sigma_mlp", 2, 2))
"""Recipe, the micro-batches of each process, and how many videos of the batch are broken."""


def main(folder: str) -> None:
    """What each process of the next test does."""
    with joined_processes("cpu") as processes:
        for number, case in enumerate(CASES):
            name, num_micro_batches, num_broken = case
            result = one_step(name, processes, num_micro_batches, num_broken, Path(folder))
            if processes.is_main:
                torch.save(result, Path(folder) / f"{number}.pt")


def test_loss_and_gradients_of_two_processes_are_those_of_one(tmp_path: Path) -> None:
    in_two_processes(main, str(tmp_path))
    for number, (name, *case) in enumerate(CASES):
        loss, gradients = torch.load(tmp_path / f"{number}.pt", weights_only=True)
        expected_loss, expected = one_step(name, Processes(torch.device("cpu")), 1, 0, tmp_path)
        assert loss == pytest.approx(expected_loss, rel=1e-12)
        assert gradients.keys() == expected.keys()
        for key, value in expected.items():
            assert np.allclose(gradients[key], value, rtol=1e-9, atol=1e-12), (name, case, key)


ENVIRONMENT = {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).resolve().parents[2])}


@pytest.fixture
def recipe_file(tmp_path: Path) -> Path:
    """Twenty steps of 8 clips, saved every third."""
    recipe = tiny_recipe("mini_sigma_mlp")
    content = recipe.model_dump(mode="json") | {"recipe": "tiny"}
    content["optim"] |= {"global_batch": 8, "epochs": 2, "warmup_epochs": 0.5}
    path = tmp_path / "tiny.yaml"
    path.write_text(json.dumps(content))
    return path


def words(recipe_file: Path, world: Path, output: Path, *options: str) -> list[str]:
    return ["pretrain", str(recipe_file), "--data", str(world), "--output", str(output), *options]


def launched(words: list[str], folder: Path) -> Command:
    return Command(*words, "--nproc", "2", folder=folder, environment=ENVIRONMENT)


def whole_run(recipe_file: Path, world: Path, output: Path) -> None:
    """A run that is not stopped, in this process or in the processes of one run."""
    run_recipe(load_recipe(str(recipe_file)), world, output, seed=0)


def wait_for(path: Path, is_running: Callable[[], bool], message: Callable[[], str]) -> None:
    deadline = time.monotonic() + 60
    while not path.exists() and is_running() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert path.exists(), message()


@pytest.mark.slow
def test_twenty_steps_of_two_processes_are_those_of_one_and_survive_sigterm(
    recipe_file: Path, world: Path, tmp_path: Path
) -> None:
    one, two, cut = tmp_path / "one", tmp_path / "two", tmp_path / "cut"
    whole_run(recipe_file, world, one)
    in_two_processes(whole_run, recipe_file, world, two)
    histories = [json.loads((folder / "history.json").read_text()) for folder in (one, two)]
    assert [row["step"] for row in histories[0]] == [10, 20]
    for alone, together in zip(*histories, strict=True):
        assert together["loss"] == pytest.approx(alone["loss"], rel=1e-5)
    weights = [read_checkpoint(folder / "model.safetensors").tensors for folder in (one, two)]
    for key, value in weights[0].items():
        torch.testing.assert_close(weights[1][key], value, rtol=0, atol=1e-4)

    run = launched(words(recipe_file, world, cut, "--num-workers", "1"), tmp_path)
    wait_for(cut / "resume.pt", run.process.is_alive, lambda: run.end()[2])
    os.killpg(run.pid, signal.SIGTERM)  # as SLURM does: all processes, those that read videos too
    code, _, message = run.end()
    assert code == 143, message
    assert "the same command continues" in message
    assert "Traceback" not in message
    code, shown, message = launched(words(recipe_file, world, cut), tmp_path).end()
    assert code == 0, message
    assert shown.count("checkpoint:") == 1
    digests = {read_checkpoint(folder / "model.safetensors").sha256 for folder in (two, cut)}
    assert len(digests) == 1


@pytest.mark.slow
def test_a_killed_worker_ends_the_run_with_one_sentence(recipe_file: Path, world: Path, tmp_path: Path) -> None:
    run = launched(words(recipe_file, world, tmp_path / "run"), tmp_path)
    wait_for(tmp_path / "run" / "resume.pt", run.process.is_alive, lambda: run.end()[2])
    workers = Path(f"/proc/{run.pid}/task/{run.pid}/children").read_text().split()
    os.kill(int(workers[-1]), signal.SIGKILL)
    code, _, message = run.end()
    assert code != 0
    assert "was killed by signal 9; the same command continues" in " ".join(message.split())
    assert "Traceback" not in message


def descendants(pid: int) -> list[int]:
    found = []
    for thread in Path(f"/proc/{pid}/task").iterdir():
        for child in (thread / "children").read_text().split():
            found += [int(child), *descendants(int(child))]
    return found


@pytest.mark.slow
def test_ranks_and_their_workers_end_when_torchrun_is_killed_and_the_run_resumes(
    recipe_file: Path, world: Path, tmp_path: Path
) -> None:
    content = read_yaml(recipe_file)
    content["optim"] |= {"epochs": 4}
    recipe_file.write_text(json.dumps(content))
    cut, whole = tmp_path / "cut", tmp_path / "whole"
    torchrun = ["-m", "torch.distributed.run", "--nproc-per-node", "2"]
    pretraining = words(recipe_file, world, cut, "--num-workers", "1", "--device", "cpu")
    with subprocess.Popen(
        [sys.executable, *torchrun, "-m", "sigma_bench", *pretraining],
        env=os.environ | ENVIRONMENT,
        text=True,
        stderr=subprocess.PIPE,
    ) as process:
        wait_for(cut / "resume.pt", lambda: process.poll() is None, lambda: process.communicate()[1])
        started = descendants(process.pid)
        assert len(started) >= 4  # two ranks and a worker of each
        process.kill()
        assert wait_until_gone(started, 5) == []
    assert not (cut / "model.safetensors").exists()
    with exclusive(cut):
        pass
    for folder in (cut, whole):
        in_two_processes(whole_run, recipe_file, world, folder)
    digests = {read_checkpoint(folder / "model.safetensors").sha256 for folder in (cut, whole)}
    assert len(digests) == 1
