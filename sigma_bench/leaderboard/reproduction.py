"""Measured minus published numbers, for the same method on the official data.

A measured model is the published one when family, backbone (by its width), pretraining data and epochs agree as far as
the paper prints them.  SIGMA's shipped scripts train for one epoch more than the paper prints (801 for 800), so either
number is accepted.  If two published rows fit, such as with and without motion guidance, none is used.
"""

from collections.abc import Sequence

import pandas as pd

from sigma_bench.leaderboard.board_table import Delta, PublishedRow, PublishedSection, Row
from sigma_bench.specs.board import Board

_WIDTHS = {"vit_s": 384, "vit_b": 768, "vit_l": 1024}
_DIGITS = 6
"""Number of decimals of a difference in points; further ones are rounding errors."""
_DATASETS = {"k400": "kinetics400", "ssv2": "ssv2"}


def deltas(
    board: Board, shown: pd.DataFrame, rows: Sequence[Row], sections: Sequence[PublishedSection]
) -> tuple[Delta, ...]:
    """One difference per cell that is measured on official data and has a published number."""
    official = shown[shown["data_source"] == "official"]
    comparable = [section for section in sections if not section.is_context]
    printed = [row for section in comparable for row in section.rows if row.origin == "published"]
    found: list[Delta] = []
    for row in rows:
        records = official[official["model"] == row.model]
        counterparts = [] if records.empty else [p for p in printed if _is_same(records.iloc[-1], p)]
        if len(counterparts) == 1 and board.published is not None:
            found += _of_row(row, counterparts[0], board.published.within_points)
    return tuple(found)


def verdict(value: float, low: float, high: float, within_points: float) -> str:
    """Description of a difference (a fraction) and its interval: reproduced, within n points, or off."""
    if low <= 0 <= high:
        return "reproduced"
    if round(abs(100 * value), _DIGITS) > within_points:
        return "off"
    return f"within {within_points:g} point{'' if within_points == 1 else 's'}"


def _is_same(record: pd.Series, printed: PublishedRow) -> bool:
    cells = printed.cells
    backbone = cells.get("backbone")
    return (
        cells.get("method", printed.label) == record["family"]
        and (not backbone or _WIDTHS.get(backbone) == record["feature_width"])
        and all(
            (not data or _DATASETS.get(data, data) == record["pretraining_data"])
            and (not epochs or record["pretraining_epochs"] - int(epochs) in (0, 1))
            for data, epochs in printed.pretraining
        )
    )


def _of_row(row: Row, printed: PublishedRow, within_points: float) -> list[Delta]:
    found = []
    for index, (cell, value) in enumerate(zip(row.cells, printed.values, strict=True)):
        if cell is not None and value is not None:
            difference, low, high = cell.value - value, cell.low - value, cell.high - value
            found.append(
                Delta(
                    model=row.model,
                    published=printed.label,
                    column=index,
                    value=difference,
                    low=low,
                    high=high,
                    verdict=verdict(difference, low, high, within_points),
                )
            )
    return found
