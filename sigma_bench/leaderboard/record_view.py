"""A record as text for the dialog of the page, small enough for thousands of records in one file.

Texts that many records share, such as a protocol, are stored once and referred to by their index in a list.
"""

import hashlib
import json
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePath
from typing import Any

from sigma_bench.leaderboard.notes import data_source_words
from sigma_bench.leaderboard.numbers import MISSING, number, percent
from sigma_bench.leaderboard.rerun import names_model, rerun_command
from sigma_bench.leaderboard.select import reported_split
from sigma_bench.records.record import Interval, Record, Score, Selection, SplitIdentity
from sigma_bench.specs.encoder_card import EncoderCard
from sigma_bench.specs.untrusted import with_visible_controls

_NO_WEIGHTS = hashlib.sha256().hexdigest()
"""Digest of the weights of a network that has none."""


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


def record_view(path: Path, record: Record, texts: Texts, name: str = "") -> dict[str, Any]:
    """A record as JSON; each text is an index into ``texts``.

    ``name`` is the name of its model in tables; if it is another than that in the record, the title has both.

    Keys: ``title``; ``facts`` as (term, words); ``tables`` with ``caption``, ``head`` and ``rows`` of cells;
    ``command``, which repeats the evaluation (see ``rerun_command``); ``protocol``.
    """
    protocol = record.task.protocol.model_dump(mode="json", exclude={"summary"})
    model = record.model.model
    named = model if name in ("", model) else f"{name} ({model})"
    reading = [_reading(record)] if record.provenance.reading else []
    tables = [_scores(record), _splits(record), *reading, *map(_selection, record.selections)]
    return {
        "title": texts.place(f"{named}, {record.task.task}"),
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
        ("Task", _task(record)),
        ("Task fingerprint", record.fingerprint),
        ("Seeds", f"evaluation {record.seed}, pretraining {_or_none(model.pretraining_seed)}"),
        ("Model", f"{model.family}, {model.num_frames} frames of {model.image_size} px"),
        ("Checkpoint" if names_model(record) else "Checkpoint (MODEL)", _checkpoint(model)),
        ("Data source", data_source_words(record.data.world)),
        ("Reference values", ", ".join(_reference(name, value) for name, value in record.controls.items())),
        ("Code", f"sigma-bench {provenance.sigma_bench}, commit {_or_none(provenance.commit)}{state}"),
        ("Versions", ", ".join(f"{package} {version}" for package, version in provenance.versions.items())),
        ("Hardware", f"{provenance.hardware}; {provenance.num_processes} process(es)"),
        ("Started", provenance.started_utc),
        ("Wall time", _wall_time(provenance.seconds)),
        ("Command recorded", shlex.join(provenance.command)),
        ("Record file", _in_store(path)),
        ("Predictions", record.predictions.file),
    )
    return tuple((term, words) for term, words in facts if words)


def _task(record: Record) -> str:
    """The dataset, what the task depends on if that is stated, and the folds."""
    task = record.task
    is_own = task.folds == "official" and record.data.world == "user"
    own = "the split of the data" if "test" in record.data.splits else "not divided"
    asks = "" if task.asks == "unspecified" else f", asks for {task.asks}"
    return f"{task.dataset.title}{asks}, {own if is_own else f'folds {task.folds}'}"


def _checkpoint(card: EncoderCard) -> str:
    if card.checkpoint_sha256 == _NO_WEIGHTS:
        return f"no weights; digest of the code: {card.code_sha256}"
    return card.checkpoint_sha256


def _wall_time(seconds: Mapping[str, float]) -> str:
    """``2.8 s; predicted 0.8 to 3.0 s``; several phases have their names."""
    phases = {name: value for name, value in seconds.items() if not name.startswith("predicted_")}
    named = [("" if [*phases] == ["evaluate"] else f"{name} ", value) for name, value in phases.items()]
    measured = ", ".join(f"{name}{_rounded(value)} s" for name, value in named)
    if {"predicted_low", "predicted_high"} <= seconds.keys():
        measured += f"; predicted {_rounded(seconds['predicted_low'])} to {_rounded(seconds['predicted_high'])} s"
    return measured


def _rounded(seconds: float) -> str:
    return f"{seconds:.1f}" if seconds >= 0.1 else f"{seconds:.1g}"


def _reference(name: str, value: float) -> str:
    """A reference value in percent, or as a fraction for errors of counts."""
    return f"{name} {number(value, 'counting_error')}" if name.startswith("error_of_") else f"{name} {percent(value)} %"


def _scores(record: Record) -> _Table:
    rows = [(score.metric, _value(score), _ends(score), _basis(score.interval)) for score in record.scores]
    return "Scores (percent, errors as fractions)", ("Metric", "Score", "Interval", "Interval from"), rows


def _splits(record: Record) -> _Table:
    scored = reported_split(record.data)
    rows = [
        (
            name,
            _expected(split),
            str(split.found),
            str(split.scored) if split is scored else MISSING,  # samples of the other split are for training
            ", ".join(split.failed_ids) or "none",
        )
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
