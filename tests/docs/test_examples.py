"""The scripts and the notebook of ``docs/examples`` run as they are, on the small mini world."""

import os
import runpy
import sys
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

import sigma_bench as sb
from tests.conftest import tiny_recipe

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "docs" / "examples"
MOST_LINES = 40
CONTROL = "statistics:mini_sigma_mlp"


def run(script: str, *arguments: object) -> None:
    """Run a script as the main program, with arguments."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", [script, *map(str, arguments)])
        runpy.run_path(str(EXAMPLES / script), run_name="__main__")


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_scripts_are_short() -> None:
    scripts = sorted(EXAMPLES.glob("*.py"))
    assert len(scripts) == 4
    for script in scripts:
        assert len(script.read_text().splitlines()) <= MOST_LINES, script


@pytest.mark.slow
def test_a_checkpoint_is_scored(world: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run("score_checkpoint.py", CONTROL, world)
    assert {record.task.task for record in sb.Records("results/runs")} == {"ucf101/knn", "ssv2/knn"}
    shown = capsys.readouterr().out
    assert "image_statistics" in shown and "mean_class_accuracy" in shown


@pytest.mark.slow
def test_two_models_are_compared(world: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("tiny.yaml").write_text(tiny_recipe("mini_videomae").model_dump_json())
    run("compare_models.py", CONTROL, "random:tiny.yaml", world)
    shown = capsys.readouterr().out
    assert "| image_statistics |" in shown and "| random_init |" in shown  # the table
    assert "mean over tasks" in shown and "better" in shown
    assert len(sb.Records("runs")) == 4


@pytest.mark.slow
def test_a_folder_of_videos_is_evaluated_by_persons(world: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("NarrowChecks", "WideChecks"):
        for person in range(1, 16):
            video = world / "ucf101" / "UCF-101" / name / f"v_{name}_g{person:02}_c01.avi"
            (Path("videos") / name).mkdir(parents=True, exist_ok=True)
            (Path("videos") / name / f"p{person}_clip.avi").symlink_to(video)
    run("own_folder.py", CONTROL, "videos")
    (record,) = sb.Records("runs")
    assert (record.task.folds, record.data.splits["all"].scored) == ("5", 30)
    assert {score.interval.num_units for score in record.scores} == {15}  # persons, each with two videos
    assert Path("clips.html").is_file() and "image_statistics" in capsys.readouterr().out


@pytest.mark.slow
def test_a_model_is_pretrained_and_compared_with_its_initial_weights(
    world: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("tiny.yaml").write_text(tiny_recipe("mini_videomae").model_dump_json())
    run("pretrain_and_evaluate.py", "tiny.yaml", world, 3)
    frame = sb.Records("runs").frame()
    assert set(frame["model"]) == {"mini_videomae", "random_init"}
    shown = capsys.readouterr().out
    assert "feature_std" in shown and "mean over tasks" in shown and Path("board.html").is_file()


@pytest.mark.slow
def test_the_notebook_runs_and_is_stored_without_outputs(
    world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]))
    notebook = nbformat.read(EXAMPLES / "first_look.ipynb", as_version=4)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert not any(cell.outputs or cell.execution_count for cell in code)
    (parameters,) = (cell for cell in code if "parameters" in cell.metadata.get("tags", ()))
    assert "data = None" in parameters.source
    parameters.source = parameters.source.replace("data = None", f"data = {str(world)!r}")
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(tmp_path)}}).execute()
    kinds = [{kind for output in cell.outputs for kind in output.get("data", ())} for cell in code]
    assert "text/html" in kinds[3] and "text/html" in kinds[4] and "image/png" in kinds[-1]
    board = next(output["data"]["text/html"] for output in code[3].outputs if "text/html" in output.get("data", ()))
    assert "random_init" in board and "image_statistics" in board
