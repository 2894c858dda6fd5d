"""Folders that a verb writes into."""

from pathlib import Path


def made(folder: Path) -> Path:
    """The folder, made if it is not there yet: now, not after an hour of work.

    Raises:
        ValueError: it cannot be made, or is a file.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ValueError(f"{folder}: no folder can be made here ({error.strerror}); choose another place") from error
    return folder
