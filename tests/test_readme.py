"""Commands and the script of the README run, and its table is the committed one; tests/docs/ parses all of it."""

import re
import runpy
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

import sigma_bench as sb
from sigma_bench.cli.main import app
from sigma_bench.records.store import Store
from sigma_bench.resources import INCLUDE_VARIABLE
from tests.cli.test_records import HEADER, ROW
from tests.conftest import tiny_recipe
from tests.docs.pages import ONLY_PARSED
from tests.records.filled import filed

RUN = (
    *(
        "tasks",
        "--include FOLDER tasks",
        "doctor",
        "cache ls",
        "data prepare",
        "data verify",
        "data show",
        "table frozen severe",
    ),
    *("compare MODEL_A", "verify results/runs", "import numbers.csv", "export paper", "curves robustness"),
)
"""Beginnings of those that a test runs as they stand, with its own folders and names; other tests train."""
ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text()


def commands_of(text: str) -> list[str]:
    """The commands in the blocks of a text, without their comments."""
    blocks = re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
    return [line.split("#")[0].strip() for block in blocks for line in block.splitlines() if line.strip()]


OWN_VIDEOS = README.partition("## Your own videos")[2].partition("\n## ")[0]
OLDER_RULE = pytest.mark.skipif(
    ONLY_PARSED.search(README) is not None,
    reason="the README says which blocks are only parsed, so tests/docs/test_pages.py runs the others",
)
"""Tests that choose the commands to run; they can be removed once the README says it itself."""


@OLDER_RULE
@pytest.mark.slow
def test_commands_run(world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the README's order, from a folder with two models' records."""
    store = Store(tmp_path / "results" / "runs")
    for model, num_right in (("good", 54), ("bad", 20)):
        filed(store, "ssv2/knn", num_right, model=model)
        filed(store, "ssv2/knn+reversal", num_right // 2, model=model, test_condition={"kind": "reversal"})
    (tmp_path / "numbers.csv").write_text(f"{HEADER}{ROW}")
    lab = tmp_path / "lab"
    (lab / "tasks" / "suites").mkdir(parents=True)
    (lab / "tasks" / "suites" / "mine.yaml").write_text("suite: mine\nsummary: one\ntasks: [ssv2/knn]\n")
    monkeypatch.setenv(INCLUDE_VARIABLE, "")
    monkeypatch.chdir(tmp_path)
    others = commands_of(README.replace(OWN_VIDEOS, ""))
    chosen = [command for command in others if command.removeprefix("sigma-bench ").startswith(RUN)]
    assert len(chosen) == len(RUN) + 1  # two of them begin with 'tasks'
    (tmp_path / "one" / "ssv2").parent.mkdir()
    (tmp_path / "one" / "ssv2").symlink_to(world / "ssv2")
    for command in chosen:
        root = tmp_path / "one" if "data verify" in command else world  # the whole world is verified elsewhere
        named = {"DATA": root, "MODEL_A": "good", "MODEL_B": "bad", "FOLDER": lab}
        for placeholder, name in named.items():
            command = command.replace(placeholder, str(name))
        words = shlex.split(command)
        done = CliRunner().invoke(app, words[1:])
        assert done.exit_code == 0, (command, done.output, done.exception)
    assert (tmp_path / "paper" / "manifest.json").is_file()
    assert (tmp_path / "results" / "runs" / "figures" / "robustness.svg").is_file()


@OLDER_RULE
@pytest.mark.slow
def test_commands_for_own_videos_run(world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the README's order, on thirty clips of two classes, except those that pretrain."""
    clips = tmp_path / "FOLDER"
    rows = []
    for label in ("v_DigitOne", "v_DigitTwo"):
        for number, file in enumerate(sorted((world / "ucf101").rglob(f"{label}_*.avi"))[:15]):
            (clips / label).mkdir(parents=True, exist_ok=True)
            (clips / label / file.name).symlink_to(file)
            rows.append(f"FOLDER/{label}/{file.name},{label},{'train' if number < 12 else 'test'}")
    (tmp_path / "clips.csv").write_text("\n".join(["path,label,split", *rows, ""]))
    monkeypatch.setenv(INCLUDE_VARIABLE, "")
    monkeypatch.chdir(tmp_path)
    for command in commands_of(OWN_VIDEOS):
        if "pretrain" in command or "results/runs/mini" in command:
            continue
        words = [word.replace("gait/*", "gait/knn") for word in shlex.split(command)[1:]]
        if "--folds" in words:  # one protocol is enough here
            words += ["--protocol", "knn@1"]
        done = CliRunner().invoke(app, words)
        assert done.exit_code == 0, (command, done.output, done.exception)
    assert (tmp_path / "paper" / "manifest.json").is_file()
    assert (tmp_path / "boards" / "overview_gait.yaml").is_file()


def test_the_table_is_the_committed_one() -> None:
    shown = README.split("<!-- table: results/tables/mini.md -->")[1].split("<!-- /table -->")[0]
    assert shown.strip() == (ROOT / "results" / "tables" / "mini.md").read_text().strip()


@pytest.mark.slow
def test_the_python_script_runs_as_it_stands(
    world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """After a demo whose mini world is the small one and whose checkpoint was trained for ten steps."""
    demo = tmp_path / "results" / "demo"
    demo.mkdir(parents=True)
    (demo / "world").symlink_to(world)
    recipe = tiny_recipe()
    sb.pretrain(recipe, data=world, output=demo / "checkpoints" / "mini_sigma_mlp-seed0", device="cpu", progress=False)
    (script,) = [block for block in re.findall(r"```python\n(.*?)```", README, re.DOTALL) if "sb.evaluate(" in block]
    assert len([line for line in script.splitlines() if line and not line.startswith(("import", "class", " "))]) <= 10
    (tmp_path / "script.py").write_text(script)
    monkeypatch.chdir(tmp_path)
    runpy.run_path("script.py")
    shown = capsys.readouterr().out
    assert len(sb.Records(tmp_path / "runs")) == 4
    page = (tmp_path / "board.html").read_text()
    assert "mean_colour" in page and "mini_sigma_mlp" in page
    assert "mean_colour" in shown and "ssv2/linear" in shown
