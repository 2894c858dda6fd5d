"""Published numbers, read strictly from CSV files and kept apart from measured ones.

A file in ``results/published`` holds one number per line, as printed.  Percent become fractions in decimal
arithmetic, so that 73.8 is exactly the float 0.738.
"""

import csv
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Literal

from sigma_bench.resources import declarations
from sigma_bench.specs.strict import Spec, suggestion
from sigma_bench.specs.untrusted import bounded_lines

_COLUMNS = (
    *("source", "table", "method", "backbone", "pretrain_data", "pretrain_epochs", "extra_data", "motion_guided"),
    *("task", "dataset", "metric", "value"),
)
_LONGEST_CELL, _MOST_DIGITS = 300, 9
_MAY_BE_EMPTY = ("pretrain_data", "pretrain_epochs", "extra_data", "motion_guided")
_PRINTED_IN_PERCENT = {"top1": True, "map": True, "miou": True, "mean": True, "counting_error": False}


class PublishedScore(Spec):
    """One published number, as a fraction and without an interval."""

    origin: Literal["published", "imported"] = "published"
    """``imported``: from a file of the user in the same layout."""
    source: str
    table: str
    method: str
    backbone: str
    pretrain_data: str | None
    pretrain_epochs: int | None
    extra_data: str | None
    motion_guided: bool | None
    """None, like the three fields above, if the table does not state it."""
    task: str
    dataset: str
    metric: str
    value: float

    @property
    def higher_is_better(self) -> bool:
        """Whether a larger value is a better one."""
        return is_higher_better(self.metric)


def is_higher_better(metric: str) -> bool:
    """Whether larger values of a published metric are better: of all but ``counting_error``."""
    return metric != "counting_error"


def is_printed_in_percent(metric: str) -> bool:
    """Whether tables show a metric in percent; errors of counts are shown as fractions."""
    return _PRINTED_IN_PERCENT.get(metric, True)


def published_names() -> list[str]:
    """Names of all files of published numbers."""
    return sorted(path.stem for path in (declarations("results") / "published").glob("*.csv"))


def load_published(name: str) -> tuple[PublishedScore, ...]:
    """The numbers of a file in ``results/published``, in its order; ValueError for an unknown name or a bad row."""
    if name not in published_names():
        raise ValueError(f"there is no file of published numbers '{name}'.{suggestion(name, published_names())}")
    return read_published(declarations("results") / "published" / f"{name}.csv")


def read_published(path: Path, origin: Literal["published", "imported"] = "published") -> tuple[PublishedScore, ...]:
    """The numbers of one CSV file, in its order, as fractions.

    Raises:
        ValueError: not readable, other columns, an empty or unexpected cell, a number out of range, or the same
            quantity twice; names file and line.
    """
    scores: list[PublishedScore] = []
    first_line: dict[PublishedScore, int] = {}
    for line, row in _lines(path):
        where = f"{path}, line {line}"
        score = _score(row, where).model_copy(update={"origin": origin})
        quantity = score.model_copy(update={"value": 0.0, "source": ""})
        if quantity in first_line:
            raise ValueError(f"{where}: the same quantity stands in line {first_line[quantity]}; keep one of them")
        first_line[quantity] = line
        scores.append(score)
    return tuple(scores)


def _lines(path: Path) -> list[tuple[int, dict[str, str]]]:
    """Line number and cells of every row below the header."""
    try:
        with path.open(encoding="utf-8", newline="") as stream:
            reader = csv.reader(bounded_lines(stream, path), strict=True)
            rows = [(reader.line_num, row) for row in reader]
    except OSError as error:
        raise ValueError(f"{path}: cannot be read ({error.strerror})") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{path}: not a CSV file in UTF-8 ({error})") from error
    if not rows or tuple(rows[0][1]) != _COLUMNS:
        raise ValueError(f"{path}, line 1: the columns must be {','.join(_COLUMNS)}")
    for line, row in rows[1:]:
        if len(row) != len(_COLUMNS):
            raise ValueError(f"{path}, line {line}: {len(row)} cells where {len(_COLUMNS)} are expected")
    return [(line, dict(zip(_COLUMNS, row, strict=True))) for line, row in rows[1:]]


def _score(row: dict[str, str], where: str) -> PublishedScore:
    for column, cell in row.items():
        if cell != cell.strip() or (not cell and column not in _MAY_BE_EMPTY):
            raise ValueError(f"{where}: the cell '{column}' is empty or begins or ends with a space")
        if len(cell) > _LONGEST_CELL:
            raise ValueError(f"{where}: the cell '{column}' is longer than {_LONGEST_CELL} characters")
    epochs, guided = row["pretrain_epochs"], row["motion_guided"]
    if epochs and not (epochs.isascii() and epochs.isdecimal() and len(epochs) <= _MOST_DIGITS):
        raise ValueError(f"{where}: pretrain_epochs must be a whole number or empty, got '{epochs}'")
    if guided not in ("", "yes", "no"):
        raise ValueError(f"{where}: motion_guided must be yes, no or empty, got '{guided}'")
    return PublishedScore(
        source=row["source"],
        table=row["table"],
        method=row["method"],
        backbone=row["backbone"],
        pretrain_data=row["pretrain_data"] or None,
        pretrain_epochs=int(epochs) if epochs else None,
        extra_data=row["extra_data"] or None,
        motion_guided=guided == "yes" if guided else None,
        task=row["task"],
        dataset=row["dataset"],
        metric=row["metric"],
        value=_fraction(row["metric"], row["value"], where),
    )


def _fraction(metric: str, printed: str, where: str) -> float:
    if metric not in _PRINTED_IN_PERCENT:
        raise ValueError(f"{where}: there is no published metric '{metric}'.{suggestion(metric, _PRINTED_IN_PERCENT)}")
    try:
        number = Decimal(printed)
    except InvalidOperation as error:
        raise ValueError(f"{where}: value must be a number, got '{printed}'") from error
    if not number.is_finite() or number < 0:
        raise ValueError(f"{where}: value must be a number from 0 upwards, got '{printed}'")
    if not _PRINTED_IN_PERCENT[metric]:
        return float(number)
    if number > 100:
        raise ValueError(f"{where}: {metric} is printed in percent, at most 100, got '{printed}'")
    return float(number / 100)
