"""Limits on the number of samples, for smoke runs of a task on a part of its data."""

import math
from typing import Annotated, Any

from pydantic import Field

Limit = Annotated[int, Field(ge=1, le=2**40)] | Annotated[float, Field(gt=0, lt=1)]
"""Number of samples of each split, or their fraction."""


def parse_limit(value: Any) -> int | float:
    """A limit, as a number or as text.

    Raises:
        ValueError: the value is neither a whole number of at least 1 nor a fraction between 0 and 1.
    """
    for kind in (int, float):
        try:
            number = kind(value) if isinstance(value, str) else value
        except ValueError:
            continue
        if isinstance(number, bool):
            break
        if isinstance(number, int) and 1 <= number <= 2**40:
            return number
        if isinstance(number, float) and 0 < number < 1:
            return number
    raise ValueError(
        f"limit is {str(value)[:60]!r}; give a number of samples per split, such as 100, or a fraction, such as 0.01"
    )


def limited_number(limit: int | float, size: int) -> int:
    """The number of samples of a split of ``size`` samples that a limit asks for."""
    return min(size, limit if isinstance(limit, int) else math.ceil(limit * size))
