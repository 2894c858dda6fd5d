"""Numbers in the guides are those of committed tables and figures."""

import csv
import math
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TABLES = ROOT / "results" / "tables"
MODELS = ("SIGMA-MLP", "SIGMA-DINO", "VideoMAE", "DINO")
PANELS = ("loss", "feature_std", "usage_entropy", "code_agreement", "teacher_entropy")
_LINE = re.compile(
    r'<path d="([^"]+)"(?: clip-path="[^"]+")? style="fill: none;[^"]* stroke: (#\w+); stroke-width: 1\.4'
)
_TICK = re.compile(r'<g id="ytick_\d+">.*?<use xlink:href="#\w+" x="[\d.]+" y="([\d.]+)".*?<!-- (.*?) -->', re.DOTALL)


def table_rows(text: str) -> list[list[str]]:
    """The cells of the rows of all Markdown tables in a text."""
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line[:1] == "|"]


def test_the_table_of_the_quickstart_is_an_excerpt() -> None:
    head, *rows = table_rows((TABLES / "mini.md").read_text())
    whole = {row[0]: dict(zip(head, row, strict=True)) for row in rows if len(row) == len(head)}
    rows = table_rows((ROOT / "docs" / "quickstart.md").read_text())
    start = next(number for number, row in enumerate(rows) if row[0] == "Model")
    shown, _, *models = rows[start : start + 6]
    for row in models:
        assert row == [whole[row[0]][column] for column in shown]


def curves() -> Mapping[str, Mapping[str, Sequence[list[float]]]]:
    """Monitor -> model -> values of each seed, read from the committed figure, whose legend has a line per model."""
    found: dict[str, dict[str, list[list[float]]]] = {}
    *panels, legend = re.split(r'<g id="(?:axes|legend)_\d+">', (TABLES / "training.svg").read_text())[1:]
    colours = [colour for _, colour in _LINE.findall(legend)]
    names = dict(zip(colours, re.findall(r"<!-- ([^,]+?)(?:, \d+ runs)? -->", legend), strict=True))
    for monitor, panel in zip(PANELS, panels, strict=True):
        value = scale(_TICK.findall(panel), is_log=monitor == "loss")
        for line, colour in _LINE.findall(panel):
            heights = [float(y) for _, y in re.findall(r"([\d.]+) ([\d.]+)", line)]
            found.setdefault(monitor, {}).setdefault(names[colour], []).append([value(y) for y in heights])
    return found


def scale(ticks: Sequence[tuple[str, str]], *, is_log: bool) -> Callable[[float], float]:
    """Value of a height in a panel, from its first two labelled ticks."""
    (y0, label0), (y1, label1) = ticks[:2]
    low, high = (_number(label, is_log=is_log) for label in (label0, label1))
    slope = (high - low) / (float(y1) - float(y0))
    return lambda y: 10 ** (low + slope * (y - float(y0))) if is_log else low + slope * (y - float(y0))


def _number(label: str, *, is_log: bool) -> float:
    """The number of a tick, or its logarithm; a label is a number or a power of ten."""
    if power := re.search(r"10\^\{(\d+)\}", label):
        return float(power[1])
    return math.log10(float(label)) if is_log else float(label)


@pytest.mark.parametrize(
    ("label", "monitor", "choose"),
    [
        ("loss at step 10", "loss", lambda line: line[0]),
        ("loss at the end", "loss", lambda line: line[-1]),
        ("`feature_std`, lowest", "feature_std", min),
        ("`feature_std`, end", "feature_std", lambda line: line[-1]),
        ("`usage_entropy`, end", "usage_entropy", lambda line: line[-1]),
        ("`code_agreement`, end", "code_agreement", lambda line: line[-1]),
        ("`teacher_entropy`, end", "teacher_entropy", lambda line: line[-1]),
    ],
)
def test_the_ranges_on_the_page_of_pretraining_are_those_of_the_figure(
    label: str, monitor: str, choose: Callable[[list[float]], float]
) -> None:
    rows = table_rows((ROOT / "docs" / "pretraining.md").read_text())
    (row,) = [row for row in rows if row[0] == label]
    for model, cell in zip(MODELS, row[1:], strict=True):
        lines = curves()[monitor].get(model, [])
        assert bool(cell) == bool(lines), (label, model)
        if lines:
            values = [choose(line) for line in lines]
            ends = [float(number) for number in cell.split(" to ")]
            digits = len(cell.rpartition(".")[2])
            assert ends[0] == round(min(values), digits) and ends[-1] == round(max(values), digits), (label, model)


def test_scores_on_the_page_of_pretraining_are_those_of_the_table() -> None:
    text = " ".join((ROOT / "docs" / "pretraining.md").read_text().split())
    with (TABLES / "mini.csv").open(newline="") as stream:
        rows = [row for row in csv.DictReader(stream) if row["origin"] == "measured"]
    percent = {(row["model"], row["task"]): f"{100 * float(row['value']):.1f}" for row in rows}
    for method in ("sigma_mlp", "sigma_dino", "videomae"):
        assert f"{percent[f'mini_{method}_long', 'ucf101/knn']} %" in text
    deviations = [100 * float(row["seed_std"] or 0) for row in rows if row["task"] == "ssv2/linear"]
    assert f"up to {max(deviations):.1f} points" in text
