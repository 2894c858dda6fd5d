"""A record as text for the dialog of the page, small enough for thousands of records in one file.

Texts that many records share, such as a protocol, are stored once and referred to by their index in a list.
"""

import json
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePath
from typing import Any

from sigma_bench.leaderboard.notes import data_source_words
from sigma_bench.leaderboard.numbers import number, percent
from sigma_bench.leaderboard.rerun import rerun_command
from sigma_bench.records.record import Interval, Record, Score, Selection, SplitIdentity
from sigma_bench.specs.untrusted import with_visible_controls


class Texts:
    """Distinct texts with an index each."""

    def __init__(self) -> None:
        self._places: dict[str, int] = {}
        self._known: dict[str, int] = {}

    def place(self, text: str) -> int:
        """Index of a text in ``list``, to which it is added if necessary."""
        if text not in self._known:
            self._known[text] = self._places.setdefault(with_visible_controls(text), len(self._places))
        return self._known[text]

    @property
    def list(self) -> list[str]:
        """All texts by index."""
        return list(self._places)


def record_view(path: Path, record: Record, texts: Texts) -> dict[str, Any]:
    """A record as JSON; each text is an index into ``texts``.

    Keys: ``title``; ``facts`` as (term, words); ``tables`` with ``caption``, ``head`` and ``rows`` of cells;
    ``command``, which repeats the evaluation (``MODEL``: the checkpoint, ``ROOT``: the data); ``protocol``.
    """
    protocol = record.task.protocol.model_dump(mode="json", exclude={"summary"})
    reading = [_reading(record)] if record.provenance.reading else []
    tables = [_scores(record), _splits(record), *reading, *map(_selection, record.selections)]
    return {
        "title": texts.place(f"{record.model.model}, {record.task.task}"),
        "facts": [[texts.place(term), texts.place(words)] for term, words in _facts(path, record)],
        "tables": [
            {
                "caption": texts.place(caption),
                "head": [texts.place(cell) for cell in head],
                "rows": [[texts.place(cell) for cell in row] for row in rows],
            }
            for caption, head, rows in tables
        ],
        "command": texts.place(rerun_command(record) or shlex.join(record.provenance.command)),
        "protocol": texts.place(json.dumps(protocol, indent=1, ensure_ascii=False)),
    }


_Table = tuple[str, tuple[str, ...], Sequence[tuple[str, ...]]]
"""Caption, head and rows."""


def _facts(path: Path, record: Record) -> tuple[tuple[str, str], ...]:
    model, provenance = record.model, record.provenance
    state = {True: " with uncommitted changes", False: "", None: ""}[provenance.dirty]
    facts = (
        ("Protocol", f"{record.task.protocol.protocol}: {record.task.protocol.summary}"),
        ("Task", f"{record.task.dataset.title}, asks for {record.task.asks}, folds {record.task.folds}"),
        ("Task fingerprint", record.fingerprint),
        ("Seeds", f"evaluation {record.seed}, pretraining {_or_none(model.pretraining_seed)}"),
        ("Model", f"{model.family}, {model.num_frames} frames of {model.image_size} px"),
        ("Checkpoint (MODEL)", model.checkpoint_sha256),
        ("Data source", data_source_words(record.data.world)),
        ("Reference values", ", ".join(_reference(name, value) for name, value in record.controls.items())),
        ("Code", f"sigma-bench {provenance.sigma_bench}, commit {_or_none(provenance.commit)}{state}"),
        ("Versions", ", ".join(f"{package} {version}" for package, version in provenance.versions.items())),
        ("Hardware", f"{provenance.hardware}; {provenance.num_processes} process(es)"),
        ("Started", provenance.started_utc),
        ("Wall time", ", ".join(f"{phase} {value:g} s" for phase, value in provenance.seconds.items())),
        ("Command recorded", shlex.join(provenance.command)),
        ("Record file", _in_store(path)),
        ("Predictions", record.predictions.file),
    )
    return tuple((term, words) for term, words in facts if words)


def _reference(name: str, value: float) -> str:
    """A reference value in percent, or as a fraction for errors of counts."""
    return f"{name} {number(value, 'counting_error')}" if name.startswith("error_of_") else f"{name} {percent(value)} %"


def _scores(record: Record) -> _Table:
    rows = [(score.metric, _value(score), _ends(score), _basis(score.interval)) for score in record.scores]
    return "Scores (percent, errors as fractions)", ("Metric", "Score", "Interval", "Interval from"), rows


def _splits(record: Record) -> _Table:
    rows = [
        (name, _expected(split), str(split.found), str(split.scored), ", ".join(split.failed_ids) or "none")
        for name, split in record.data.splits.items()
    ]
    shared = record.data.shared_groups
    return (
        f"Samples ({shared} groups in both splits)" if shared else "Samples",
        ("Split", "Expected", "Found", "Scored", "Not decoded"),
        rows,
    )


def _reading(record: Record) -> _Table:
    """Decoders with their FFmpeg, and frames; only for records that hold them."""
    ffmpeg = record.provenance.ffmpeg or {}

    def words(decoder: str, count: int) -> str:
        version = ffmpeg.get(decoder.partition("_")[0])
        return f"{decoder}{f' (FFmpeg {version})' if version else ''}: {count:,}"

    rows = [
        (name, ", ".join(words(*each) for each in split.decoders.items()) or "no videos", f"{split.frames:,}")
        for name, split in (record.provenance.reading or {}).items()
    ]
    return "Reading", ("Split", "Videos by decoder", "Frames in clips"), rows


def _expected(split: SplitIdentity) -> str:
    return f"{split.expected} (declared; officially {split.official})" if split.official else str(split.expected)


def _selection(selection: Selection) -> _Table:
    warned = "".join(f"; warning: {warning}" for warning in selection.warnings)
    rows = [
        (
            _setting(point.setting) + (" (chosen)" if point.setting == selection.chosen else ""),
            percent(point.top1),
        )
        for point in selection.grid
    ]
    caption = f"Selection: {selection.rule}; chosen: {_setting(selection.chosen)}{warned}"
    on_test = any(point.test_top1 is not None for point in selection.grid)
    return caption, ("Setting", "Test top-1 (%)" if on_test else "Held-out top-1 (%)"), rows


def _value(score: Score) -> str:
    spread = "" if score.spread is None else f" ±{number(score.spread, score.metric)}"
    return number(score.value, score.metric) + spread


def _ends(score: Score) -> str:
    return f"{number(score.interval.low, score.metric)}–{number(score.interval.high, score.metric)}"


def _basis(interval: Interval) -> str:
    return (
        f"{100 * interval.level:g} % {interval.method}, {interval.replicates} replicates "
        f"over {interval.num_units} test units ({interval.unit})"
    )


def _setting(setting: Mapping[str, float]) -> str:
    """A point of a selection grid in words."""
    return ", ".join(f"{name} = {value:g}" for name, value in setting.items())


def _in_store(path: Path) -> str:
    """The part of a record's path from the store's ``records`` folder on, so that a page names no private folders."""
    parts = PurePath(path).parts
    if "records" not in parts:
        return path.name
    start = len(parts) - 1 - parts[::-1].index("records")
    return "/".join(parts[start:])


def _or_none(value: object) -> str:
    return "none" if value is None else str(value)
