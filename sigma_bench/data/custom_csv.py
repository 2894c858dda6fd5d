"""Custom data in a CSV with a header, in a list without a header, or in a folder of such lists.

- A CSV has the column ``path``, the column ``label`` or ``masks`` (a folder of masks for a folder of frames) or both,
  and optionally ``split`` and ``group``, in any order.  Other columns are not read.
- A list has lines ``path label``, separated by blanks or a comma, with an integer label, as VideoMAE and V-JEPA use
  them; lines of folders of frames may be ``path num_frames label``.
- A folder holds ``train.csv`` and ``val.csv`` or ``test.csv``, each of which is a CSV without ``split``, or a list.

Relative paths start at the folder of the file.
"""

import csv
import logging
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from sigma_bench.data.custom_rows import (
    SPLIT_NAMES,
    GivenSplit,
    SampleRow,
    checked_row,
    custom_manifest,
    require_exact_names,
)
from sigma_bench.data.data_files import contents, is_image, is_video
from sigma_bench.data.images import FrameFolderDecoder
from sigma_bench.data.manifest import Manifest
from sigma_bench.specs.untrusted import bounded_lines

_COLUMNS = ("path", "label", "masks", "split", "group")
_EXPECTED = "expected path,label[,split][,group] or path,masks[,split][,group]"
_PATH_AND_NUMBER = re.compile(r"(.+?)[\s,]+(\d{1,9})")
"""A file or folder, which may contain blanks and commas, and a number."""

logger = logging.getLogger(__name__)


def read_csv(path: Path) -> Manifest:
    """Read a CSV, a list, or a folder of both.

    Raises:
        ValueError: a file is missing or cannot be read, a column is missing, or a row is invalid; the message names the
            line.
    """
    if path.is_dir():
        rows = [row for file, split in _lists_of(path) for row in _rows(file, split)]
        name = path.resolve().name
        return custom_manifest(name, path, rows, path, path / f"{name}.ledger.jsonl")
    if not path.is_file():
        raise ValueError(f"{path}: there is no such CSV file")
    ledger = path.with_name(f"{path.name}.ledger.jsonl")
    return custom_manifest(path.stem, path.parent, _rows(path, None), path, ledger)


def _lists_of(folder: Path) -> list[tuple[Path, GivenSplit]]:
    """The files of a folder of lists, with their splits."""
    found = [(folder / f"{name}.csv", split) for name, split in SPLIT_NAMES.items() if name != "all"]
    present = [(file, split) for file, split in found if file.is_file()]
    splits = {split for _, split in present}
    if "train" not in splits or len(splits) == 1:
        raise ValueError(f"{folder}: expected train.csv, and val.csv or test.csv, in this folder; {contents(folder)}")
    return present


def _rows(path: Path, split: GivenSplit | None) -> list[SampleRow]:
    """The rows of one file, all of this split if it is given."""
    with _opened(path) as stream:
        first = next((line.strip() for line in bounded_lines(stream, path) if line.strip()), "")
    has_header = bool({"path", "label", "masks"} & {name.strip() for name in first.split(",")})
    is_list = not has_header and _PATH_AND_NUMBER.fullmatch(first)
    with _opened(path) as stream:
        rows = list(_rows_of_list(path, stream) if is_list else _rows_of_csv(path, stream, split))
    if not rows:
        raise ValueError(f"{path}: lists no files")
    return rows if split is None else [row._replace(split=split) for row in rows]


@contextmanager
def _opened(path: Path) -> Iterator[TextIO]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            yield stream
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{path}: not a CSV text file in UTF-8 ({error})") from error
    except OSError as error:
        raise ValueError(f"{path}: cannot be read ({error.strerror})") from error


def _rows_of_csv(path: Path, stream: TextIO, split: GivenSplit | None) -> Iterator[SampleRow]:
    reader = csv.DictReader(bounded_lines(stream, path), strict=True)
    reader.fieldnames = _header(path, reader.fieldnames or ())
    if split is not None and "split" in reader.fieldnames:
        raise ValueError(f"{path}: line 1: the name of this file is its split; remove the column split")
    columns = [name for name in _COLUMNS if name in reader.fieldnames]
    for row in reader:
        where = f"{path}: line {reader.line_num}"
        if None in row or None in row.values():
            raise ValueError(f"{where}: the number of fields differs from the header's")
        fields = {name: row[name].strip() for name in columns}
        empty = [name for name, value in fields.items() if not value and name != "group"]
        if empty:
            raise ValueError(f"{where}: the field '{empty[0]}' is empty")
        yield checked_row(path.parent, where, fields)


def _header(path: Path, names: Iterable[str]) -> list[str]:
    """Column names without surrounding blanks.

    Raises:
        ValueError: a column is missing, occurs twice, or has nearly the name of an optional one.
    """
    stripped = [name.strip() for name in names]
    absent = [name for name in ("path", "label") if name not in stripped]
    if "masks" in stripped and absent == ["label"]:
        absent = []
    if absent:
        raise ValueError(
            f"{path}: line 1: the header lacks {', '.join(absent)}; {_EXPECTED}, or lines of a path "
            "and an integer label without a header"
        )
    twice = [name for name in _COLUMNS if stripped.count(name) > 1]
    if twice:
        raise ValueError(f"{path}: line 1: the header names {twice[0]} twice; keep one column of that name")
    require_exact_names(f"{path}: line 1", stripped, _COLUMNS)
    return stripped


def _rows_of_list(path: Path, stream: TextIO) -> Iterator[SampleRow]:
    differing = []
    for number, line in enumerate(bounded_lines(stream, path), start=1):
        if not line.strip():
            continue
        where = f"{path}: line {number}"
        match = _PATH_AND_NUMBER.fullmatch(line.strip())
        if match is None:
            raise ValueError(f"{where}: expected a path and an integer label, got '{line.strip()}'")
        name, num_frames = _name_and_frames(path.parent, where, match[1])
        row = checked_row(path.parent, where, {"path": name, "label": str(int(match[2]))})
        if num_frames is not None and num_frames != len(FrameFolderDecoder(path.parent / name)):
            differing.append(name)
        yield row
    if differing:
        logger.warning(
            "%s: %d folders hold another number of frames than listed (first '%s'); all frames of a folder are used",
            *(path, len(differing), differing[0]),
        )


def _name_and_frames(base: Path, where: str, name: str) -> tuple[str, int | None]:
    """A path, and the number of frames behind it if the line has three fields.

    Raises:
        ValueError: a file has three fields.
    """
    match = _PATH_AND_NUMBER.fullmatch(name)
    if is_video(name) or is_image(name) or match is None or (base / name).is_dir():
        return name, None
    if is_video(match[1]) or is_image(match[1]):
        raise ValueError(f"{where}: 'path num_frames label' is for folders of frames; remove the number of frames")
    return match[1], int(match[2])


def place_of(sample_id: str, split: str, listed_in: Path) -> str:
    """File and line that list a sample of a split, for error messages; the file or folder alone if none is found.

    Args:
        listed_in: CSV, list, or folder of lists or of media.
    """
    names = (name for name, given in SPLIT_NAMES.items() if given == split or (given == "val" and split == "test"))
    files = [listed_in] if listed_in.is_file() else [listed_in / f"{name}.csv" for name in names]
    for file in filter(Path.is_file, files):
        with _opened(file) as stream:
            for number, line in enumerate(bounded_lines(stream, file), start=1):
                fields = [field.strip() for field in next(csv.reader([line]), [])]
                if sample_id in fields or line.startswith(f"{sample_id} "):
                    return f"{file}: line {number}"
    return str(listed_in)
