"""Folds: how a dataset with the one split ``all`` is divided into training and test samples.

A group is never divided.  The text of the folds is part of the fingerprint of a task, and the division itself is part
of the identity of a record.
"""

import re
from typing import Annotated, Final

from pydantic import BeforeValidator

FOLDS_SEED: Final = 0
"""Seed of k folds and of random splits; it does not depend on the seed of an evaluation."""
FEWEST_FOLDS: Final = 2
MOST_FOLDS: Final = 50
LEAVE_ONE_GROUP_OUT: Final = "leave_one_group_out"
_RANDOM = re.compile(r"random:(0?\.\d{1,4})")
_CHOICES = (
    "choose official, leave_one_group_out, a number of folds from 2 to 50, or random:SHARE with the share of the "
    "groups to test, such as random:0.2"
)


def parse_folds(value: object) -> str:
    """Folds in their one spelling.

    Args:
        value: ``official``, ``leave_one_group_out``, a number of folds, or ``random:SHARE``.

    Raises:
        ValueError: the value is none of these.
    """
    text = str(value) if isinstance(value, str | int) and not isinstance(value, bool) else ""
    if text in ("official", LEAVE_ONE_GROUP_OUT):
        return text
    if text.isdecimal() and text.isascii() and len(text) < 3 and FEWEST_FOLDS <= int(text) <= MOST_FOLDS:
        return str(int(text))
    if (match := _RANDOM.fullmatch(text)) and float(match[1]) > 0:
        return f"random:{float(match[1])}"
    raise ValueError(f"folds {value!r}: {_CHOICES}")


Folds = Annotated[str, BeforeValidator(parse_folds)]
"""``official``: the splits as given; ``leave_one_group_out``: each group in turn is tested after fitting on all others;
a number from 2 to 50: this many folds of whole groups, with the classes balanced as far as groups permit;
``random:SHARE``: one random split with this share of the groups as test."""


def ways_to_divide(units: str = "whole groups") -> str:
    """The options that divide data without splits, for error messages.

    Args:
        units: what is never divided, such as ``videos`` for videos without groups.
    """
    return f"--folds 5 (5 folds of {units}), --folds {LEAVE_ONE_GROUP_OUT} or --folds random:0.2"


def num_folds(folds: Folds) -> int | None:
    """The number of folds if it is given, otherwise None."""
    return int(folds) if folds.isdecimal() else None


def share_to_test(folds: Folds) -> float | None:
    """The share of the groups that a random split tests; None for other folds."""
    return float(folds.removeprefix("random:")) if folds.startswith("random:") else None


def is_cross_validation(folds: Folds) -> bool:
    """Whether every sample is tested, in one fold each."""
    return folds == LEAVE_ONE_GROUP_OUT or num_folds(folds) is not None


def folds_in_words(folds: Folds) -> str:
    """A phrase that states how the samples are divided, for the card of a dataset."""
    if share := share_to_test(folds):
        return f"one random split by group, {share:.4g} of the groups as test, seed {FOLDS_SEED}"
    if number := num_folds(folds):
        return f"{number} folds of whole groups, classes balanced as far as groups permit, seed {FOLDS_SEED}"
    return "as given" if folds == "official" else folds.replace("_", " ")
