"""Families of weight files that other projects wrote: the table of the modules that read them.

A family is a module with two functions.  ``recognises(file)`` says whether a file that has been read is of the family.
``open_file(file, path, num_frames=..., image_size=..., num_heads=...)`` returns an ``OpenedFile`` and raises
``ValueError`` for a file that is incomplete or cannot take such clips.  A new family is one module here and one line in
``FAMILIES``.
"""

from pathlib import Path

from sigma_bench.models import external
from sigma_bench.models.encoder import OpenedFile
from sigma_bench.models.weights_file import WeightsFile

FAMILIES = (external,)
"""The first family that recognises a file opens it."""


def open_weights(
    file: WeightsFile,
    path: Path,
    *,
    num_frames: int | None = None,
    image_size: int | None = None,
    num_heads: int | None = None,
) -> OpenedFile:
    """The encoder of a weight file that another project wrote.

    Args:
        path: what the user calls the file.
        num_frames, image_size: clips other than the file's own.
        num_heads: for files that do not say.

    Raises:
        ValueError: no family recognises the file, or its family cannot open it.
    """
    family = next((one for one in FAMILIES if one.recognises(file)), external)  # which says what it finds instead
    return family.open_file(file, path, num_frames=num_frames, image_size=image_size, num_heads=num_heads)
