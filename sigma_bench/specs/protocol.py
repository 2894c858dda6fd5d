"""Protocols: how a representation is evaluated.

A protocol is a package with two modules.  ``spec`` holds a class that derives from ``BaseProtocol``, has the kind's
name as the only value of its field ``kind``, and states the fields, splits and passes; it does not import torch.
``run`` holds a function ``run(evaluation)`` that returns the predictions (``protocols/interface.py``).  One file in
``tasks/protocols/`` is one version of a protocol and states every number that can change a score.
"""

import json
from abc import abstractmethod
from collections.abc import Collection
from functools import lru_cache
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BeforeValidator, ConfigDict, Field, SerializeAsAny, ValidationError, model_validator

from sigma_bench.specs.encoder_card import EncoderCard
from sigma_bench.specs.folds import Folds
from sigma_bench.specs.passes import Pass, SampleLabels, SplitUse
from sigma_bench.specs.recipe import Fraction
from sigma_bench.specs.registry import Registry
from sigma_bench.specs.strict import Label, LeanSpec, Spec, first_problem, parse_spec, tuples_for_lists

KINDS = Registry(
    concept="protocol kind",
    group="sigma_bench.protocols",
    built_in={
        "attentive": "sigma_bench.protocols.attentive",
        "attentive_online": "sigma_bench.protocols.attentive_online",
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
OnFailure = Literal["fail", "count_as_wrong"]
"""What happens when a sample cannot be read."""


class Uncertainty(Spec):
    """Bootstrap over test units (``metrics/uncertainty.py``); ``group`` resamples source videos, people or sequences.

    ``centred_bootstrap`` subtracts the bias of the bootstrap from the interval.  It is for metrics of pairs or rankings
    of samples, which are too high in a resample that contains a sample twice.
    """

    method: Literal["bootstrap", "centred_bootstrap"]
    unit: Literal["sample", "group"]
    level: Fraction
    replicates: Replicates


class BaseProtocol(LeanSpec):
    """The keys and class attributes that all protocols have."""

    run_options: ClassVar[frozenset[str]] = frozenset()
    """Keys that change how scores are computed but not their values; fingerprints leave them out."""
    uses_folds: ClassVar[bool] = False
    """Whether a task may divide one split into folds, each of which is tested once."""
    sample_labels: ClassVar[SampleLabels] = "any"
    """The labels that every sample of the used splits must have."""
    without_cache: ClassVar[str | None] = None
    """A protocol for the same purpose that keeps nothing in the cache."""
    scoring: ClassVar[str]
    """Name of the module with ``METRICS`` and ``CONTROLS``, see ``records/scoring.py``."""

    protocol: Label
    """Name and version, such as ``knn@1``; also the name of the file."""
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
        """Keys that have no effect under the values of the other keys.

        A task must not override them, because the same number would be stored under two fingerprints.
        """
        return ()

    @property
    def counts_failures_as_wrong(self) -> bool:
        """Whether a sample that cannot be read is scored as wrong; otherwise it ends the evaluation with an error."""
        return False

    def least_samples(self, split: str, num_classes: int) -> int:
        """Number of samples of a split below which the protocol cannot run, for partial evaluations."""
        return 1

    @abstractmethod
    def splits(self, names: Collection[str], folds: Folds) -> tuple[SplitUse, ...]:
        """The splits that are used, the scored one last.

        Args:
            names: splits that the dataset has.
            folds: in a cross-validation, one split is used for both training and testing.

        Raises:
            ValueError: the protocol needs other splits; the message completes the sentence '<dataset> has ..., but
                ...'.
        """

    @abstractmethod
    def passes(self, splits: tuple[SplitUse, ...], card: EncoderCard, seed: int) -> tuple[Pass, ...]:
        """The passes over the network, in the order in which they are computed.

        Args:
            splits: as ``splits`` returned them.
            card: card of the encoder.
            seed: seed of the evaluation, for clips that are drawn at random.
        """


class CountsFailures(BaseProtocol):
    """A protocol that can count a sample as wrong if it cannot be read."""

    on_decode_failure: OnFailure

    @property
    def counts_failures_as_wrong(self) -> bool:
        return self.on_decode_failure == "count_as_wrong"


class UnknownProtocol(BaseProtocol):
    """A protocol of a record whose package is not installed: it can be shown, but not run or scored again."""

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
        ValueError: there is no such kind, it is registered twice, or its package does not define exactly one class for
            it.
    """
    module = KINDS.load(kind, "spec")
    classes = [value for value in vars(module).values() if isinstance(value, type) and issubclass(value, BaseProtocol)]
    matching = [each for each in classes if kind in _values_of_kind(each)]
    if len(matching) != 1:
        raise ValueError(
            f"the protocol kind '{kind}': {module.__name__} holds {len(matching)} classes whose field 'kind' has this "
            "value; define exactly one"
        )
    found = matching[0]
    if missing := sorted(found.__abstractmethods__):
        raise ValueError(f"the protocol kind '{kind}': {found.__name__} does not define {' and '.join(missing)}")
    return found


def parse_protocol(content: dict[str, Any], *, where: str) -> BaseProtocol:
    """Validate a mapping as the protocol that its key ``kind`` names.

    Raises:
        ValueError: the kind is missing or unknown, or a key is unknown, missing or wrong; the message begins with
            ``where``.
    """
    kind = content.get("kind")
    if not isinstance(kind, str):
        raise ValueError(f"{where}: the key 'kind' is missing; known kinds are {', '.join(KINDS.names())}")
    try:
        spec_class = protocol_class(kind)
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from error
    return parse_spec(spec_class, content, where=where)


def _recorded_protocol(content: Any) -> Any:
    """The protocol of a record; an ``UnknownProtocol`` if its package is not installed."""
    if not isinstance(content, dict) or not isinstance(content.get("kind"), str):
        return content
    kind = content["kind"]
    return _parsed(protocol_class(kind) if kind in KINDS else UnknownProtocol, json.dumps(content))


@lru_cache(maxsize=1024)
def _parsed(spec_class: type[BaseProtocol], text: str) -> BaseProtocol:
    """The protocol in a JSON text; cached, since thousands of records share a few protocols."""
    try:
        return spec_class.model_validate(tuples_for_lists(json.loads(text)))
    except ValidationError as error:
        raise ValueError(first_problem(spec_class, error)) from error


def _values_of_kind(spec_class: type[BaseProtocol]) -> tuple[Any, ...]:
    return getattr(spec_class.model_fields["kind"].annotation, "__args__", ())


Protocol = Annotated[SerializeAsAny[BaseProtocol], BeforeValidator(_recorded_protocol)]
"""A protocol of any kind, as a field of another declaration."""
