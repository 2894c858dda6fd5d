"""What every protocol states: its name and version, how failures count, its metrics, its intervals."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from sigma_bench.specs.recipe import Fraction
from sigma_bench.specs.strict import Label, LeanSpec, Spec

Replicates = Annotated[int, Field(gt=0, le=20_000)]
"""Number of replicates of a bootstrap; more than 20,000 change an interval by less than its printed digits."""
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

    run_options: ClassVar[frozenset[str]] = frozenset()
    """Keys that say how the work is done and change no score; fingerprints leave them out."""

    uses_folds: ClassVar[bool] = False
    """Whether a task may divide one split into folds for training and testing; other protocols ignore folds."""
    protocol: Label
    """Name and version, ``knn@1``; the name of its file."""
    kind: str
    summary: str
    on_decode_failure: Failure
    metrics: tuple[str, ...]
    uncertainty: Uncertainty

    @property
    def unused_keys(self) -> tuple[str, ...]:
        """Keys without effect under the values of the other keys; setting one would store the same number twice."""
        return ()
