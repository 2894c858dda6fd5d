"""The two formats of custom data: a CSV (``path,label,split[,group]``) and a class-per-folder tree.

The tree is ``<root>/<split>/<class>/<file>`` with the splits ``train`` and ``test``, or ``<root>/<class>/<file>``,
which is one split 'all' for folds.
"""

import csv
import logging
import os
import re
import sys
import unicodedata
from collections import Counter
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from sigma_bench.data.data_files import is_image, is_video, subfolders, walk
from sigma_bench.data.ledger import ledger_path
from sigma_bench.data.manifest import Expected, LedgerPlace, Manifest, Media, Sample, Split, make_split
from sigma_bench.specs.bounded import bounded_lines
from sigma_bench.specs.dataset import SplitName
from sigma_bench.specs.strict import suggestion

_LONGEST_LABEL, LONGEST_PATH = 300, 4096
_REQUIRED = ("path", "label", "split")
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
"""Control characters, the Unicode category Cc."""
_SPLITS: tuple[SplitName, ...] = ("train", "test", "all")

logger = logging.getLogger(__name__)

_Row = tuple[str, str, str, str]
"""Relative path, class name, split, group."""


def read_csv(path: Path) -> Manifest:
    """Read a CSV; relative paths start at its folder.

    Raises:
        ValueError: the file cannot be read, a column is missing, or a row has an empty field, an unknown split or a
            file that is neither a video nor an image; the message names the line.
    """
    if not path.is_file():
        raise ValueError(f"{path}: there is no such CSV file")
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            reader = csv.DictReader(bounded_lines(stream, path), strict=True)
            reader.fieldnames = _header(path, reader.fieldnames or ())
            rows = [_checked(path, reader.line_num, row) for row in reader]
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{path}: not a CSV text file in UTF-8 ({error})") from error
    except OSError as error:
        raise ValueError(f"{path}: cannot be read ({error.strerror})") from error
    return _manifest(path.stem, path.parent, rows, path, path.with_name(f"{path.name}.ledger.jsonl"))


def read_class_folders(root: Path) -> Manifest:
    """Read a class-per-folder tree, with or without ``train``/``test`` above the classes.

    Links to folders are followed.  Files that are neither videos nor images are counted in a warning.

    Raises:
        ValueError: the folder does not exist, a file is at another depth, a class folder contains no video or image, or
            the target of a link does not exist.
    """
    if not root.is_dir():
        raise ValueError(f"{root}: there is no such folder")
    has_splits = (root / "train").is_dir() and (root / "test").is_dir()
    rows: list[_Row] = []
    others: Counter[str] = Counter()
    for file in walk(root):
        if not _is_medium(file):
            others[file.suffix.lower() or "no suffix"] += 1
            continue
        parts = file.relative_to(root).parts
        if len(parts) != 2 + has_splits:
            raise ValueError(f"{file}: expected <class>/<file>{' below train or test' if has_splits else ''}")
        if not is_text(file):
            raise ValueError(f"{str(file)!r}: this name is not text in UTF-8; rename it")
        if has_splits and parts[0] not in ("train", "test"):
            raise ValueError(f"{file}: is in neither train nor test; move it into one of them, or out of {root}")
        label = sys.intern(unicodedata.normalize("NFC", parts[-2]))
        rows.append(("/".join(parts), label, parts[0] if has_splits else "all", ""))
    if not rows:
        raise ValueError(f"{root}: no videos or images in class folders here")
    _require_no_empty_class(root, rows, ("train", "test") if has_splits else ("",))
    if others:
        kinds = ", ".join(f"{count} of {suffix}" for suffix, count in others.most_common())
        logger.warning("%s: files that are neither videos nor images are not read (%s)", root, kinds)
    return _manifest(root.name, root, rows, root, ledger_path(root.resolve().parent, root.resolve().name))


def _require_no_empty_class(root: Path, rows: list[_Row], splits: tuple[str, ...]) -> None:
    filled = {(root / relative).parent for relative, *_ in rows}
    empty = [folder for split in splits for folder in subfolders(root / split) if folder not in filled]
    if empty:
        raise ValueError(
            f"{empty[0]}: this class folder contains no video or image; add some, or move it out of {root}"
        )


def _header(path: Path, names: Iterable[str]) -> list[str]:
    """Column names without surrounding blanks; ValueError if one is missing or occurs twice."""
    stripped = [name.strip() for name in names]
    absent = [name for name in _REQUIRED if name not in stripped]
    if absent:
        raise ValueError(f"{path}: line 1: the header lacks {', '.join(absent)}; expected path,label,split[,group]")
    twice = [name for name in (*_REQUIRED, "group") if stripped.count(name) > 1]
    if twice:
        raise ValueError(f"{path}: line 1: the header names {twice[0]} twice; keep one column of that name")
    return stripped


def _checked(path: Path, number: int, row: dict[str, str | None]) -> _Row:
    if None in row or (None in row.values() and row.get("group", "") is not None):
        raise ValueError(f"{path}: line {number}: the number of fields differs from the header's")
    values = {name: (row.get(name) or "").strip() for name in (*_REQUIRED, "group")}
    empty = [name for name in _REQUIRED if not values[name]]
    if empty:
        raise ValueError(f"{path}: line {number}: the field '{empty[0]}' is empty")
    with_control = [name for name, value in values.items() if CONTROL.search(value)]
    if with_control:
        raise ValueError(f"{path}: line {number}: the field '{with_control[0]}' holds a control character")
    if len(values["label"]) > _LONGEST_LABEL or len(values["path"]) > LONGEST_PATH:
        raise ValueError(
            f"{path}: line {number}: the label or path is too long (at most {_LONGEST_LABEL} and "
            f"{LONGEST_PATH} characters)"
        )
    if values["split"] not in _SPLITS:
        raise ValueError(f"{path}: line {number}: split '{values['split']}' is not one of {', '.join(_SPLITS)}")
    if not _is_medium(values["path"]):
        raise ValueError(f"{path}: line {number}: '{values['path']}' is neither a video nor an image by its suffix")
    label = unicodedata.normalize("NFC", values["label"])  # accents have two encodings that look the same
    return values["path"], sys.intern(label), sys.intern(values["split"]), values["group"]


def _manifest(name: str, base: Path, rows: list[_Row], where: Path, ledger: Path) -> Manifest:
    classes = tuple(sorted({label for _, label, _, _ in rows}))
    index = {label: position for position, label in enumerate(classes)}
    splits: dict[SplitName, Split] = {}
    for split in _SPLITS:
        samples = [
            Sample(relative, base / relative, _media(relative), index[label], group or relative)
            for relative, label, row_split, group in rows
            if row_split == split
        ]
        if samples:
            splits[split] = make_split(split, samples, Expected(len(samples)), where)
    if set(splits) not in ({"all"}, {"train", "test"}):
        raise ValueError(f"{where}: needs both a train and a test split, or the one split 'all' to cut into folds")
    _require_classes_in_train(rows, where)
    require_one_name((relative for relative, *_ in rows), base, where)
    return Manifest(name, "user", classes, splits, LedgerPlace(ledger, base))


def _require_classes_in_train(rows: list[_Row], where: Path) -> None:
    """ValueError if a class of the test split is not in train, usually because it is spelled in two ways."""
    train, test = ({label for _, label, split, _ in rows if split == name} for name in ("train", "test"))
    if unknown := sorted(test - train):
        raise ValueError(
            f"{where}: the class '{unknown[0]}' is in test and not in train, so it could never be predicted."
            f"{suggestion(unknown[0], sorted(train))} Spell it as in train, or remove its rows"
        )


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


def _is_medium(path: Path | str) -> bool:
    return is_video(path) or is_image(path)


def is_text(path: Path) -> bool:
    """Whether the name of a file is text that can be written in UTF-8."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return False
    return True


def _media(relative: str) -> Media:
    return "video" if is_video(relative) else "image"
