"""Records: the result of one evaluation as an immutable JSON file per checkpoint, resolved task, data and seed.

Values are fractions; only renderers use percent.  Predictions are stored beside the record under their hash.
"""

from collections.abc import Mapping
from functools import cached_property
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from sigma_bench.records.upgrade import SCHEMA_VERSION
from sigma_bench.specs.encoder_card import EncoderCard
from sigma_bench.specs.fingerprint import digest
from sigma_bench.specs.limit import Limit
from sigma_bench.specs.protocol import Replicates
from sigma_bench.specs.recipe import MAX_SEED, Count, Fraction
from sigma_bench.specs.strict import LeanSpec, Spec
from sigma_bench.specs.task import ResolvedTask

Finite = Annotated[float, Field(allow_inf_nan=False)]
Number = Annotated[int, Field(ge=0, le=2**40)]
NumClasses = Annotated[int, Field(gt=0, le=1_000_000)]
Seed = Annotated[int, Field(ge=0, le=MAX_SEED)]
ID_LENGTH = 12


class Interval(Spec):
    """Confidence interval of a score and its method."""

    method: Literal["bootstrap", "centred_bootstrap"]
    unit: Literal["sample", "group"]
    level: Fraction
    replicates: Replicates
    num_units: Number
    low: Finite
    high: Finite

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.low > self.high:
            raise ValueError(f"the interval's lower end {self.low} lies above its upper end {self.high}")
        return self


class Score(Spec):
    """One measured number with its interval."""

    metric: str
    """Name of the metric, such as ``top1``."""
    value: Finite
    """The score as a fraction; tables show percent."""
    unit: Literal["fraction"]
    higher_is_better: bool
    """False for errors."""
    interval: Interval
    """Ends ``low`` and ``high``, ``level``, and the number of test units that were resampled."""
    spread: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None
    """Standard deviation over the repetitions of the protocol."""


class SplitIdentity(Spec):
    """Number of expected, found and scored samples of one split, and the digest of its manifest."""

    manifest_sha256: str
    expected: Number
    found: Number
    scored: Number
    failed_ids: tuple[str, ...]
    decoders: dict[str, Number]
    """Number of videos that each decoder reads; empty if the split holds no videos."""
    official: Number | None = None
    """Number of samples of the official list, if the user declared a shorter one (``expected``) complete."""


class DataIdentity(LeanSpec):
    """Data that a number was measured on."""

    world: Literal["official", "mini", "user", "transcoded"]
    """Data source.  ``mini`` is the generated mini world; ``user`` is custom data."""
    num_classes: NumClasses | None
    splits: dict[str, SplitIdentity]
    """Splits by name; the scored one is ``test``, or the only one (folds)."""
    shared_groups: Number = 0
    """Number of groups (source videos, persons) with samples in both train and the scored split; 0 unless the splits
    are official."""
    folds_sha256: str | None = None
    """Digest of the ids of all samples with their folds; absent unless the task is a cross-validation."""
    limit: Limit | None = None
    """Number or fraction of samples of each split that a partial evaluation was limited to; absent if complete."""

    @model_validator(mode="after")
    def _says_what_is_scored(self) -> Self:
        if "test" not in self.splits and len(self.splits) != 1:
            raise ValueError(f"neither a test split nor a single one: {', '.join(sorted(self.splits)) or 'none'}")
        return self


class Candidate(LeanSpec):
    """One point of a hyperparameter grid with its held-out score or its test score."""

    setting: dict[str, Finite]
    held_out_top1: Finite | None = None
    """Accuracy on a held-out part of the train split."""
    test_top1: Finite | None = None
    """Accuracy on the scored samples, for protocols that declare selection on the test split."""

    @model_validator(mode="after")
    def _has_one_score(self) -> Self:
        if (self.held_out_top1 is None) == (self.test_top1 is None):
            raise ValueError("a candidate has either a held-out score or one on the test")
        return self

    @property
    def top1(self) -> float:
        """The held-out score or the test score, whichever is given."""
        score = self.held_out_top1 if self.test_top1 is None else self.test_top1
        assert score is not None
        return score


class Selection(Spec):
    """Selection of hyperparameters: the rule, the whole grid and the chosen point; one per fold."""

    rule: str
    grid: tuple[Candidate, ...]
    chosen: dict[str, Finite]
    warnings: tuple[str, ...] = ()


class SplitReading(Spec):
    """How the samples of one split were read."""

    decoders: dict[str, Number]
    """Number of videos that each decoder reads; a video is counted twice if training and test read it differently."""
    frames: Number
    """Number of frames of all clips that the protocol draws; a frame counts as often as a clip contains it."""


class Provenance(LeanSpec):
    """Software, hardware and command that produced a record; its optional keys are absent from older records."""

    sigma_bench: str
    commit: str | None
    dirty: bool | None
    versions: dict[str, str]
    """Versions of Python and of packages that can change a number."""
    hardware: str
    num_processes: Count
    command: tuple[str, ...]
    started_utc: str
    seconds: dict[str, Finite]
    """Wall time of each phase."""
    ffmpeg: dict[str, str] | None = None
    """Version of FFmpeg in each decoder that read videos."""
    reading: dict[str, SplitReading] | None = None
    """Decoders and numbers of frames by split."""
    class_names: tuple[str, ...] | None = None
    """Names of the classes of custom data in the order of their labels, if there are few."""


class PredictionsRef(Spec):
    """Stored predictions: their digest, and their file name in the store, which the digest determines.

    Predictions are copied under the name that a record gives.  A record of unknown origin could name a file outside of
    the store, so every other name is refused.
    """

    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    file: str

    @model_validator(mode="after")
    def _lies_in_the_store(self) -> Self:
        if self.file != f"predictions/{self.sha256}.npz":
            raise ValueError("the file of predictions must be predictions/<sha256>.npz of the same digest")
        return self


class Record(Spec):
    """One complete and self-contained evaluation."""

    schema_version: Literal[4] = SCHEMA_VERSION
    """Version of the keys; files with older versions are converted when they are read."""
    origin: Literal["measured"] = "measured"
    task: ResolvedTask
    """The task with its dataset card and its protocol, as it was run."""
    fingerprint: str
    """Digest of all settings of the task that can change a score."""
    model: EncoderCard
    """The card of the encoder."""
    seed: Seed
    """Seed of held-out parts, random frames, initial clusters and bootstrap samples."""
    data: DataIdentity
    """Data source, and the expected, found and scored samples of each split, with the digests of their manifests."""
    scores: Annotated[tuple[Score, ...], Field(min_length=1)]
    """Scores, the main metric of the protocol first."""
    controls: dict[str, Finite] = Field(default_factory=dict)
    """Reference values of the task, such as chance or the all-background floor."""
    selections: tuple[Selection, ...]
    """Selected hyperparameters with the whole grid, one per fold; empty for protocols that select nothing."""
    predictions: PredictionsRef
    """Digest of the stored predictions, from which all scores can be computed again."""
    provenance: Provenance
    """Software, hardware, times and the command."""

    @cached_property
    def id(self) -> str:
        """Short hash of the content, which is the file name in a store."""
        return digest(self.model_dump(mode="json"))[:ID_LENGTH]

    @property
    def is_partial(self) -> bool:
        """Whether only a part of the samples was used, see ``DataIdentity.limit``; for smoke runs, not for results."""
        return self.data.limit is not None

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """As in pydantic; a changed copy has an id of its own."""
        copied = super().model_copy(update=update, deep=deep)
        copied.__dict__.pop("id", None)
        return copied

    def key(self) -> dict[str, Any]:
        """Identity of the evaluation; a second evaluation with the same key is not run."""
        return resume_key(self.model, self.fingerprint, self.seed, self.data)


def resume_key(model: EncoderCard, fingerprint: str, seed: int, data: DataIdentity) -> dict[str, Any]:
    """Identity of an evaluation: encoder, resolved task, seed, and the part of the manifest that the protocol uses.

    The name of the model is included because it names a row of a table; all other entries can change a score.
    """
    return {
        "model": model.model,
        "encoder": model.identity,
        "fingerprint": fingerprint,
        "seed": seed,
        "num_classes": data.num_classes,
        "manifests": {name: split.manifest_sha256 for name, split in data.splits.items()},
        **({} if data.folds_sha256 is None else {"folds": data.folds_sha256}),
        **({} if data.limit is None else {"limit": data.limit}),
    }
