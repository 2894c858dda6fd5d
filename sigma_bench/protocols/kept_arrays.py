"""Results of single items of work, kept in the folder of an evaluation until its record is stored.

When an interrupted evaluation is run again, only unfinished items are computed.  A file holds the SHA-256 of its
content, followed by the content, an npz archive.  A damaged file is named in a warning, and its item is computed again.
"""

import hashlib
import io
import logging
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from sigma_bench.records.store import write_atomically
from sigma_bench.specs.fingerprint import digest

Compute = Callable[[], Mapping[str, np.ndarray]]
_DIGEST_BYTES = hashlib.sha256().digest_size
logger = logging.getLogger(__name__)


class KeptArrays:
    """Named arrays of many items, one file per item.

    Args:
        folder: belongs to one evaluation; its name depends on everything that can change a result.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def get(self, item: object, compute: Compute) -> Mapping[str, np.ndarray]:
        """The arrays of an item, from its file or from ``compute``, in the same order.

        Args:
            item: identity of the item, such as a sample id or a list of them.

        Raises:
            ValueError: the file cannot be written.
        """
        path = self._folder / f"{digest([item])[:32]}.arrays"
        kept = _read(path)
        if kept is not None:
            return kept
        arrays = compute()
        write_atomically(path, _packed(arrays))
        return arrays


def _packed(arrays: Mapping[str, np.ndarray]) -> bytes:
    archive = io.BytesIO()
    np.savez_compressed(archive, **dict(arrays))  # type: ignore[arg-type]  # names are free, its flags are not used
    content = archive.getvalue()
    return hashlib.sha256(content).digest() + content


def _read(path: Path) -> dict[str, np.ndarray] | None:
    """The arrays in a file; None if the file does not exist or is damaged."""
    if not path.exists():
        return None
    packed = path.read_bytes()
    content = packed[_DIGEST_BYTES:]
    if hashlib.sha256(content).digest() != packed[:_DIGEST_BYTES]:
        logger.warning("%s: damaged; its results are computed again", path)
        return None
    with np.load(io.BytesIO(content), allow_pickle=False) as archive:
        return {name: archive[name] for name in archive.files}
