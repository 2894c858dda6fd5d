"""The Python API in a notebook, run by a real kernel without ipywidgets."""

import os
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

ROOT = Path(__file__).resolve().parents[2]
CELLS = (
    "import sigma_bench as sb",
    "records = sb.evaluate('statistics:mini_videomae', ['ssv2/knn', 'cifar100/knn'], data=WORLD, output='runs')\n"
    "records",
    "records.table()",
    "sb.evaluate('statistics:mini_videomae', 'ssv2/kn', data=WORLD)",
)


@pytest.mark.slow
def test_a_notebook_shows_progress_records_and_sentences(
    world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]))
    cells = [nbformat.v4.new_code_cell(cell.replace("WORLD", repr(str(world)))) for cell in CELLS]
    notebook = nbformat.v4.new_notebook(cells=cells)
    NotebookClient(notebook, timeout=300, allow_errors=True, resources={"metadata": {"path": str(tmp_path)}}).execute()
    shown: list[list[Any]] = [cell.outputs for cell in notebook.cells]
    bars = [output["data"]["text/plain"] for output in shown[1] if output["output_type"] == "display_data"]
    assert "image_statistics  ssv2/knn  top1" in bars[-1] and "image_statistics  cifar100/knn  top1" in bars[-1]
    (records,) = [output for output in shown[1] if output["output_type"] == "execute_result"]
    assert "<table" in records["data"]["text/html"] and "ssv2/knn" in records["data"]["text/html"]
    assert "for Jupyter support" not in str(shown)  # what a display that needs ipywidgets says without them
    (table,) = shown[2]
    assert "<table" in table["data"]["text/html"]
    (error,) = shown[3]
    assert (error["ename"], error["evalue"].split(".")[0]) == ("ValueError", "there is no task 'ssv2/kn'")
