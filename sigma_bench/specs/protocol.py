"""Protocols: how a representation is judged.

A protocol is a package with two modules.  ``spec`` holds a class that derives from ``BaseProtocol``, has the kind's
name as the only value of its field ``kind``, and states the fields, splits and passes; it does without torch.  ``run``
holds a function ``run(evaluation)`` that returns the predictions (``protocols/contract.py``).  One file in
``tasks/protocols/`` is one version of a protocol and states every number that can change a score.
"""

from abc import abstractmethod
from collections.abc import Collection
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BeforeValidator, ConfigDict, Field, SerializeAsAny, ValidationError, model_validator

from sigma_bench.specs.dataset import Folds
from sigma_bench.specs.encoder_card import EncoderCard
from sigma_bench.specs.passes import Pass, SampleLabels, SplitUse
from sigma_bench.specs.recipe import Fraction
from sigma_bench.specs.registry import Registry
from sigma_bench.specs.strict import Label, LeanSpec, Spec, first_problem, parse_spec, tuples_for_lists

KINDS = Registry(
    concept="protocol kind",
    group="sigma_bench.protocols",
    built_in={
        "attentive": "sigma_bench.protocols.attentive",
        "clustering": "sigma_bench.protocols.clustering",
        "counting": "sigma_bench.protocols.counting",
        "finetune": "sigma_bench.protocols.finetune",
        "knn": "sigma_bench.protocols.knn",
        "knn_loo": "sigma_bench.protocols.knn_loo",
        "linear": "sigma_bench.protocols.linear",
        "linear_online": "sigma_bench.protocols.finetune",
        "multilabel": "sigma_bench.protocols.multilabel",
        "propagation": "sigma_bench.protocols.propagation",
        "segmentation": "sigma_bench.protocols.segmentation",
    },
)
"""Kind of protocol -> its package.  Other packages add kinds through the entry-point group."""

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
    """What every protocol states."""

    run_options: ClassVar[frozenset[str]] = frozenset()
    """Keys that say how the work is done and change no score; fingerprints leave them out."""
    uses_folds: ClassVar[bool] = False
    """Whether a task may divide one split into folds for training and testing."""
    sample_labels: ClassVar[SampleLabels] = "any"
    """What every sample of the used splits must have."""
    scoring: ClassVar[str]
    """Module with ``METRICS`` and ``CONTROLS``, see ``records/scoring.py``."""

    protocol: Label
    """Name and version, ``knn@1``; the name of its file."""
    kind: str
    summary: str
    metrics: tuple[str, ...]
    uncertainty: Uncertainty

    @model_validator(mode="after")
    def _measures_each_metric_once(self) -> Self:
        if len(set(self.metrics)) < max(len(self.metrics), 1):
            raise ValueError(f"metrics are {', '.join(self.metrics) or 'none'}; name one or more, each once")
        return self

    @property
    def unused_keys(self) -> tuple[str, ...]:
        """Keys without effect under the values of the other keys; setting one would store the same number twice."""
        return ()

    @property
    def counts_failures_as_wrong(self) -> bool:
        """Whether a sample that cannot be read is scored as wrong; otherwise it ends the evaluation with an error."""
        return False

    @abstractmethod
    def splits(self, names: Collection[str], folds: Folds) -> tuple[SplitUse, ...]:
        """The splits that are used, the scored one last.

        Args:
            names: splits that the dataset has.
            folds: with ``leave_one_group_out`` one split serves for training and for testing.

        Raises:
            ValueError: the protocol needs other splits; continues the words 'the dataset has ..., but'.
        """

    @abstractmethod
    def passes(self, splits: tuple[SplitUse, ...], card: EncoderCard, seed: int) -> tuple[Pass, ...]:
        """The passes over the network, in the order in which they are computed.

        Args:
            splits: as ``splits`` returned them.
            card: of the encoder.
            seed: of the evaluation, for clips that are drawn at random.
        """


class ReadFailures(BaseProtocol):
    """A protocol that can count a sample as wrong if it cannot be read."""

    on_decode_failure: Failure

    @property
    def counts_failures_as_wrong(self) -> bool:
        return self.on_decode_failure == "count_as_wrong"


class UnknownProtocol(BaseProtocol):
    """A protocol of a record whose package is not installed here: it is shown, but neither run nor scored again."""

    model_config = ConfigDict(extra="allow")

    def splits(self, names: Collection[str], folds: Folds) -> tuple[SplitUse, ...]:
        raise ValueError(self._absence())

    def passes(self, splits: tuple[SplitUse, ...], card: EncoderCard, seed: int) -> tuple[Pass, ...]:
        raise ValueError(self._absence())

    def _absence(self) -> str:
        return f"the package of the protocol kind '{self.kind}' is not installed"


def protocol_class(kind: str) -> type[BaseProtocol]:
    """The class of a kind of protocol.

    Raises:
        ValueError: there is no such kind, it is registered twice, or its package has no class for it.
    """
    module = KINDS.load(kind, "spec")
    classes = [found for found in vars(module).values() if isinstance(found, type) and issubclass(found, BaseProtocol)]
    fitting = [found for found in classes if kind in _values_of_kind(found)]
    if len(fitting) != 1:
        raise ValueError(
            f"the protocol kind '{kind}': {module.__name__} holds {len(fitting)} classes whose field 'kind' has this "
            "value; define exactly one"
        )
    missing = sorted(fitting[0].__abstractmethods__)
    if missing:
        raise ValueError(f"the protocol kind '{kind}': {fitting[0].__name__} does not define {' and '.join(missing)}")
    return fitting[0]


def parse_protocol(content: dict[str, Any], *, where: str) -> BaseProtocol:
    """Validate a mapping as the protocol that its key ``kind`` names.

    Raises:
        ValueError: opens with ``where`` and names the key and the nearest valid one.
    """
    kind = content.get("kind")
    if not isinstance(kind, str):
        raise ValueError(f"{where}: the key 'kind' is missing; known kinds are {', '.join(KINDS.names())}")
    try:
        found = protocol_class(kind)
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from error
    return parse_spec(found, content, where=where)


def _recorded_protocol(content: Any) -> Any:
    """The protocol of a record, which may be of a package that is not installed."""
    if not isinstance(content, dict) or not isinstance(content.get("kind"), str):
        return content
    kind = content["kind"]
    found = protocol_class(kind) if kind in KINDS.names() else UnknownProtocol
    try:
        return found.model_validate(tuples_for_lists(content))
    except ValidationError as error:
        raise ValueError(first_problem(found, error)) from error


def _values_of_kind(found: type[BaseProtocol]) -> tuple[Any, ...]:
    return getattr(found.model_fields["kind"].annotation, "__args__", ())


Protocol = Annotated[SerializeAsAny[BaseProtocol], BeforeValidator(_recorded_protocol)]
"""A protocol of any kind, as a field of another declaration."""
