"""Custom videos for pretraining, which needs no labels: a CSV, a list of paths, or a folder with any subfolders.

A CSV has a header with at least the column ``path``; if it has a column ``split``, the rows of ``train`` are used (or
of ``all``, for a CSV that does not split its videos).  A list has no header and one video per line: its path, or its
path and the number of its class, as in the lists of VideoMAE; of a folder of lists, ``train.csv`` is read.  In a folder
with the subfolders ``train`` and ``test`` or ``val``, the videos of ``train`` are used.
"""

import csv
import logging
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import NamedTuple

from sigma_bench.data.custom_rows import CONTROL, LONGEST_PATH, require_exact_names, require_one_name, require_text
from sigma_bench.data.data_files import is_video, subfolders, walk
from sigma_bench.data.ledger import ledger_path
from sigma_bench.data.manifest import Expected, LedgerPlace, Manifest, Sample, make_split
from sigma_bench.specs.untrusted import bounded_lines

_USED = ("train", "all")
_UNUSED = ("test", "val", "validation")
_SPLITS = (*_USED, *_UNUSED)
_LIST_LINE = re.compile(r"(?P<path>.+?)(?:[ \t,]+-?\d+)?")
"""A path, and possibly the number of a class."""

logger = logging.getLogger(__name__)


class TrainingVideos(NamedTuple):
    """The videos of a run."""

    manifest: Manifest
    """Manifest with the one split ``train``, without labels."""
    left_out: Mapping[str, int]
    """Number of videos of each split that is not used."""

    def __str__(self) -> str:
        used = f"{len(self.manifest.splits['train'].samples):,} videos of {self.manifest.dataset}"
        left = " and ".join(f"{count:,} of the split {split}" for split, count in self.left_out.items())
        return f"{used} are used; {left} are left out" if left else f"{used} are used"


class _Line(NamedTuple):
    number: int
    """Number of the line in the file, from 1."""
    path: str
    split: str


def open_training_videos(csv: Path | None = None, folders: Path | None = None) -> TrainingVideos:
    """The videos of a CSV or list, or of a folder.

    Raises:
        ValueError: both or neither are given, the file or folder cannot be read, a line is wrong (the message names
            it), a video is listed twice, or there are no videos.
    """
    if (csv is None) == (folders is None):
        raise ValueError("give --csv or --folders, not both" if csv is not None else "give --csv or --folders")
    return _videos_of_file(csv) if csv is not None else _videos_of_folder(folders or Path())


def _videos_of_file(path: Path) -> TrainingVideos:
    name = path.stem
    if (path / "train.csv").is_file():
        name, path = path.resolve().name, path / "train.csv"
    if not path.is_file():
        raise ValueError(f"{path}: there is no such CSV file or list")
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            lines = list(_lines(path, bounded_lines(stream, path)))
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{path}: not a CSV or list in UTF-8 ({error})") from error
    except OSError as error:
        raise ValueError(f"{path}: cannot be read ({error.strerror})") from error
    for line in lines:
        _check(path, line)
    return _videos(name, path.parent, lines, path, path.with_name(f"{path.name}.ledger.jsonl"))


def _lines(path: Path, text: Iterator[str]) -> Iterator[_Line]:
    """The lines of a CSV or list, which is a CSV if a column of its first line is called ``path``."""
    first = next(text, "")
    names = [name.strip() for name in next(csv.reader([first]), [])]
    if "path" not in names:
        for number, line in enumerate(chain([first], text), start=1):
            if found := _LIST_LINE.fullmatch(line.strip()):
                yield _Line(number, found["path"], "train")
        return
    if twice := [name for name in ("path", "split") if names.count(name) > 1]:
        raise ValueError(f"{path}: line 1: the header names {twice[0]} twice; keep one column of that name")
    require_exact_names(f"{path}: line 1", names, ("path", "split"))
    reader = csv.DictReader(text, names, strict=True)
    for row in reader:
        number = reader.line_num + 1
        if None in row or None in row.values():
            raise ValueError(f"{path}: line {number}: the number of fields differs from the header's")
        yield _Line(number, row["path"].strip(), row.get("split", "train").strip())


def _check(path: Path, line: _Line) -> None:
    where = f"{path}: line {line.number}"
    if not line.path:
        raise ValueError(f"{where}: the field 'path' is empty")
    if CONTROL.search(line.path):
        raise ValueError(f"{where}: the path holds a control character")
    if len(line.path) > LONGEST_PATH:
        raise ValueError(f"{where}: the path is longer than {LONGEST_PATH} characters")
    if line.split not in _SPLITS:
        raise ValueError(f"{where}: split '{line.split}' is not one of {', '.join(_SPLITS)}")
    if not is_video(line.path):
        known = "a CSV has a header with the column path, and a list has one path per line"
        raise ValueError(f"{where}: '{line.path[:200]}' is not a video by its suffix; {known}")


def _videos_of_folder(root: Path) -> TrainingVideos:
    if not root.is_dir():
        raise ValueError(f"{root}: there is no such folder")
    has_splits = "train" in (names := {folder.name for folder in subfolders(root)}) and not names.isdisjoint(_UNUSED)
    lines: list[_Line] = []
    others: Counter[str] = Counter()
    for file in walk(root):
        if not is_video(file):
            others[file.suffix.lower() or "no suffix"] += 1
            continue
        require_text(file)
        relative = file.relative_to(root)
        lines.append(_Line(0, relative.as_posix(), relative.parts[0] if has_splits else "train"))
    if others:
        kinds = ", ".join(f"{count} of {suffix}" for suffix, count in others.most_common())
        logger.warning("%s: files that are not videos are not read (%s)", root, kinds)
    place = root.resolve()
    return _videos(place.name, root, lines, root, ledger_path(place.parent, place.name))


def _videos(name: str, base: Path, lines: Iterable[_Line], where: Path, ledger: Path) -> TrainingVideos:
    used = [line.path for line in lines if line.split in _USED]
    left_out = Counter(line.split for line in lines if line.split not in _USED)
    if not used:
        others = f"; its splits are {', '.join(left_out)}, and pretraining uses train" if left_out else ""
        raise ValueError(f"{where}: there are no videos for pretraining here{others}")
    samples = [Sample(path, base / path, "video", None, path) for path in used]
    split = make_split("train", samples, Expected(len(samples)), where)
    require_one_name(used, base, where)
    return TrainingVideos(Manifest(name, "user", None, {"train": split}, LedgerPlace(ledger, base)), left_out)
