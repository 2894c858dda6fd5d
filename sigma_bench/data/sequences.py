"""Sequences of frames with masks, which are paired by file name.

Shapes: T frames, C colours, H W pixels; uint8.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from torch import Tensor

from sigma_bench.data.annotations import ObjectCategories
from sigma_bench.data.decoder import DecodeError
from sigma_bench.data.images import FrameFolderDecoder
from sigma_bench.data.manifest import Sample
from sigma_bench.data.masks import MaskFolder
from sigma_bench.data.sampling import random_sorted_indices
from sigma_bench.data.transforms import squash, squash_masks
from sigma_bench.metrics.segmentation import VOID
from sigma_bench.specs.clip import FrameDraw


class MaskedSequence:
    """The frames of a sample that have a mask, and their masks.

    If the objects have categories (YouTube-VOS), frames without a mask are left out.  Otherwise every frame must have a
    mask.

    Args:
        instances: whether objects keep their ids even if they have categories.

    Raises:
        DecodeError: a mask is missing, or there is none; when reading, a file cannot be decoded.
    """

    def __init__(self, sample: Sample, *, instances: bool = False) -> None:
        assert sample.mask_folder is not None
        self._sample, self._instances = sample, instances
        has_categories = isinstance(sample.annotation, ObjectCategories)
        self._mask_folder = MaskFolder(sample.mask_folder, sample.mask_kind, names_matter=has_categories)
        masks = self._mask_folder.paths
        frames = FrameFolderDecoder(sample.path).paths
        absent = [path for path in frames if path.stem not in masks]
        if absent and not has_categories:
            raise DecodeError(f"{sample.mask_folder / absent[0].stem}.png: the mask of this frame is missing")
        self._frames = [path for path in frames if path.stem in masks]
        self._masks = [masks[path.stem] for path in self._frames]
        if not self._frames:
            raise DecodeError(f"{sample.mask_folder}: no mask here has a frame in {sample.path}")

    def __len__(self) -> int:
        return len(self._frames)

    def read(self, indices: Sequence[int], image_size: int) -> tuple[Tensor, np.ndarray]:
        """Frames (T, C, size, size) and ids (T, size, size), resized to a square."""
        return self.squashed_frames(indices, image_size), self.squashed_masks(indices, image_size)

    def frames(self, indices: Sequence[int]) -> np.ndarray:
        """Frames in their stored size, (T, H, W, C)."""
        return FrameFolderDecoder(self._sample.path, self._frames).frames(indices)

    def masks(self, indices: Sequence[int]) -> np.ndarray:
        """Object or category ids in their stored size, (T, H, W).

        Raises:
            DecodeError: the masks have different sizes.
        """
        masks = {index: self._ids(self._masks[index]) for index in set(indices)}
        if len({mask.shape for mask in masks.values()}) > 1:
            raise DecodeError(f"{self._sample.mask_folder}: its masks have different sizes")
        return np.stack([masks[index] for index in indices])

    def squashed_frames(self, indices: Sequence[int], size: int) -> Tensor:
        """Frames resized to a square, (T, C, size, size)."""
        return squash(self.frames(indices), size)

    def squashed_masks(self, indices: Sequence[int], size: int) -> np.ndarray:
        """Object or category ids resized to a square, (T, size, size)."""
        return squash_masks(self.masks(indices), size)

    def _ids(self, path: Path) -> np.ndarray:
        mask_HW = self._mask_folder.read(path)
        if isinstance(self._sample.annotation, ObjectCategories) and not self._instances:
            return category_level(mask_HW, self._sample.annotation, where=path)
        return mask_HW


def drawn_indices(draw: FrameDraw, sequence_frames: int, num_frames: int, rng: np.random.Generator) -> np.ndarray:
    """Indices of the frames of a clip in order, (T,); ``specs/clip.py`` describes the values of ``draw``."""
    if draw == "random_sorted":
        return random_sorted_indices(sequence_frames, num_frames, rng)
    last = sequence_frames - 1
    if draw == "linspace":
        return np.round(np.linspace(0, last, num_frames)).astype(np.int64)
    start = max(0, sequence_frames - num_frames) // 2 if draw == "consecutive_centre" else 0
    return np.minimum(start + np.arange(num_frames), last)


def category_level(mask_HW: np.ndarray, objects: ObjectCategories, *, where: Path) -> np.ndarray:
    """A mask in which the number of a category replaces each object id; background and void stay as they are.

    A table replaces all ids at once.  One after another, the number of a category could be taken for the id of a later
    object.

    Raises:
        DecodeError: the mask contains an id that the annotation does not name.
    """
    table = np.full(256, -1)
    table[[0, VOID]] = 0, VOID
    for object_id, category in objects.categories:
        table[object_id] = category
    mapped = table[mask_HW]
    if (mapped < 0).any():
        unknown = mask_HW[mapped < 0][0]
        raise DecodeError(f"{where}: the mask has the object {unknown}, which the annotation does not name")
    return mapped.astype(np.uint8)
