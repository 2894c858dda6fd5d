"""Dataset cards: what a dataset officially is, before anybody looks at a disk."""

from typing import Annotated, Literal

from pydantic import Field

from sigma_bench.specs.strict import Label, PlainName, Spec

SplitName = Literal["train", "test", "all"]


class SplitSpec(Spec):
    """One official split and how many samples it has."""

    samples: Annotated[int, Field(gt=0)]


class DatasetCard(Spec):
    """One file in ``tasks/datasets/``."""

    dataset: Annotated[Label, Field(pattern=r"^[^/\\\x00]+$")]
    title: Label
    media: Literal["video", "image", "masked_frames"]
    reader: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,99}$")]
    """File in ``sigma_bench/data/readers`` that knows the official layout."""
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
