"""Strict declarations: frozen models that forbid unknown keys, read from YAML 1.2.

YAML 1.2 has fewer implicit types than YAML 1.1: ``no`` and ``16:20`` are text, ``1e-4`` is a number and ``010`` is 10.
A value of another type than the key, an unknown key or a duplicate key is an error that names file and key.
"""

import difflib
import json
import re
import reprlib
from collections.abc import Iterable
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field, SerializerFunctionWrapHandler, ValidationError, model_serializer
from ruamel.yaml import YAML
from ruamel.yaml.composer import Composer, MaxDepthExceededError
from ruamel.yaml.constructor import SafeConstructor
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import AliasEvent, ScalarEvent
from ruamel.yaml.nodes import MappingNode

from sigma_bench.specs.untrusted import read_bounded, with_visible_controls


class Spec(BaseModel):
    """Base of all declarations: immutable, no unknown keys, no type coercion, finite numbers.

    Infinity and NaN are not allowed because they cannot be written as JSON, of which fingerprints are computed.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class LeanSpec(Spec):
    """A declaration whose absent optional keys are also absent from records, fingerprints and cache keys.

    Therefore a new optional key does not change the fingerprint of declarations without it.
    """

    @model_serializer(mode="wrap")
    def _without_absent(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        fields = type(self).model_fields
        return {key: value for key, value in dump(self).items() if value is not None or fields[key].is_required()}


S = TypeVar("S", bound=Spec)
Label = Annotated[str, Field(min_length=1, max_length=300)]
"""A name that is only displayed: any text that fits into one line of a table."""
PLAIN_NAME = r"^[A-Za-z0-9][A-Za-z0-9._@+=-]{0,99}$"
PlainName = Annotated[str, Field(pattern=PLAIN_NAME)]
"""A name that becomes a file name: it has no separator, so the file cannot be outside its folder."""


MAX_BYTES = 1 << 20
"""Largest size of a YAML file."""
_MOST_DEPTH = 32
_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_ ]*[A-Za-z0-9]")
"""Texts that need no quotation marks unless they are read as another value, such as ``true``."""
_LONGEST_SHOWN = 200


class _PlainComposer(Composer):
    """Composer of documents without aliases, tags and compound keys.

    A few nested aliases can expand to billions of values, and a tag can request an object of another type.
    """

    def compose_node(self, parent: Any, index: Any) -> Any:
        event = self.parser.peek_event()
        where = f"line {event.start_mark.line + 1}"
        if isinstance(event, AliasEvent) or event.anchor is not None:
            raise ValueError(f"{where}: anchors and aliases (& and *) are not read; write the value out")
        if event.tag is not None:
            raise ValueError(f"{where}: tags (!) are not read; write the plain value")
        if isinstance(parent, MappingNode) and index is None and not isinstance(event, ScalarEvent):
            raise ValueError(f"{where}: a key must be a plain word or number")
        return super().compose_node(parent, index)


class _PlainConstructor(SafeConstructor):
    """Constructor that leaves dates as text, as the core schema of YAML 1.2 does."""


_PlainConstructor.add_constructor("tag:yaml.org,2002:timestamp", SafeConstructor.construct_yaml_str)


def _load(text: str) -> Any:
    """The value of a YAML 1.2 document; ValueError names the line."""
    yaml = YAML(typ="safe", pure=True)
    yaml.version, yaml.max_depth = (1, 2), _MOST_DEPTH
    yaml.Composer, yaml.Constructor = _PlainComposer, _PlainConstructor
    for number, line in enumerate(text.splitlines(), 1):
        if line.startswith("%"):
            raise ValueError(f"line {number}: directives (%) are not read; remove the line")
    try:
        return yaml.load(text)
    except MaxDepthExceededError as error:
        raise ValueError(f"line {error.problem_mark.line + 1}: nested deeper than {_MOST_DEPTH} levels") from error
    except MarkedYAMLError as error:
        where = f"line {error.problem_mark.line + 1}: " if error.problem_mark else ""
        raise ValueError(f"{where}not valid YAML ({str(error.problem)[:_LONGEST_SHOWN]})") from error
    except YAMLError as error:
        raise ValueError(f"not valid YAML ({str(error)[:_LONGEST_SHOWN]})") from error


def is_yaml_file(name: str) -> bool:
    """Whether a name on the command line names a YAML file."""
    return name.endswith((".yaml", ".yml"))


def read_yaml(path: Path) -> dict[str, Any]:
    """The mapping in a YAML file.

    Raises:
        ValueError: the file is not readable, too large or too deep, is not YAML or not a mapping, or contains a
            duplicate key, an alias or a tag; the message names the file.
    """
    raw = read_bounded(path, MAX_BYTES)
    try:
        content = _load(raw.decode("utf-8"))
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    if not isinstance(content, dict):
        raise ValueError(f"{path}: expected a mapping of keys to values at the top")
    return content


def read_scalar(text: str) -> Any:
    """A value on the command line, read by the same rules as in a file."""
    try:
        return _load(text)
    except ValueError as error:
        raise ValueError(f"'{text[:_LONGEST_SHOWN]}' is not a value: {error}") from error


def quoted_scalar(text: str) -> str:
    """A text as a YAML scalar that ``read_scalar`` returns unchanged, on one line and without control characters.

    Raises:
        ValueError: the text contains a surrogate, which is not a character of YAML.
    """
    if _PLAIN.fullmatch(text) and read_scalar(text) == text:
        return text
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise ValueError(f"{text!r}: this name is not text in UTF-8; rename it")
    return with_visible_controls(json.dumps(text, ensure_ascii=False))


def load_spec(spec_type: type[S], path: Path) -> S:
    """Read one declaration from a YAML file; ValueError names file, key and similar valid keys."""
    return parse_spec(spec_type, read_yaml(path), where=str(path))


def parse_spec(spec_type: type[S], content: dict[str, Any], *, where: str) -> S:
    """Validate a mapping as a declaration; ``where`` is the beginning of error messages."""
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
    """The value with tuples in place of lists, which strict models require."""
    if isinstance(value, list):
        return tuple(tuples_for_lists(item) for item in value)
    if isinstance(value, dict):
        return {key: tuples_for_lists(item) for key, item in value.items()}
    return value


def first_problem(spec_type: type[Spec], error: ValidationError) -> str:
    """The most helpful of the problems that pydantic found, in words."""
    # A mistyped key is both unknown and missing; the message about the unknown one has a suggestion.
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
    """Valid field names at a path of a declaration, which may be nested or a union."""
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
    """Whether a field with this value distinguishes this type from the other types of a union."""
    kinds = (field.annotation for field in candidate.model_fields.values())
    return any(get_origin(kind) is Literal and tag in get_args(kind) for kind in kinds)


def _spec_types(annotation: Any) -> list[type[Spec]]:
    if isinstance(annotation, type) and issubclass(annotation, Spec):
        return [annotation]
    if get_origin(annotation) is None and not isinstance(annotation, UnionType | type(Union)):
        return []
    return [found for argument in get_args(annotation) for found in _spec_types(argument)]
