"""Custom data in folders: a folder per class, or folders of frames beside folders of masks.

- Classes are ``<root>/<class>/<file>``, which is one split 'all' to divide into folds, or
  ``<root>/<split>/<class>/<file>`` with the splits ``train`` and ``test`` or ``val``.
- Masks are ``<root>/JPEGImages/<sequence>`` with ``<root>/Annotations/<sequence>``, both perhaps inside one folder such
  as ``480p``, or ``<root>/frames/<sequence>`` with ``<root>/masks/<sequence>``.
"""

import logging
import sys
import unicodedata
from collections import Counter
from pathlib import Path

from sigma_bench.data.custom_rows import (
    LABEL_SEPARATOR,
    SPLIT_NAMES,
    SampleRow,
    checked_row,
    custom_manifest,
    require_text,
)
from sigma_bench.data.data_files import contents, is_image, is_video, subfolders, walk
from sigma_bench.data.ledger import ledger_path
from sigma_bench.data.manifest import Manifest

_MASK_LAYOUTS = (("JPEGImages", "Annotations"), ("JPEGImages", "Annotations_unsupervised"), ("frames", "masks"))
"""Folders of frames and of masks."""

logger = logging.getLogger(__name__)


def read_folders(root: Path) -> Manifest:
    """Read a tree of classes, or of frames and masks.

    Raises:
        ValueError: the folder does not exist, or ``read_class_folders`` or ``read_mask_folders`` raises it.
    """
    if not root.is_dir():
        raise ValueError(f"{root}: there is no such folder")
    layouts = [layout for layout in _MASK_LAYOUTS if all((root / name).is_dir() for name in layout)]
    if len(layouts) > 1:
        both = " and ".join(masks for _, masks in layouts)
        raise ValueError(f"{root}: holds the masks {both}; choose one of them in a CSV of path,masks")
    return read_mask_folders(root, *layouts[0]) if layouts else read_class_folders(root)


def read_class_folders(root: Path) -> Manifest:
    """Read a class-per-folder tree, with or without the folders of splits above the classes.

    Links to folders are followed.  Files that are neither videos nor images are counted in a warning.

    Raises:
        ValueError: a file is at another depth, a class folder contains no video or image, or the target of a link does
            not exist.
    """
    splits = [name for name in SPLIT_NAMES if name != "all" and (root / name).is_dir()]
    splits = splits if "train" in splits and len(splits) > 1 else []
    rows: list[SampleRow] = []
    others: Counter[str] = Counter()
    for file in walk(root):
        if is_video(file) or is_image(file):
            rows.append(_row(root, file, splits))
        else:
            others[file.suffix.lower() or "no suffix"] += 1
    if not rows:
        raise ValueError(f"{root}: no videos or images in class folders here")
    _require_no_empty_class(root, rows, splits or [""])
    if others:
        kinds = ", ".join(f"{count} of {suffix}" for suffix, count in others.most_common())
        logger.warning("%s: files that are neither videos nor images are not read (%s)", root, kinds)
    return _manifest(root, rows)


def _row(root: Path, file: Path, splits: list[str]) -> SampleRow:
    parts = file.relative_to(root).parts
    if len(parts) != 2 + bool(splits):
        below = f" below {' or '.join(splits)}" if splits else ""
        raise ValueError(f"{file}: expected <class>/<file>{below}")
    require_text(file)
    if splits and parts[0] not in splits:
        raise ValueError(
            f"{file}: is in none of the folders {', '.join(splits)}; move it into one of them, or out of {root}"
        )
    if LABEL_SEPARATOR in parts[-2]:
        raise ValueError(
            f"{file.parent}: '{LABEL_SEPARATOR}' separates the labels of a sample, which a CSV states; rename this "
            "class folder, or list its files in a CSV"
        )
    label = sys.intern(unicodedata.normalize("NFC", parts[-2]))
    split = SPLIT_NAMES[parts[0]] if splits else "all"
    return SampleRow("/".join(parts), "video" if is_video(file) else "image", label, split)


def _require_no_empty_class(root: Path, rows: list[SampleRow], splits: list[str]) -> None:
    filled = {(root / row.path).parent for row in rows}
    empty = [folder for split in splits for folder in subfolders(root / split) if folder not in filled]
    if empty:
        raise ValueError(
            f"{empty[0]}: this class folder contains no video or image; add some, or move it out of {root}"
        )


def read_mask_folders(root: Path, frames: str, masks: str) -> Manifest:
    """Read sequences of frames with masks; all of them are one split 'all'.

    Args:
        frames, masks: names of the folders below ``root`` that contain a folder per sequence.

    Raises:
        ValueError: there is no sequence, there are several sizes, or a sequence lacks frames or masks.
    """
    frame_home, mask_home = _sequence_home(root / frames), _sequence_home(root / masks)
    names, masked = ({folder.name for folder in subfolders(home)} for home in (frame_home, mask_home))
    if not names:
        raise ValueError(f"{frame_home}: expected a folder of frames per sequence; {contents(frame_home)}")
    if alone := sorted(names ^ masked):
        lacking = mask_home if alone[0] in names else frame_home
        raise ValueError(f"{lacking / alone[0]}: this folder is missing; every sequence needs frames and masks")
    if (root / "ImageSets").is_dir():
        logger.warning("%s: ImageSets is not read; a CSV of path,masks,split states splits", root)
    rows = [
        checked_row(
            root,
            f"{frame_home / name}",
            {
                key: (home / name).relative_to(root).as_posix()
                for key, home in (("path", frame_home), ("masks", mask_home))
            },
        )
        for name in sorted(names)
    ]
    return _manifest(root, rows)


def _sequence_home(folder: Path) -> Path:
    """The folder that contains a folder per sequence: the folder itself, or the one folder of a size in it."""
    inner = subfolders(folder)
    if not any(subfolders(each) for each in inner):
        return folder
    if len(inner) > 1:
        names = " and ".join(each.name for each in inner)
        raise ValueError(f"{folder}: expected a folder of files per sequence, or one folder of them; found {names}")
    return inner[0]


def _manifest(root: Path, rows: list[SampleRow]) -> Manifest:
    home = root.resolve()
    return custom_manifest(home.name, root, rows, root, ledger_path(home.parent, home.name))
