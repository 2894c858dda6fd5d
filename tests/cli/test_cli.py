"""The command line: valid calls, and one sentence with exit code 2 for every invalid call."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sigma_bench.cli.main import app_main
from sigma_bench.cli.pretrain import _next_command
from tests.conftest import tiny_recipe
from tests.fork_server import Command


def run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: object
) -> tuple[int, str, str]:
    monkeypatch.setattr(sys, "argv", ["sigma-bench", *map(str, arguments)])
    with pytest.raises(SystemExit) as caught:
        app_main()
    captured = capsys.readouterr()
    return int(caught.value.code or 0), captured.out, captured.err


BAD = {
    "no data root": (
        ["evaluate", "random:mini_videomae", "--task", "ucf101/knn", "--data", "absent"],
        "no such data root",
    ),
    "empty root": (
        ["evaluate", "random:mini_videomae", "--task", "ucf101/knn", "--data", "{tmp}"],
        "UCF101 is not here",
    ),
    "no --data": (
        ["evaluate", "random:mini_videomae", "--task", "ucf101/knn"],
        "data is missing: give the root folder",
    ),
    "nothing to do": (["evaluate", "random:mini_videomae"], "no task is named"),
    "task": (
        ["evaluate", "random:mini_videomae", "--task", "ucf11/knn", "--data", "{world}"],
        "Did you mean 'ucf101/knn'",
    ),
    "suite": (["evaluate", "random:mini_videomae", "--suite", "dema", "--data", "{world}"], "Did you mean 'demo'"),
    "model": (["evaluate", "absent", "--task", "ucf101/knn", "--data", "{world}"], "there is no model 'absent'"),
    "control": (
        ["evaluate", "randm:mini_videomae", "--task", "ucf101/knn", "--data", "{world}"],
        "Did you mean 'random'",
    ),
    "recipe": (["pretrain", "mini_sigma", "--data", "{world}"], "Did you mean 'mini_sigma_mlp"),
    "recipe file": (
        ["pretrain", "absent/mini_sigma.yaml", "--csv", "a.csv"],
        "there is no recipe file absent/mini_sigma",
    ),
    "key of a recipe": (["pretrain", "mini_dino", "--csv", "a.csv", "--set", "optim.epoch=1"], "Did you mean 'epochs'"),
    "no videos": (["pretrain", "mini_sigma_mlp"], "or custom videos as csv or folders"),
    "no csv": (["pretrain", "mini_sigma_mlp", "--csv", "absent.csv"], "there is no such CSV file or list"),
    "init": (["pretrain", "mini_sigma_mlp", "--data", "{world}", "--init", "absent"], "there is no model 'absent'"),
    "board": (["table", "minni"], "Did you mean 'mini'"),
    "key": (
        ["evaluate", "random:mini_videomae", "--task", "ucf101/knn", "--data", "{world}", "--set", "neighbors=5"],
        "unknown key 'content.neighbours'|Did you mean 'neighbours'",
    ),
    "not a checkpoint": (
        ["evaluate", "{text}", "--task", "ucf101/knn", "--data", "{world}"],
        "not a safetensors checkpoint",
    ),
    "bad csv": (["evaluate", "random:mini_videomae", "--csv", "{text}"], "line 1: the header lacks path, label"),
    "no records": (["table", "mini", "--output", "{tmp}"], "no records here yet"),
    "unwritable": (
        ["evaluate", "statistics:mini_videomae", "--task", "ucf101/knn", "--data", "{world}", "--output", "{text}/x"],
        "cannot be written",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_one_sentence_and_exit_code_2(
    name: str,
    world: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    text = tmp_path / "text.safetensors"
    text.write_text("hello\n")
    arguments, sentence = BAD[name]
    filled = [a.format(tmp=tmp_path, world=world, text=text) for a in arguments]
    before = sorted(tmp_path.rglob("*"))
    code, _, err = run(monkeypatch, capsys, *filled)
    assert code == 2
    assert "Traceback" not in err
    words = " ".join(err.split())
    assert any(part in words for part in sentence.split("|")), words
    assert sorted(tmp_path.rglob("*")) == before


def test_evaluate_then_table(
    world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    base = ("--data", world, "--output", tmp_path)
    for model in ("random:mini_videomae", "statistics:mini_videomae"):
        tasks = ("--task", "ssv2/knn", "--task", "davis2017/clustering")
        assert run(monkeypatch, capsys, "evaluate", model, *tasks, *base)[0] == 0
    code, out, _ = run(monkeypatch, capsys, "table", "mini", *base)
    assert code == 0
    assert "random_init" in out
    assert {p.name for p in tmp_path.glob("*.*")} == {"table.md", "table.csv", "table.tex", "report.html"}
    assert len(list((tmp_path / "figures").glob("segmentation-*.png"))) == 2
    code, _, err = run(monkeypatch, capsys, "evaluate", "random:mini_videomae", "--task", "ssv2/knn", *base)
    assert code == 0
    assert "recorded before" in err


def test_a_mistyped_recipe_file_names_file_and_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from sigma_bench.resources import declarations

    path = tmp_path / "mine.yaml"
    text = (declarations("pretrain") / "mini_videomae.yaml").read_text()
    path.write_text(text.replace("tubelet_frames", "tubelet_frame"))
    code, _, err = run(monkeypatch, capsys, "pretrain", path, "--data", tmp_path)
    words = " ".join(err.split())
    assert code == 2
    assert "mine.yaml" in words
    assert "Did you mean 'tubelet_frames'" in words


def test_pretraining_ends_with_the_command_that_evaluates_the_run(
    world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = tmp_path / "tiny.yaml"
    recipe.write_text(json.dumps(tiny_recipe().model_dump(mode="json") | {"recipe": "tiny"}))
    words = ["pretrain", recipe, "--output", tmp_path / "a run", "--set", "optim.steps=1", "--set"]
    words.append("optim.warmup_epochs=0.1")
    _, out, _ = run(monkeypatch, capsys, *words, "--data", world)
    assert out.splitlines()[-1] == (f"next: sigma-bench evaluate '{tmp_path / 'a run'}' --task ssv2/knn --data {world}")
    assert _next_command(Path("run"), tiny_recipe(), None) == (
        "sigma-bench evaluate run --csv CSV, where CSV lists other videos with labels"
    )


def test_tasks_answers_without_torch() -> None:
    code = (
        "import sys; sys.argv = ['sigma-bench', 'tasks']\n"
        "from sigma_bench.cli.main import app_main\n"
        "try: app_main()\n"
        "except SystemExit as leave: assert not leave.code, leave.code\n"
        "assert 'torch' not in sys.modules and 'pandas' not in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "davis2017/overclustering" in done.stdout


@pytest.mark.slow
def test_sigkill_in_the_middle_of_pretraining_loses_nothing(
    world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A killed process that another one continues writes the same file as an uninterrupted process."""
    content = tiny_recipe("mini_videomae").model_dump(mode="json") | {"recipe": "quick", "checkpoint_every_steps": 5}
    content["optim"] |= {"epochs": 12}  # 60 steps, killed after five
    recipe = tmp_path / "quick.yaml"
    recipe.write_text(json.dumps(content))

    def words(folder: str) -> list[str]:
        return ["pretrain", str(recipe), "--data", str(world), "--output", str(tmp_path / folder)]

    killed = Command(*words("cut"), folder=tmp_path, environment={"OMP_NUM_THREADS": "1"})
    while not (tmp_path / "cut" / "resume.pt").exists():
        assert killed.process.is_alive()
        time.sleep(0.02)
    killed.process.kill()
    assert killed.end()[0] == -signal.SIGKILL
    assert not (tmp_path / "cut" / "model.safetensors").exists()
    for folder in ("whole", "cut"):
        assert run(monkeypatch, capsys, *words(folder))[0] == 0
    ours, theirs = ((tmp_path / name / "model.safetensors").read_bytes() for name in ("cut", "whole"))
    assert ours == theirs
