"""Folders that commands write into."""

from pathlib import Path


def made(folder: Path) -> Path:
    """The folder, created if it does not exist; commands call this first, so that they fail before they compute.

    Raises:
        ValueError: the folder cannot be created, or is a file.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ValueError(f"{folder}: cannot create this folder ({error.strerror}); choose another place") from error
    return folder
