"""Rows of custom data, in any format of their list, and the manifest that is made from them.

A label field with ``;`` holds several labels and makes the data multi-label; ``;`` alone stands for no label.  With the
splits train and val, val is reported; with train, val and test, val is neither trained on nor reported.
"""

import logging
import os
import re
import sys
import unicodedata
from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from functools import cache, lru_cache
from pathlib import Path
from typing import Final, Literal, NamedTuple

from sigma_bench.data.annotations import VideoLabels
from sigma_bench.data.data_files import is_image, is_video
from sigma_bench.data.manifest import Expected, LedgerPlace, Manifest, Media, Sample, Split, make_split
from sigma_bench.data.masks import MaskFolder
from sigma_bench.specs.dataset import SplitName
from sigma_bench.specs.strict import suggestion

LABEL_SEPARATOR: Final = ";"
GivenSplit = Literal["train", "val", "test", "all"]
"""A split as listed; a manifest has no split val."""
SPLIT_NAMES: dict[str, GivenSplit] = {
    "train": "train",
    "val": "val",
    "validation": "val",
    "test": "test",
    "all": "all",
}
"""Name of a split in a list or of a folder -> split."""
_LONGEST_LABEL, LONGEST_PATH = 300, 4096
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
"""Control characters, the Unicode category Cc."""

logger = logging.getLogger(__name__)


class SampleRow(NamedTuple):
    """One sample as listed."""

    path: str
    """Relative to the folder of the list; a video, an image or a folder of frames."""
    media: Media
    label: str = ""
    """Name of the class, or names that are separated by ``;``; empty if the data have masks only."""
    split: GivenSplit = "all"
    group: str = ""
    """The path if empty."""
    masks: str = ""
    """Relative path of the folder of masks, if there are masks."""


def checked_row(base: Path, where: str, fields: dict[str, str]) -> SampleRow:
    """A row with valid fields.

    Args:
        base: folder that paths are relative to.
        where: list and line, for error messages.
        fields: values by the names ``path``, ``label``, ``split``, ``group`` and ``masks``; those that are absent are
            not checked.

    Raises:
        ValueError: a field holds a control character or is too long, the split is unknown, a label is empty or occurs
            twice, the file is neither a video, an image nor a folder, or masks do not belong to a folder of frames.
    """
    with_control = [name for name, value in fields.items() if CONTROL.search(value)]
    if with_control:
        raise ValueError(f"{where}: the field '{with_control[0]}' holds a control character")
    path, label, masks = fields["path"], _text(fields.get("label", "")), fields.get("masks", "")
    if len(label) > _LONGEST_LABEL or max(len(path), len(masks)) > LONGEST_PATH:
        raise ValueError(
            f"{where}: the label or path is too long (at most {_LONGEST_LABEL} and {LONGEST_PATH} characters)"
        )
    split = SPLIT_NAMES.get(fields.get("split", "all"))
    if split is None:
        raise ValueError(f"{where}: split '{fields['split']}' is not one of {', '.join(SPLIT_NAMES)}")
    media = _media(base, path)
    if media is None:
        raise ValueError(f"{where}: '{path}' is neither a video nor an image by its suffix, nor a folder of frames")
    if masks and media != "frame_folder":
        raise ValueError(f"{where}: masks belong to a folder of frames, but '{path}' is a {media}")
    if masks and not (base / masks).is_dir():
        raise ValueError(f"{where}: there is no folder of masks '{masks}'")
    _require_distinct(where, labels_of(label))
    return SampleRow(path, media, label, split, _text(fields.get("group", "")), masks)


def require_exact_names(where: str, names: Sequence[str], columns: Sequence[str]) -> None:
    """ValueError if a column of a header has nearly the name of one that is read, and would be ignored.

    Args:
        columns: names of the columns that are read.
    """
    lower = {name.lower(): name for name in names if name not in columns}
    for column in (each for each in columns if each not in names):
        if close := get_close_matches(column, lower, cutoff=0.8):
            raise ValueError(f"{where}: the column '{lower[close[0]]}' is not read; call it '{column}', or remove it")


def _text(label: str) -> str:
    """The label or group with one encoding of accents, which have two that look the same."""
    return sys.intern(unicodedata.normalize("NFC", label))


def _media(base: Path, path: str) -> Media | None:
    if is_video(path):
        return "video"
    return "image" if is_image(path) else "frame_folder" if (base / path).is_dir() else None


@lru_cache(maxsize=65_536)
def labels_of(label: str) -> tuple[str, ...]:
    """The labels of a label field; none for an empty field and for ``;`` alone."""
    return () if label in ("", LABEL_SEPARATOR) else tuple(name.strip() for name in label.split(LABEL_SEPARATOR))


def _require_distinct(where: str, labels: Sequence[str]) -> None:
    if "" in labels:
        raise ValueError(f"{where}: a label between '{LABEL_SEPARATOR}' is empty")
    if len(set(labels)) < len(labels):
        raise ValueError(f"{where}: the label '{max(labels, key=labels.count)}' occurs twice")


def custom_manifest(name: str, base: Path, rows: list[SampleRow], where: Path, ledger: Path) -> Manifest:
    """The manifest of rows whose paths are relative to ``base``.

    Raises:
        ValueError: the splits do not fit together, a class is in test and not in train, a file is listed twice, or
            masks are of two kinds.
    """
    rows = _with_reported_split(rows, where)
    fields = {row.label for row in rows}
    names = {label for field in fields for label in labels_of(field)}
    classes = tuple(sorted(names, key=_numbers_by_value)) if all(map(str.isdecimal, names)) else tuple(sorted(names))
    is_multilabel = any(LABEL_SEPARATOR in field for field in fields)
    if is_multilabel and not names:
        raise ValueError(f"{where}: no sample has a label")
    is_binary = _has_binary_masks(base, rows, where)
    index = {label: position for position, label in enumerate(classes)}
    labels_in = {field: tuple(sorted(index[label] for label in labels_of(field))) for field in fields}

    def sample(row: SampleRow) -> Sample:
        labels = labels_in[row.label]
        return Sample(
            row.path,
            base / row.path,
            row.media,
            None if is_multilabel or not labels else labels[0],
            row.group or row.path,
            mask_folder=base / row.masks if row.masks else None,
            mask_kind="binary" if is_binary else "ids",
            annotation=VideoLabels(labels) if is_multilabel else None,
        )

    splits: dict[SplitName, Split] = {}
    for split in ("train", "test", "all"):
        samples = [sample(row) for row in rows if row.split == split]
        if samples:
            splits[split] = make_split(split, samples, Expected(len(samples)), where)
    if set(splits) not in ({"all"}, {"train", "test"}):
        raise ValueError(
            f"{where}: needs a train split and a test or val split, or the one split 'all' to divide into folds"
        )
    _require_classes_in_train(rows, where)
    require_one_name((row.path for row in rows), base, where)
    return Manifest(name, "user", classes or None, splits, LedgerPlace(ledger, base), listed_in=where)


def _numbers_by_value(name: str) -> tuple[int, str]:
    return int(name), name


def _with_reported_split(rows: list[SampleRow], where: Path) -> list[SampleRow]:
    """The rows without a split val, which is either reported as test or left out; a message says which."""
    given = {row.split for row in rows}
    if "val" not in given:
        return rows
    number = sum(row.split == "val" for row in rows)
    if "test" in given:
        logger.warning("%s: val (%d samples) is neither trained on nor reported, since there is test", where, number)
        return [row for row in rows if row.split != "val"]
    logger.warning("%s: val (%d samples) is reported as the test split", where, number)
    return [row._replace(split="test") if row.split == "val" else row for row in rows]


def _has_binary_masks(base: Path, rows: list[SampleRow], where: Path) -> bool:
    """Whether the masks show one object in white (255), which otherwise means void; a message says so.

    The first mask of every sequence that is not black decides.

    Raises:
        ValueError: some sequences have black and white masks and others have object ids, or a mask is damaged.
    """
    kinds = {row.masks: MaskFolder(base / row.masks, "ids").is_black_and_white() for row in rows if row.masks}
    white = [masks for masks, is_white in kinds.items() if is_white]
    ids = [masks for masks, is_white in kinds.items() if is_white is False]
    if white and ids:
        raise ValueError(
            f"{where}: the masks '{white[0]}' are black and white and '{ids[0]}' hold object ids, so 255 may be an "
            "object or void; store object ids in all of them"
        )
    if white:
        logger.warning("%s: the masks are black and white; white is one object, not void", where)
    return bool(white)


def _require_classes_in_train(rows: list[SampleRow], where: Path) -> None:
    """ValueError if a class of the test split is not in train, usually because it is spelled in two ways."""
    fields = {split: {row.label for row in rows if row.split == split} for split in ("train", "test")}
    train, test = ({name for field in found for name in labels_of(field)} for found in fields.values())
    if unknown := sorted(test - train):
        raise ValueError(
            f"{where}: the class '{unknown[0]}' is in test and not in train, so it could never be predicted."
            f"{suggestion(unknown[0], sorted(train))} Spell it as in train, or remove its rows"
        )


def require_text(file: Path) -> None:
    """ValueError if the name of a file cannot be written in UTF-8 or holds a control character."""
    if CONTROL.search(str(file)):
        raise ValueError(f"{str(file)!r}: this name holds a control character; rename it")
    try:
        str(file).encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"{str(file)!r}: this name is not text in UTF-8; rename it") from error


def require_one_name(paths: Iterable[str], base: Path, where: Path) -> None:
    """ValueError if a file is listed under two names, because it could then be in both train and test.

    Args:
        paths: paths as listed, relative to ``base`` or absolute.
    """
    name_of: dict[str, str] = {}
    real_folder = cache(lambda folder: os.path.realpath(base / folder))
    for relative in paths:
        folder, _, name = relative.rpartition("/")
        folder = folder or relative[: relative.startswith("/")]
        place = os.path.join(real_folder(folder), name)  # noqa: PTH118 (texts: a Path takes ten times the memory)
        if name in ("", ".", "..") or os.path.islink(place):  # noqa: PTH114
            place = os.path.realpath(place)
        if (other := name_of.setdefault(place, relative)) != relative:
            raise ValueError(f"{where}: '{other}' and '{relative}' are the same file; list it once")
