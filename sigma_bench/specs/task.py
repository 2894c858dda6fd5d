"""Tasks (dataset x protocol, with overrides) and suites (lists of tasks)."""

from typing import Annotated, Any, Literal

from pydantic import Field

from sigma_bench.specs.base_protocol import RetiredProtocol
from sigma_bench.specs.dataset import DatasetCard
from sigma_bench.specs.protocol import Protocol
from sigma_bench.specs.strict import Spec

Asks = Literal["motion", "appearance", "segmentation", "unspecified"]


class Task(Spec):
    """One file in ``tasks/<dataset>/``; ``overrides`` replaces keys of the protocol, nested as there."""

    task: str
    dataset: str
    protocol: str
    asks: Asks
    folds: Literal["official", "leave_one_group_out"]
    overrides: dict[str, Any]
    note: str


class ResolvedTask(Spec):
    """What actually runs and is fingerprinted: the task with its card and its protocol filled in."""

    task: str
    dataset: DatasetCard
    protocol: Annotated[Protocol | RetiredProtocol, Field(discriminator="kind")]
    """Retired only in records of an older schema; the catalogue holds none."""
    asks: Asks
    folds: Literal["official", "leave_one_group_out"]


class Suite(Spec):
    """One file in ``tasks/suites/``."""

    suite: str
    summary: str
    tasks: tuple[str, ...]
