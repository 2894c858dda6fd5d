"""Dataset cards, which describe the official form of a dataset, and the files that declare them."""

import os
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import Field, field_validator, model_validator

from sigma_bench.specs.clip import ClipSpec, TrainingSampling
from sigma_bench.specs.folds import Folds
from sigma_bench.specs.strict import Label, PlainName, Spec, suggestion

SplitName = Literal["train", "test", "all"]
Asks = Literal["motion", "appearance", "segmentation", "unspecified"]
"""Information that a representation needs for a good score."""
TaskName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")]
CUSTOM_READER = "user_files"
"""Key ``reader`` of the card of custom data."""


class SplitSpec(Spec):
    """One official split."""

    samples: Annotated[int, Field(gt=0)]


class DatasetCard(Spec):
    """Description of a dataset; it is part of a record."""

    dataset: Annotated[Label, Field(pattern=r"^[^/\\\x00]+$")]
    title: Label
    media: Literal["video", "image", "masked_frames"]
    reader: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,99}$")]
    """Name of the reader that knows the official layout, see ``sigma_bench/data/datasets.py``."""
    classes: Annotated[int, Field(gt=0)] | None
    """Number of classes; None if labels are masks."""
    splits: dict[SplitName, SplitSpec]
    split_note: str
    """Official splits that are used as train and test."""
    group: str
    """What the samples of a group have in common; the bootstrap resamples whole groups."""
    layout: tuple[str, ...]
    """Paths of required official files in the dataset's folder; one example stands for all files of a kind."""
    licence: str
    source: str
    citation: str
    class_map_sha256: str | None = None
    """Digest of the official class names in the order of their labels, one per line."""
    folder: PlainName | None = None
    """Folder below the data root; the name of the dataset if absent.  A subset has the folder of the whole dataset."""
    variant: str | None = None
    """Name of another official split or of a subset, as the reader defines it."""

    @property
    def home(self) -> str:
        """Name of the dataset's folder below a data root."""
        return self.folder or self.dataset


class DatasetTask(Spec):
    """A protocol on a dataset, with overrides."""

    protocol: PlainName
    folds: Folds = "official"
    overrides: dict[str, Any] = Field(default_factory=dict)
    """Keys of the protocol that are replaced, nested as in the protocol."""
    note: str = ""


def _samplers() -> tuple[str, ...]:
    """Names of all samplers of frames: the values of the key ``sampler`` of every kind of sampling."""
    of_evaluation = get_args(ClipSpec.model_fields["sampling"].annotation)
    of_training = get_args(get_args(TrainingSampling)[0])
    kinds = (*of_evaluation, *of_training)
    return tuple(name for kind in kinds for name in get_args(kind.model_fields["sampler"].annotation))


class CustomFiles(Spec):
    """Location of custom data: a path that is absolute or relative to the folder of the declaration."""

    csv: Annotated[str, Field(min_length=1)] | None = None
    """CSV, list of lines ``path label``, or folder of lists."""
    folders: Annotated[str, Field(min_length=1)] | None = None
    """Tree with a folder per class, or with frames and masks."""

    @model_validator(mode="after")
    def _is_one(self) -> Self:
        if (self.csv is None) == (self.folders is None):
            raise ValueError("give the path of a CSV as 'csv', or of a tree with a folder per class as 'folders'")
        return self

    def below(self, folder: Path) -> Self:
        """The same location with an absolute path; ``folder`` is that of the declaration."""
        start = folder.resolve()  # '..' in the path leads to the parent of the target of a link
        paths = {key: os.path.normpath(start / path) for key, path in self.model_dump(exclude_none=True).items()}
        return self.model_copy(update=paths)


class DatasetFile(DatasetCard):
    """One file in ``tasks/``: a dataset card and the tasks on this dataset."""

    files: CustomFiles | None = None
    """Location of custom data; None for a dataset in its official layout below a data root."""
    asks: Asks
    optional: dict[str, str] = Field(default_factory=dict)
    """Path of an optional file in the dataset's folder -> what it is for."""
    alternatives: tuple[str, ...] = ()
    """Other layouts and names that the reader accepts."""
    download: dict[str, str] = Field(default_factory=dict)
    """Name of an official archive, with ``*`` and ``?`` as wildcards -> its approximate size and how to unpack it."""
    sampling: dict[str, dict[str, Any]] = Field(default_factory=dict)
    """Name of a sampler -> keys that replace those of this sampler in every protocol, before the overrides of a
    task."""
    tasks: dict[TaskName, DatasetTask] = Field(default_factory=dict)
    """Task name without the dataset -> task."""
    note: str = ""
    """Note of the tasks that do not state one."""

    @field_validator("sampling")
    @classmethod
    def _of_known_samplers(cls, sampling: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
        for name in sampling:
            if name not in _samplers():
                raise ValueError(f"there is no sampler '{name}'.{suggestion(name, _samplers())}")
        return sampling

    @model_validator(mode="after")
    def _has_files_if_custom(self) -> Self:
        if (self.files is None) != (self.reader != CUSTOM_READER):
            raise ValueError(
                f"the key 'files' and the reader '{CUSTOM_READER}' belong together; state both for custom data, or "
                "neither for data in an official layout"
            )
        return self

    @property
    def card(self) -> DatasetCard:
        """The card without the tasks."""
        return DatasetCard.model_validate(self.model_dump(include=set(DatasetCard.model_fields)))
