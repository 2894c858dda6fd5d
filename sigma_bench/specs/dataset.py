"""Dataset cards: what a dataset officially is, before anybody looks at a disk; and the files that declare them."""

from typing import Annotated, Any, Literal, get_args

from pydantic import Field, field_validator

from sigma_bench.specs.clip import ClipSpec, TrainingSampling
from sigma_bench.specs.strict import Label, PlainName, Spec, nearest

SplitName = Literal["train", "test", "all"]
Asks = Literal["motion", "appearance", "segmentation", "unspecified"]
Folds = Literal["official", "leave_one_group_out"]
"""The official splits, or every group in turn as the test samples of a model that is fitted on all other groups."""
TaskName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")]


class SplitSpec(Spec):
    """One official split and how many samples it has."""

    samples: Annotated[int, Field(gt=0)]


class DatasetCard(Spec):
    """What a record says about its dataset."""

    dataset: Annotated[Label, Field(pattern=r"^[^/\\\x00]+$")]
    title: Label
    media: Literal["video", "image", "masked_frames"]
    reader: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,99}$")]
    """Name of the reader that knows the official layout, see ``sigma_bench/data/catalogue.py``."""
    classes: Annotated[int, Field(gt=0)] | None
    """None where labels are masks."""
    splits: dict[SplitName, SplitSpec]
    split_note: str
    """Which official split plays train and which plays test."""
    group: str
    """What samples that must not be resampled apart have in common."""
    layout: tuple[str, ...]
    """The files below the data root, in the official form."""
    licence: str
    source: str
    citation: str
    class_map_sha256: str | None = None
    """Digest of the official class names in the order of their labels, one a line."""
    folder: PlainName | None = None
    """Below the data root; the dataset's own name where absent.  Subsets share the folder of the whole."""
    variant: str | None = None
    """Which of the reader's lists: another official split, or a subset."""

    @property
    def home(self) -> str:
        """Name of the dataset's folder below a data root."""
        return self.folder or self.dataset


class DatasetTask(Spec):
    """A protocol on a dataset, and what is changed of it."""

    protocol: PlainName
    folds: Folds = "official"
    overrides: dict[str, Any] = Field(default_factory=dict)
    """Keys of the protocol that are replaced, nested as there."""
    note: str = ""


def _samplers() -> tuple[str, ...]:
    """Names of all ways to draw frames."""
    kinds = (get_args(ClipSpec.model_fields["sampling"].annotation), get_args(get_args(TrainingSampling)[0]))
    return tuple(name for kind in (*kinds[0], *kinds[1]) for name in get_args(kind.model_fields["sampler"].annotation))


class DatasetFile(DatasetCard):
    """One file in ``tasks/``: a card, what the dataset asks of a representation, and its tasks."""

    asks: Asks
    sampling: dict[str, dict[str, Any]] = Field(default_factory=dict)
    """Sampler of a protocol -> what replaces it on this dataset, before the overrides of a task."""
    tasks: dict[TaskName, DatasetTask] = Field(default_factory=dict)
    """By name, as in ``ssv2/knn``."""
    note: str = ""
    """Note of the tasks that have none."""

    @field_validator("sampling")
    @classmethod
    def _of_known_samplers(cls, sampling: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
        for name in sampling:
            if name not in _samplers():
                raise ValueError(f"there is no sampler '{name}'.{nearest(name, _samplers())}")
        return sampling

    @property
    def card(self) -> DatasetCard:
        """The card alone."""
        return DatasetCard.model_validate(self.model_dump(include=set(DatasetCard.model_fields)))
