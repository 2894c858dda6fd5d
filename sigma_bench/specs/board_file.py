"""The YAML file of a new board, for editing: short comments, and one line per column."""

import io
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap
from ruamel.yaml.representer import RoundTripRepresenter

from sigma_bench.specs.board import Board, BoardColumn
from sigma_bench.specs.strict import Spec

_UNFOLDED = 1 << 20
"""Width that no line reaches."""
_HEAD = """\
# A board: which numbers a table shows, in which order.  results/README.md of sigma-bench describes the keys.
# To show it:  sigma-bench --include FOLDER table {name}    (FOLDER holds boards/{name}.yaml)
# Columns: 'group' is the header over neighbouring columns, 'label' that of one; 'metric' is one of the metrics of the
# task's protocol; 'where' restricts a column to records with these settings, as 'table --where' does.
# 'rows' holds models that come first, each a name in records or {{model: NAME IN RECORDS, name: NAME IN TABLES}}.
# A last column with the mean of complete rows:
#   mean: {{label: Mean, published: null}}
"""
_KEYS = ("name", "title", "data_source", "note", "rows", "about", "columns", "mean", "published", "context")


class _Representer(RoundTripRepresenter):
    """Representer that writes ``null`` out, and quotes text with line ends or control characters."""

    def represent_text(self, text: str) -> Any:
        return self.represent_scalar("tag:yaml.org,2002:str", text, style=None if text.isprintable() else '"')

    def represent_null(self, value: None) -> Any:
        return self.represent_scalar("tag:yaml.org,2002:null", "null")


_Representer.add_representer(str, _Representer.represent_text)
_Representer.add_representer(type(None), _Representer.represent_null)


def board_text(board: Board) -> str:
    """The file of a board; ``load_spec(Board, path)`` reads an equal board from it."""
    keys = _stated(board)
    content = {key: keys[key] for key in _KEYS if key in keys}
    content["columns"] = [_in_one_line(column) for column in board.columns]
    yaml = YAML()
    yaml.Representer, yaml.width, yaml.allow_unicode = _Representer, _UNFOLDED, True
    yaml.indent(mapping=2, sequence=4, offset=2)
    stream = io.StringIO()
    yaml.dump(content, stream)
    return _HEAD.format(name=board.name) + stream.getvalue()


def _in_one_line(column: BoardColumn) -> CommentedMap:
    line = CommentedMap(_stated(column))
    line.fa.set_flow_style()
    return line


def _stated(spec: Spec) -> dict[str, Any]:
    """The keys of a declaration without those that have their default value."""
    content: dict[str, Any] = spec.model_dump(mode="json")
    fields = type(spec).model_fields
    return {
        key: value
        for key, value in content.items()
        if fields[key].is_required() or getattr(spec, key) != fields[key].get_default(call_default_factory=True)
    }
