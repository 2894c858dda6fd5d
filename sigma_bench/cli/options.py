"""Options that several commands have, and their accepted values."""

import math
from typing import Any

import typer

from sigma_bench.specs.recipe import MAX_SEED
from sigma_bench.specs.strict import read_scalar

_SETTINGS = "such as image_size=112, checkpoint=1a2b3c4d, neighbours=5 or data_source=official; repeatable."
WHERE_HELP = f"Use only records with this setting of the model, the protocol or the data, {_SETTINGS}"
"""Help of ``--where``, which ``settings_given`` reads."""
CHOOSE_HELP = f"Choose among the records of a model that has several values of a setting, {_SETTINGS}"
"""Help of ``--where`` for a comparison."""


def seed_option(words: str) -> int:
    """The option ``--seed``: a whole number in the range that NumPy, torch and scikit-learn accept."""
    number: int = typer.Option(0, min=0, max=MAX_SEED, help=words)
    return number


def model_args_option() -> str:
    """The option ``--model-args``, which ``parse_model_arguments`` reads."""
    text: str = typer.Option(
        "",
        help="Arguments of the model, such as layer=-2,dtype=bfloat16: layer (number of a block), norm (true or "
        "false), pooling (mean or class), dtype (float32, bfloat16, float16, float64).",
    )
    return text


def by_dataset_option() -> bool:
    """The option ``--by-dataset``."""
    wanted: bool = typer.Option(
        False, "--by-dataset", help="Show all records on one board per dataset, and none on declared boards."
    )
    return wanted


def settings_given(pairs: list[str]) -> dict[str, str]:
    """Settings from pairs such as ``image_size=112``; ValueError for other pairs and for a key with two values."""
    settings: dict[str, str] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key:
            raise ValueError(f"--where {pair}: expected key=value, such as image_size=112")
        if settings.setdefault(key, value) != value:
            raise ValueError(f"--where {pair}: '{key}' was given as {settings[key]} before; give one value")
    return settings


def whole_or_auto(value: str) -> Any:
    """The number that a text states, or the text itself, which the API checks."""
    return int(value) if value.isascii() and value.isdecimal() else value


def finite(option: typer.CallbackParam, value: float) -> float:
    """The value of a numeric option; ValueError unless it is finite and not negative."""
    if not math.isfinite(value) or value < 0:
        raise ValueError(f"--{(option.name or '').replace('_', '-')} {value}: expected a number from 0 upwards")
    return value


def nested_overrides(pairs: list[str]) -> dict[str, Any]:
    """Nested mappings from pairs such as ``a.b=c``, whose values are read as YAML scalars; ValueError for other
    pairs."""
    nested: dict[str, Any] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key:
            raise ValueError(f"--set {pair}: expected key=value, such as neighbours=5")
        mapping = nested
        *outer, last = key.split(".")
        for part in outer:
            mapping = mapping.setdefault(part, {})
            if not isinstance(mapping, dict):
                raise ValueError(f"--set {pair}: '{part}' was set to a value before, so no key inside it can be set")
        mapping[last] = read_scalar(value)
    return nested
