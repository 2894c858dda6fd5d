"""Manifests: the samples of a dataset, their files on this disk, and their digest."""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, NamedTuple

from sigma_bench.data.annotations import Annotation
from sigma_bench.data.decoder import DECODER_RULE, DecoderName
from sigma_bench.specs.catalogue import dataset_names
from sigma_bench.specs.dataset import DatasetCard, SplitName
from sigma_bench.specs.fingerprint import digest_of_rows
from sigma_bench.specs.strict import suggestion

DataSource = Literal["official", "mini", "user", "transcoded"]
"""Source of the data.

``official`` files, the ``mini`` world, custom data of a ``user``, or ``transcoded`` official videos.
"""
Media = Literal["video", "image", "pickled_image", "frame_folder"]
_MEDIA_WORDS = {"video": "videos", "image": "images", "frame_folder": "sequences"}
MINIWORLD_MARKER = "miniworld.json"
TRANSCODED_MARKER = "transcoded.json"
DECLARATION = "declared.json"
"""File in a dataset's folder that states how many samples the user's shortened lists have, such as
``{"kinetics400": {"train": 240000, "test": 19404}}``."""


@dataclass(frozen=True, slots=True)
class Sample:
    """A video, an image, or a folder of frames with masks."""

    id: str
    """Name of the sample in records and predictions; it does not depend on where the files are."""
    path: Path
    media: Media
    label: int | None
    """Index of the class; None if the sample has no single class."""
    group: str
    """Name of the source video, person or sequence.  A group is resampled as a whole and is never in both bank and
    query."""
    position: int = 0
    """Index of the sample in a file that contains many."""
    mask_folder: Path | None = None
    mask_kind: Literal["ids", "binary"] = "ids"
    """Meaning of mask values.

    ``ids``: 0 is background, 255 is void, and any other value is an object; ``binary``: 0 is background, and all other
    values are one object.
    """
    annotation: Annotation | None = None
    content: str | None = None
    """Digest of the file, or of the frames and masks; known once the sample is identified, None for a missing file."""
    decoder: DecoderName | None = None
    """The decoder that reads a video exactly; known once the sample is identified."""

    @property
    def absent_path(self) -> Path | None:
        """The file or folder of the sample, or its folder of masks, if it does not exist."""
        needed = (self.path, self.mask_folder) if self.mask_folder else (self.path,)
        return next((path for path in needed if not path.exists()), None)


class Medium(NamedTuple):
    """A file, or a folder of frames with its masks; one medium can contain many samples."""

    path: Path
    media: Media
    mask_folder: Path | None
    mask_kind: Literal["ids", "binary"] = "ids"


def medium_of(sample: Sample) -> Medium:
    """The medium that contains a sample."""
    return Medium(sample.path, sample.media, sample.mask_folder, sample.mask_kind)


@dataclass(frozen=True, eq=False)
class Split:
    """The samples of one split, in the order of the official list."""

    name: str
    samples: tuple[Sample, ...]
    expected: int
    """Number of samples that the split must have."""
    official: int | None = None
    """Number of samples of the official list, if the user declared a shorter one complete."""
    is_identified: bool = False
    """Whether the samples have the digests of their content, see ``data/identity.py``."""
    folds: tuple[int, ...] = ()
    """Number of the fold of every sample in a cross-validation; empty otherwise."""

    @property
    def ids(self) -> tuple[str, ...]:
        """Sample ids in the order of the samples."""
        return tuple(sample.id for sample in self.samples)

    @cached_property
    def missing(self) -> tuple[Sample, ...]:
        """Samples whose file, or folder of frames or masks, does not exist."""
        return tuple(sample for sample in self.samples if sample.absent_path)

    def require_present(self, *ways_out: str) -> None:
        """Require that every file of the split exists.

        Args:
            ways_out: remedies besides fetching the files or shortening the list.

        Raises:
            ValueError: files are missing; the message names the first, their number and the remedies.
        """
        if self.missing:
            ways = (
                "fetch them",
                *ways_out,
                f"remove them from the list (for an official list, declare the new length in {DECLARATION})",
            )
            raise ValueError(
                f"{self.missing[0].absent_path}: not found; {len(self.missing)} of the {len(self.samples)} files that "
                f"the {self.name} list names are missing: {', or '.join(ways)}"
            )

    @cached_property
    def sha256(self) -> str:
        """Digest of ids, labels, groups, contents, decoders and annotations; it does not depend on paths."""
        assert self.is_identified, f"the samples of split {self.name} have not been identified"
        return digest_of_rows(self.name, map(_row, self.samples))

    @cached_property
    def folds_sha256(self) -> str | None:
        """Digest of the fold of every sample; None without folds."""
        return digest_of_rows(self.name, zip(self.ids, self.folds, strict=True)) if self.folds else None


class LedgerPlace(NamedTuple):
    """The location of a dataset's ledger."""

    file: Path
    folder: Path
    """Folder that the paths in the ledger are relative to."""


@dataclass(frozen=True)
class Manifest:
    """The splits of one dataset as found on this disk."""

    dataset: str
    data_source: DataSource
    classes: tuple[str, ...] | None
    """Names of the classes, in the order of their labels."""
    splits: Mapping[SplitName, Split]
    ledger: LedgerPlace | None = None
    """Location of the ledger; None for a manifest without a folder, whose files are read again in every run."""
    limit: int | float | None = None
    """Number or fraction of samples to which the splits were limited, see ``data/limited.py``; None if complete."""

    listed_in: Path | None = None
    """CSV or list, folder of lists, or tree of folders of custom data; None for other data."""

    @property
    def media_in_words(self) -> str:
        """What the samples are: videos, images, sequences, or samples of several kinds."""
        kinds = {sample.media for split in self.splits.values() for sample in split.samples}
        return _MEDIA_WORDS.get(kinds.pop(), "samples") if len(kinds) == 1 else "samples"


def shared_groups(one: Split, other: Split) -> set[str]:
    """Groups that have samples in both splits."""
    return {sample.group for sample in one.samples} & {sample.group for sample in other.samples}


class Expected(NamedTuple):
    """The number of samples that a split must have."""

    samples: int
    official: int | None = None
    """Number of samples of the official list, if the user declared a shorter one complete."""


def make_split(name: str, samples: list[Sample], expected: Expected, where: Path) -> Split:
    """Check a list of samples and freeze it.

    Raises:
        ValueError: the list is empty, contains an id twice, or differs in length from the declaration.  A file that
            does not exist is not an error here; see ``Split.missing``.
    """
    if not samples:
        raise ValueError(f"{where}: the {name} split lists no samples")
    ids = [sample.id for sample in samples]
    if len(set(ids)) < len(ids):
        twice = next(i for i, count in Counter(ids).items() if count > 1)
        raise ValueError(f"{where}: the {name} split lists '{twice}' twice")
    if expected.official is not None and len(samples) != expected.samples:
        raise ValueError(
            f"{where}: the {name} split lists {len(samples):,} samples, but {DECLARATION} declares "
            f"{expected.samples:,}; correct one of them"
        )
    return Split(name, tuple(samples), *expected)


def expected_counts(folder: Path, card: DatasetCard) -> tuple[DataSource, dict[SplitName, Expected]]:
    """The source of the data in a folder, and the number of samples that each split must have.

    The counts of the mini world are in a marker file beside each dataset.  Other data must have the counts of the card,
    or those that are declared for a copy with fewer samples.  Transcoded videos do not count as official files.

    Raises:
        ValueError: the mini world does not have the dataset, or the declaration is wrong.
    """
    marker = folder / MINIWORLD_MARKER
    is_transcoded = (folder / TRANSCODED_MARKER).is_file()
    counts: dict[SplitName, int] = {name: split.samples for name, split in card.splits.items()}
    data_source: DataSource = "official"
    if marker.is_file():
        generated = json.loads(marker.read_text())["samples"]
        if card.dataset not in generated:
            raise ValueError(f"{folder}: the mini world has {', '.join(generated)} here, not {card.dataset}")
        counts, data_source = generated[card.dataset], "mini"
    declared = _declared(folder / DECLARATION, card)
    expected = {
        name: Expected(declared[name], count) if name in declared else Expected(count) for name, count in counts.items()
    }
    return "transcoded" if is_transcoded else data_source, expected


def _declared(path: Path, card: DatasetCard) -> dict[str, int]:
    """The declared number of samples by split; empty if nothing is declared for this dataset."""
    if not path.is_file():
        return {}
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise ValueError(f"{path}: not valid JSON ({error})") from error
    example = json.dumps({card.dataset: {name: split.samples for name, split in card.splits.items()}})
    if not isinstance(content, dict) or not content:
        raise ValueError(f"{path}: expected numbers of samples by dataset and split, such as {example}")
    if unknown := sorted(set(content) - set(dataset_names())):
        raise ValueError(f"{path}: there is no dataset '{unknown[0]}'.{suggestion(unknown[0], dataset_names())}")
    counts = content.get(card.dataset, {})
    is_whole = isinstance(counts, dict) and set(counts) in (set(), set(card.splits))
    if not is_whole or not all(type(count) is int and count > 0 for count in counts.values()):
        raise ValueError(f"{path}: expected one positive number for each split of {card.dataset}, such as {example}")
    return counts


def _row(sample: Sample) -> list[Any]:
    row: list[Any] = [sample.id, sample.label, sample.group, sample.position]
    row += [sample.media, sample.mask_kind, sample.content]
    row += [sample.decoder, DECODER_RULE] if sample.media == "video" else []
    return [*row, asdict(sample.annotation)] if sample.annotation else row
