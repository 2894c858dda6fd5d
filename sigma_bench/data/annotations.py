"""What is known about a sample beside its one class: actions in time, repetitions, categories of masked objects."""

from dataclasses import dataclass


@dataclass(frozen=True)
class ActionIntervals:
    """Several actions of one video (Charades): class, start and end in seconds, both inside the action."""

    intervals: tuple[tuple[int, float, float], ...]


@dataclass(frozen=True)
class CycleBounds:
    """Where the repetitions of one action begin and end (UCFRep): 0-based frames, one more than there are cycles."""

    bounds: tuple[int, ...]

    @property
    def count(self) -> int:
        """Number of repetitions."""
        return len(self.bounds) - 1


@dataclass(frozen=True)
class ObjectCategories:
    """What the ids in the masks of a sequence show (YouTube-VOS): object id, number of the category."""

    categories: tuple[tuple[int, int], ...]


Annotation = ActionIntervals | CycleBounds | ObjectCategories
