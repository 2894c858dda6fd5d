"""The command that repeats an evaluation, derived from its record, because the recorded command may be a local script.

Each protocol key that differs from the catalogue's is set by ``--set``, and the resulting task must have the record's
fingerprint.  The model and the included folders are those of the recorded command.  If that is not a command of
sigma-bench, ``MODEL`` stands for the checkpoint, ``RECIPE`` for the recipe of a control and ``FOLDER`` for the included
folder; ``ROOT`` always stands for the data, since a record holds only digests of them.  If a model was given clips of
another number of frames or size than its own, both its name and ``MODEL`` end in these.
"""

import json
import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

from sigma_bench.records.record import Record
from sigma_bench.resources import included
from sigma_bench.specs.catalogue import is_custom_dataset, load_task, resolve, resolve_with_card
from sigma_bench.specs.fingerprint import task_fingerprint
from sigma_bench.specs.strict import read_scalar
from sigma_bench.specs.task import ResolvedTask, Task

_CONTROLS = {"random_init": "random:RECIPE", "image_statistics": "statistics:RECIPE"}
_PROGRAMS = ("sigma-bench", "__main__.py")
"""First word of a recorded command of the command line, started by its name or by ``python -m sigma_bench``."""
_GEOMETRY = re.compile(r"@\d+x\d+$")
"""End of a model's name that gives a number of frames or size other than its own (``models/geometry.py``)."""


def rerun_command(record: Record) -> str | None:
    """``sigma-bench evaluate MODEL --task ...``; None if the catalogue no longer yields the record's task."""
    settings = set_options_of(record)
    if settings is None:
        return None
    is_custom = _is_custom(record.task.dataset.dataset, included())
    if record.data.world == "user" and not is_custom:
        where = ["--csv", "FILE", "--protocol", record.task.protocol.protocol, "--folds", record.task.folds]
    else:
        where = ["--task", record.task.task, *(["--data", "ROOT"] if record.data.world != "user" else [])]
    recorded = _recorded(record.provenance.command)
    needed = ("FOLDER",) if is_custom else ()
    include = [word for folder in recorded.included or needed for word in ("--include", folder)]
    model = [*recorded.model] or [_model(record)]
    limit = ["--limit", str(record.data.limit)] if record.is_partial else []
    seed = ["--seed", str(record.seed)]
    return shlex.join(["sigma-bench", *include, "evaluate", *model, *where, *seed, *limit, *settings])


def set_options_of(record: Record) -> tuple[str, ...] | None:
    """``--set`` and a value for each protocol key that differs from the catalogue; None as for ``rerun_command``."""
    return _settings(record.task.model_dump_json(), record.fingerprint, record.data.world, included())


def names_model(record: Record) -> bool:
    """Whether the recorded command names the model, so that ``rerun_command`` needs no ``MODEL`` for it."""
    return bool(_recorded(record.provenance.command).model)


@dataclass(frozen=True)
class _Recorded:
    """Parts of a recorded command; empty if it does not have them, or is not ``sigma-bench evaluate``."""

    model: tuple[str, ...] = ()
    """The model, with its arguments."""
    included: tuple[str, ...] = ()


def _recorded(command: Sequence[str]) -> _Recorded:
    program, *words = command or ("",)
    included, rest = _taken(words, "--include")
    if program not in _PROGRAMS or rest[:1] != ["evaluate"]:
        return _Recorded()
    arguments, rest = _taken(rest[1:], "--model-args")
    if not rest or rest[0].startswith("-"):
        return _Recorded(included=tuple(included))
    return _Recorded((rest[0], *(word for one in arguments for word in ("--model-args", one))), tuple(included))


def _taken(words: Sequence[str], option: str) -> tuple[list[str], list[str]]:
    """The values of an option, and all other words."""
    values, rest, following = [], [], iter(words)
    for word in following:
        name, sign, value = word.partition("=")
        if name != option:
            rest.append(word)
        elif sign:
            values.append(value)
        else:
            values += [value for value in [next(following, None)] if value is not None]
    return values, rest


def _model(record: Record) -> str:
    """The model's name on the command line, with the seed of random weights if it differs from the evaluation's."""
    card = record.model
    if card.model not in _CONTROLS:
        geometry = _GEOMETRY.search(card.model)
        return "MODEL" + (geometry.group() if geometry else "")
    own_seed = card.pretraining_seed not in (None, record.seed)
    return _CONTROLS[card.model] + (f"@seed{card.pretraining_seed}" if own_seed else "")


@lru_cache(maxsize=1024)
def _is_custom(dataset: str, folders: tuple[Path, ...]) -> bool:
    """Whether the dataset is declared with its own data; ``folders`` as for ``_settings``."""
    return is_custom_dataset(dataset)


@lru_cache(maxsize=1024)
def _settings(task_json: str, fingerprint: str, data_source: str, folders: tuple[Path, ...]) -> tuple[str, ...] | None:
    """``--set`` and its values; None if no settings lead to the fingerprint.

    Args:
        folders: included in the catalogue, since the result depends on them.
    """
    own = ResolvedTask.model_validate_json(task_json)
    try:
        is_undeclared = data_source == "user" and not is_custom_dataset(own.dataset.dataset)
        task = _as_user_files(own) if is_undeclared else load_task(own.task)
        resolved = partial(resolve_with_card, task, own.dataset) if is_undeclared else partial(resolve, task)
        named = resolved({})
        overrides = _differences(_protocol(named), _protocol(own))
        again = resolved(overrides)
    except ValueError:
        return None
    if task_fingerprint(again) != fingerprint:
        return None
    return tuple(word for setting in _flat(overrides) for word in ("--set", setting))


def _as_user_files(own: ResolvedTask) -> Task:
    return Task(
        task=own.task,
        dataset=own.dataset.dataset,
        protocol=own.protocol.protocol,
        asks=own.asks,
        folds=own.folds,
    )


def _protocol(task: ResolvedTask) -> dict[str, Any]:
    return task.protocol.model_dump(mode="json", exclude={"summary"})


def _differences(named: dict[str, Any], own: dict[str, Any]) -> dict[str, Any]:
    """Keys to set, nested; mappings are compared key by key if overrides of them are merged."""
    found: dict[str, Any] = {key: None for key in named if key not in own}
    for key, value in own.items():
        before = named.get(key)
        if isinstance(value, dict) and isinstance(before, dict) and value.get("sampler") == before.get("sampler"):
            if inner := _differences(before, value):
                found[key] = inner
        elif key not in named or value != before:
            found[key] = value
    return found


def _flat(overrides: dict[str, Any], before: str = "") -> list[str]:
    """``a.b=c`` for each key; a mapping that is replaced as a whole is one value."""
    words = []
    for key, value in overrides.items():
        if isinstance(value, dict) and "sampler" not in value:
            words += _flat(value, f"{before}{key}.")
        else:
            words.append(f"{before}{key}={as_scalar(value)}")
    return words


def as_scalar(value: Any) -> str:
    """A value in the notation of the command line."""
    is_plain = isinstance(value, str) and _reads_as_itself(value)
    return value if is_plain else json.dumps(value)


def _reads_as_itself(text: str) -> bool:
    try:
        return bool(read_scalar(text) == text)
    except ValueError:
        return False
