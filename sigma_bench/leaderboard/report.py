"""The report: one self-contained HTML page in which every measured number links to the record it comes from.

Nothing is fetched: styles and pictures are part of the file.  This module prepares text, ``report.html.j2`` lays
it out.
"""

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path, PurePath

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template

from sigma_bench.leaderboard.board_table import BoardTable, Cell, Row
from sigma_bench.leaderboard.figures import score_dots, training_curves
from sigma_bench.leaderboard.notes import footnotes, level_words
from sigma_bench.leaderboard.numbers import DAGGER, MISSING, interval, number, percent, seeds
from sigma_bench.leaderboard.select import record_id
from sigma_bench.records.record import Candidate, Interval, Record, Selection

_HERE = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Picture:
    """An embedded picture and what it shows in words."""

    source: str
    """A data URI."""
    alt: str
    caption: str


@dataclass(frozen=True)
class Link:
    """A number and the anchor of the record behind it."""

    text: str
    anchor: str
    label: str
    """What a screen reader says."""


@dataclass(frozen=True)
class CellView:
    """What stands in one measured cell; one link per seed."""

    links: tuple[Link, ...]
    interval: str
    spread: str
    among_best: bool


@dataclass(frozen=True)
class RecordView:
    """One record, ready to be laid out."""

    anchor: str
    heading: str
    facts: tuple[tuple[str, str], ...]
    scores: tuple[tuple[str, ...], ...]
    splits: tuple[tuple[str, ...], ...]
    selections: tuple[Selection, ...]
    protocol: str
    versions: str


def render_report(
    table: BoardTable,
    records: Sequence[tuple[Path, Record]],
    *,
    curves: Mapping[str, Sequence[Mapping[str, float]]],
    overlays: Sequence[tuple[str, bytes]],
    title: str,
    subtitle: str,
) -> str:
    """A whole HTML page.

    Args:
        table: the board to show.
        records: path and record of at least every record behind the table; others are left out.
        curves: training log per model, as ``training_curves`` takes them; may be empty.
        overlays: caption and PNG bytes of segmentation examples; may be empty.
        title: heading of the page.
        subtitle: one line below it.

    Raises:
        ValueError: a record behind the table is not among ``records``, or a training log is not one.
    """
    known = {record_id(record): (path, record) for path, record in records}
    missing = [name for name in table.record_ids if name not in known]
    if missing:
        raise ValueError(f"the table cites records that were not given: {', '.join(missing)}")
    return _template().render(
        title=title,
        subtitle=subtitle,
        table=table,
        groups=[(heading, len(list(columns))) for heading, columns in groupby(c.heading for c in table.columns)],
        rows=[(row, _about(row), _cell_views(table, row)) for row in table.rows],
        notes=footnotes(table),
        dots=_dots(table),
        curves=_curves(curves),
        overlays=[Picture(_data_uri(png, "image/png"), caption, caption) for caption, png in overlays],
        records=[_record_view(name, *known[name]) for name in table.record_ids],
        percent=percent,
        number=number,
        setting=_setting,
        missing=MISSING,
        dagger=DAGGER,
    )


def _template() -> Template:
    environment = Environment(
        loader=FileSystemLoader(_HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.get_template("report.html.j2")


def _dots(table: BoardTable) -> Picture | None:
    if not table.record_ids:
        return None
    caption = (
        f"Dots: scores; bars: {level_words(table)} bootstrap intervals over test units; "
        "ticks: single seeds; dashed lines: reference values such as chance."
    )
    alt = "Dot plot of the scores in the table above, one panel per column."
    return Picture(_data_uri(score_dots(table).encode(), "image/svg+xml"), alt, caption)


def _curves(curves: Mapping[str, Sequence[Mapping[str, float]]]) -> Picture | None:
    if not curves:
        return None
    caption = "Every model minimises its own objective: compare the shape of the losses, not their height."
    alt = f"Training curves over steps of {', '.join(curves)}."
    return Picture(_data_uri(training_curves(curves).encode(), "image/svg+xml"), alt, caption)


def _data_uri(content: bytes, media_type: str) -> str:
    return f"data:{media_type};base64,{base64.b64encode(content).decode()}"


def _about(row: Row) -> str:
    """Family, size and pretraining data of a model, as far as a record says."""
    if row.family is None:
        return "not measured"
    size = f"{(row.num_parameters or 0) / 1e6:.1f} M parameters" if row.num_parameters else ""
    data = f"pretrained on {row.pretraining_data}" if row.pretraining_data else "not pretrained"
    return ", ".join(part for part in (row.family, size, data) if part)


def _cell_views(table: BoardTable, row: Row) -> list[CellView | None]:
    return [
        None if cell is None else _cell_view(cell, column.metric, f"{row.model}, {column.heading} {column.label}")
        for column, cell in zip(table.columns, row.cells, strict=True)
    ]


def _cell_view(cell: Cell, metric: str, place: str) -> CellView:
    """One seed: the number is the link.  Several: their mean links to the first, every seed to its own record."""
    mean = number(cell.value, metric)
    links = [Link(mean, _anchor(cell.record_ids[0]), f"{mean}: record of {place}")]
    if cell.num_seeds > 1:
        for value, name in zip(cell.seed_values, cell.record_ids, strict=True):
            text = number(value, metric)
            links.append(Link(text, _anchor(name), f"{text}: record of one seed of {place}"))
    return CellView(tuple(links), interval(cell, metric), seeds(cell, metric), cell.among_best)


def _anchor(name: str) -> str:
    return f"record-{name}"


def _record_view(name: str, path: Path, record: Record) -> RecordView:
    protocol = record.task.protocol.model_dump(mode="json")
    provenance = record.provenance
    return RecordView(
        anchor=_anchor(name),
        heading=f"{record.model.model}, {record.task.task}, {_seeds_in_words(record)}",
        facts=_facts(path, record),
        scores=tuple(
            (score.metric, percent(score.value), _ends(score.interval), _basis(score.interval))
            for score in record.scores
        ),
        splits=tuple(
            (split, *map(str, (identity.expected, identity.found, identity.scored)), ", ".join(identity.failed_ids))
            for split, identity in record.data.splits.items()
        ),
        selections=record.selections,
        protocol=json.dumps({key: value for key, value in protocol.items() if key != "summary"}, indent=1),
        versions=", ".join(f"{package} {version}" for package, version in provenance.versions.items()),
    )


def _facts(path: Path, record: Record) -> tuple[tuple[str, str], ...]:
    model, provenance = record.model, record.provenance
    state = {True: " with uncommitted changes", False: "", None: ""}[provenance.dirty]
    controls = ", ".join(f"{name} {percent(value)}" for name, value in record.controls.items())
    seconds = ", ".join(f"{phase} {value:g} s" for phase, value in provenance.seconds.items())
    facts = (
        ("Protocol", f"{record.task.protocol.protocol}: {record.task.protocol.summary}"),
        ("Task", f"{record.task.dataset.title}, asks for {record.task.asks}, folds {record.task.folds}"),
        ("Task fingerprint", record.fingerprint),
        ("Seeds", _seeds_in_words(record)),
        ("Model", f"{model.family}, {model.num_frames} frames of {model.image_size} px"),
        ("Checkpoint", model.checkpoint_sha256),
        ("World", record.data.world),
        ("Reference values (%)", controls),
        ("Code", f"sigma-bench {provenance.sigma_bench}, commit {_or_none(provenance.commit)}{state}"),
        ("Hardware", f"{provenance.hardware}; {provenance.num_processes} process(es)"),
        ("Started", provenance.started_utc),
        ("Wall time", seconds),
        ("Command", " ".join(provenance.command)),
        ("Record file", _in_store(path)),
        ("Predictions", record.predictions.file),
    )
    return tuple((term, words) for term, words in facts if words)


def _seeds_in_words(record: Record) -> str:
    return f"evaluation seed {record.seed}, pretraining seed {_or_none(record.model.pretraining_seed)}"


def _in_store(path: Path) -> str:
    """The part of a record's path from the store's ``records`` folder on, so that a page can be given away."""
    parts = PurePath(path).parts
    if "records" not in parts:
        return path.name
    start = len(parts) - 1 - parts[::-1].index("records")
    return "/".join(parts[start:])


def _or_none(value: object) -> str:
    return "none" if value is None else str(value)


def _ends(interval_of_score: Interval) -> str:
    return f"{percent(interval_of_score.low)}–{percent(interval_of_score.high)}"


def _basis(interval_of_score: Interval) -> str:
    return (
        f"{100 * interval_of_score.level:g} % {interval_of_score.method}, {interval_of_score.replicates} replicates "
        f"over {interval_of_score.num_units} test units ({interval_of_score.unit})"
    )


def _setting(candidate: Candidate | Mapping[str, float]) -> str:
    """A point of a selection grid in words."""
    setting = candidate.setting if isinstance(candidate, Candidate) else candidate
    return ", ".join(f"{name} = {value:g}" for name, value in setting.items())
