"""Strict declarations: frozen models, forbidden extras, and YAML read without its traps.

A declaration is a promise, so a typo, a YAML 1.1 surprise (``no`` = False, ``010`` = 8, ``1e-4`` = text,
``16:20`` = 980) or a duplicate key is an error that names file, key and the nearest valid name.
"""

import difflib
import re
import reprlib
from collections.abc import Iterable
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

import yaml
from pydantic import BaseModel, ConfigDict, Field, SerializerFunctionWrapHandler, ValidationError, model_serializer

from sigma_bench.specs.bounded import read_bounded


class Spec(BaseModel):
    """Base of everything declared: immutable, no unknown keys, no type coercion, finite numbers.

    Infinity and NaN cannot be written as JSON, so nothing that holds one has a fingerprint.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class LeanSpec(Spec):
    """A declaration whose optional keys, where absent, are absent from records, fingerprints and cache keys as well.

    So a new optional key leaves everything that was measured without it as it was.
    """

    @model_serializer(mode="wrap")
    def _without_absent(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        fields = type(self).model_fields
        return {key: value for key, value in dump(self).items() if value is not None or fields[key].is_required()}


S = TypeVar("S", bound=Spec)
Label = Annotated[str, Field(min_length=1, max_length=300)]
"""A name that is only shown: any text that fits into a line of a table."""
PlainName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._@+=-]{0,99}$")]
"""A name that becomes a file name: it has no separator and cannot point outside of its folder."""


MOST_BYTES = 1 << 20
"""Of one YAML file."""
_MOST_DEPTH = 32
_LONGEST_SHOWN = 200


class _StrictLoader(yaml.SafeLoader):
    """SafeLoader with JSON-like scalars, and without aliases, tags and deep nesting.

    Scalars are true/false, plain decimals, and floats with or without a dot.  A few nested aliases can
    expand to billions of values, and a tag can make the loader build an object of another type.
    """

    _depth = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        event = self.peek_event()  # type: ignore[no-untyped-call]
        where = f"line {event.start_mark.line + 1}"
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None) is not None:
            raise ValueError(f"{where}: anchors and aliases (& and *) are not read; write the value out")
        if getattr(event, "tag", None) is not None:
            raise ValueError(f"{where}: tags (!) are not read; write the plain value")
        if self._depth >= _MOST_DEPTH:
            raise ValueError(f"{where}: nested deeper than {_MOST_DEPTH} levels")
        self._depth += 1
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node


_StrictLoader.yaml_implicit_resolvers = {}
for _tag, _pattern, _first in (
    ("bool", r"true|false", "tf"),
    ("int", r"[-+]?(?:0|[1-9][0-9]*)", "-+0123456789"),
    ("float", r"[-+]?(?:(?:[0-9]+\.[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?|[0-9]+[eE][-+]?[0-9]+)", "-+.0123456789"),
    ("null", r"null|~|", ["n", "~", ""]),
):
    _StrictLoader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(rf"^(?:{_pattern})$"), list(_first))

_AMBIGUOUS = re.compile(
    r"^(?:y|n|yes|no|on|off|True|False|TRUE|FALSE|Yes|No|On|Off|YES|NO|ON|OFF|Null|NULL"
    r"|[-+]?0[0-9_]+|[-+]?0[xob][0-9a-fA-F_]+|[-+]?[0-9]+(?::[0-5]?[0-9])+(?:\.[0-9]*)?|[-+]?[0-9][0-9]*_[0-9_]*"
    r"|[-+]?\.(?:inf|Inf|INF|nan|NaN|NAN)|\.(?:nan|NaN|NAN))$"
)


def _mapping(loader: _StrictLoader, node: yaml.MappingNode) -> dict[Any, Any]:
    seen: set[Any] = set()
    for key_node, _ in node.value:
        key = loader.construct_object(key_node, deep=True)
        if not isinstance(key, str | int | float | bool):
            raise ValueError(f"line {key_node.start_mark.line + 1}: a key must be a plain word or number")
        if key in seen:
            raise ValueError(f"line {key_node.start_mark.line + 1}: the key '{key}' stands twice")
        seen.add(key)
    return yaml.SafeLoader.construct_mapping(loader, node, deep=True)


def _text(loader: _StrictLoader, node: yaml.ScalarNode) -> str:
    if node.style is None and _AMBIGUOUS.match(node.value):
        raise ValueError(
            f"line {node.start_mark.line + 1}: '{node.value}' reads differently in different YAML versions; "
            "write true or false, a plain decimal number, or put it in quotes"
        )
    return str(loader.construct_scalar(node))


def _float(loader: _StrictLoader, node: yaml.ScalarNode) -> float:
    return float(loader.construct_scalar(node))


_StrictLoader.add_constructor("tag:yaml.org,2002:map", _mapping)
_StrictLoader.add_constructor("tag:yaml.org,2002:str", _text)
_StrictLoader.add_constructor("tag:yaml.org,2002:float", _float)


def is_yaml_file(name: str) -> bool:
    """Whether a name on the command line names a YAML file."""
    return name.endswith((".yaml", ".yml"))


def read_yaml(path: Path) -> dict[str, Any]:
    """The mapping a YAML file holds.

    Raises:
        ValueError: not readable, too large or too deep, not YAML, not a mapping, a duplicate key, an ambiguous scalar,
            an alias or a tag; names the file.
    """
    raw = read_bounded(path, MOST_BYTES)
    try:
        content = yaml.load(raw.decode("utf-8"), Loader=_StrictLoader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"line {mark.line + 1}: " if mark else ""
        raise ValueError(f"{path}: {where}not valid YAML ({getattr(error, 'problem', error)})") from error
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    if not isinstance(content, dict):
        raise ValueError(f"{path}: expected a mapping of keys to values at the top")
    return content


def read_scalar(text: str) -> Any:
    """A value typed on the command line, by the same rules as in a file."""
    try:
        return yaml.load(text, Loader=_StrictLoader)
    except yaml.YAMLError as error:
        raise ValueError(f"'{text}' is not a value: {getattr(error, 'problem', error)}") from error


def load_spec(spec_type: type[S], path: Path) -> S:
    """Read one declaration from a YAML file; ValueError names file, key and the nearest valid key."""
    return parse_spec(spec_type, read_yaml(path), where=str(path))


def parse_spec(spec_type: type[S], content: dict[str, Any], *, where: str) -> S:
    """Validate a mapping as a declaration; ``where`` opens the error sentence."""
    try:
        return spec_type.model_validate(tuples_for_lists(content))
    except ValidationError as error:
        raise ValueError(f"{where}: {first_problem(spec_type, error)}") from error


def suggestion(name: str, known: Iterable[str]) -> str:
    """A sentence with similar names, ' Did you mean ...?', or with all names if none is similar."""
    names = sorted(set(known))
    close = difflib.get_close_matches(name[:_LONGEST_SHOWN], names, n=3, cutoff=0.5)
    if close:
        return f" Did you mean {' or '.join(repr(c) for c in close)}?"
    return f" Known: {', '.join(names)}." if names else ""


def tuples_for_lists(value: Any) -> Any:
    """YAML lists become tuples, since strict frozen models hold tuples."""
    if isinstance(value, list):
        return tuple(tuples_for_lists(item) for item in value)
    if isinstance(value, dict):
        return {key: tuples_for_lists(item) for key, item in value.items()}
    return value


def first_problem(spec_type: type[Spec], error: ValidationError) -> str:
    """The most helpful of the problems that pydantic found, in words."""
    # A mistyped key is both unknown and missing: the unknown one can be mended by a suggestion.
    problem = min(error.errors(), key=lambda found: found["type"] != "extra_forbidden")
    location = tuple(problem["loc"])
    key = ".".join(str(part) for part in location)[:_LONGEST_SHOWN]
    more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
    if problem["type"] == "extra_forbidden":
        return f"unknown key '{key}'.{suggestion(str(location[-1]), _valid_keys(spec_type, location[:-1]))}{more}"
    if problem["type"] == "missing":
        return f"the key '{key}' is missing{more}"
    message = problem["msg"].removeprefix("Value error, ")
    return f"key '{key}': {message}, got {_short(problem['input'])}{more}" if key else f"{message}{more}"


def _short(value: Any) -> str:
    """A value, shortened for an error message."""
    try:
        shown = reprlib.repr(value) if not isinstance(value, str) else repr(value)
    except ValueError:  # a whole number of thousands of digits
        return "a number that is too long to show"
    return shown if len(shown) <= _LONGEST_SHOWN else f"{shown[:_LONGEST_SHOWN]}..."


def _valid_keys(annotation: Any, path: tuple[Any, ...]) -> list[str]:
    """Field names valid at a path of a (possibly nested, possibly union) spec."""
    candidates = _spec_types(annotation)
    if not path:
        return [name for candidate in candidates for name in candidate.model_fields]
    head, rest = path[0], path[1:]
    for candidate in candidates:
        if head in candidate.model_fields:
            return _valid_keys(candidate.model_fields[head].annotation, rest)
    tagged = [candidate for candidate in candidates if _is_tagged(candidate, head)]
    if tagged:
        return [key for candidate in tagged for key in _valid_keys(candidate, rest)]
    return _valid_keys(annotation, rest)  # a tuple index or a dictionary key


def _is_tagged(candidate: type[Spec], tag: Any) -> bool:
    """Whether a union tells this type from others by a field with this value."""
    kinds = (field.annotation for field in candidate.model_fields.values())
    return any(get_origin(kind) is Literal and tag in get_args(kind) for kind in kinds)


def _spec_types(annotation: Any) -> list[type[Spec]]:
    if isinstance(annotation, type) and issubclass(annotation, Spec):
        return [annotation]
    if get_origin(annotation) is None and not isinstance(annotation, UnionType | type(Union)):
        return []
    return [found for argument in get_args(annotation) for found in _spec_types(argument)]
