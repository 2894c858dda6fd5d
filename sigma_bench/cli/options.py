"""Options that several commands have, with the values they accept."""

import math

import typer

from sigma_bench.specs.recipe import MOST_SEED


def seed_option(words: str) -> int:
    """The option ``--seed``: a whole number in the range that NumPy, torch and scikit-learn accept."""
    number: int = typer.Option(0, min=0, max=MOST_SEED, help=words)
    return number


def finite(option: typer.CallbackParam, value: float) -> float:
    """The value of an option that is an amount; ValueError unless it is finite and not negative."""
    if not math.isfinite(value) or value < 0:
        raise ValueError(f"--{(option.name or '').replace('_', '-')} {value}: expected a number from 0 upwards")
    return value
