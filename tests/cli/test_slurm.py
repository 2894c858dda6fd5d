"""A job on submitit's local cluster, whose tasks form a process group by the environment of SLURM."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from sigma_bench.models.checkpoints import read_checkpoint
from tests.conftest import tiny_recipe

ROOT = Path(__file__).resolve().parents[2]


def submit(folder: Path, *arguments: str, tasks: int = 1) -> subprocess.CompletedProcess[str]:
    options = ["--cluster", "local", "--gpus", "0", "--tasks", str(tasks), "--logs", str(folder / "logs")]
    return subprocess.run(
        [sys.executable, "-m", "sigma_bench", "slurm", *options, "--", *arguments],
        env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
        text=True,
        capture_output=True,
        check=False,
    )


@pytest.mark.slow
def test_two_tasks_train_one_model(world: Path, tmp_path: Path) -> None:
    content = tiny_recipe().model_dump(mode="json") | {"recipe": "tiny"}
    (tmp_path / "tiny.yaml").write_text(json.dumps(content))
    arguments = ["pretrain", str(tmp_path / "tiny.yaml"), "--data", str(world), "--output", str(tmp_path / "run")]
    done = submit(tmp_path, *arguments, tasks=2)
    assert done.returncode == 0, done.stderr
    assert "checkpoint:" in done.stdout
    assert read_checkpoint(tmp_path / "run" / "model.safetensors").recipe.recipe == "tiny"


def test_a_task_that_fails_fails_the_job(tmp_path: Path) -> None:
    done = submit(tmp_path, "pretrain", "no_such_recipe", "--data", str(tmp_path))
    assert done.returncode != 0
    assert "there is no recipe 'no_such_recipe'" in done.stderr + done.stdout
