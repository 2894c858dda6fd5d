"""Name, colour and dash of models, which are the same in all figures of a page.

The colours are those of Okabe and Ito, which readers with any colour vision can tell apart.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from sigma_bench.leaderboard.board_table import BoardTable
from sigma_bench.leaderboard.model_names import distinct

OKABE_ITO = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""The Okabe-Ito colours without yellow, which is too light for lines on white."""
DASHES = ("-", "--", "-.", ":")


class ModelStyle(NamedTuple):
    """How figures show a model."""

    name: str
    colour: str
    dash: str


def model_styles(tables: Iterable[BoardTable], models: Iterable[str] = ()) -> dict[str, ModelStyle]:
    """By the name of a model in records, its style: that of its place among the rows of the tables, then ``models``.

    If tables have several names of a model, the first that differs from the name in records is used.
    """
    names: dict[str, str] = {}
    for table in tables:
        for model, name in table.names.items():
            names[model] = name if names.get(model, model) == model else names[model]
    names = distinct({model: names.get(model, model) for model in (*names, *models)})
    return {
        model: ModelStyle(name, OKABE_ITO[place % len(OKABE_ITO)], DASHES[place % len(DASHES)])
        for place, (model, name) in enumerate(names.items())
    }


def names_of_records(tables: Sequence[BoardTable]) -> dict[str, str]:
    """By the id of a record in the tables, the name of its model in figures."""
    styles = model_styles(tables)
    cells = [(row.model, cell) for table in tables for row in table.rows for cell in row.cells]
    return {name: styles[model].name for model, cell in cells if cell is not None for name in cell.record_ids}
