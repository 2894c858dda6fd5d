"""What every protocol states: its name and version, how failures count, its metrics, its intervals."""

from typing import Annotated, Any, Literal

from pydantic import Field

from sigma_bench.specs.recipe import Fraction
from sigma_bench.specs.strict import Label, LeanSpec, Spec

Replicates = Annotated[int, Field(gt=0, le=20_000)]
"""Of a bootstrap; more would change an interval by less than it is printed with."""
Failure = Literal["fail", "count_as_wrong"]


class Uncertainty(Spec):
    """Percentile bootstrap over test units; ``group`` resamples source videos, people or sequences.

    ``centred_bootstrap`` shifts the interval by the bootstrap's own bias, for metrics of pairs or rankings of samples,
    which a sample that was drawn twice flatters.
    """

    method: Literal["bootstrap", "centred_bootstrap"]
    unit: Literal["sample", "group"]
    level: Fraction
    replicates: Replicates


class BaseProtocol(LeanSpec):
    """How a representation is judged; one file in ``tasks/protocols/`` is one version of a protocol."""

    protocol: Label
    """Name and version, ``knn@1``; the name of its file."""
    kind: str
    summary: str
    on_decode_failure: Failure
    metrics: tuple[str, ...]
    uncertainty: Uncertainty


class RetiredProtocol(BaseProtocol):
    """A protocol in a form that is no longer run: what the upgrade of an older record makes of it, nothing left out."""

    kind: Literal["retired"]
    as_written: dict[str, Any]
    """All keys of the protocol in the record."""
