"""Sequences of frames with masks, paired by file name.

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
    """The frames of a sample that have a mask.

    Masks at the level of categories are sparse (YouTube-VOS): frames without one are left out.  Elsewhere every frame
    must have one.

    Args:
        instances: every object keeps its own id, where the dataset's labels would be categories.

    Raises:
        DecodeError: a mask is missing, there is none, or, when reading, a file does not decode.
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
        """Frames (T, C, H, W) and ids (T, H, W), both squashed to a square."""
        return self.squashed_frames(indices, image_size), self.squashed_masks(indices, image_size)

    def frames(self, indices: Sequence[int]) -> np.ndarray:
        """Frames as they are on the disk, (T, H, W, C)."""
        return FrameFolderDecoder(self._sample.path, self._frames).frames(indices)

    def masks(self, indices: Sequence[int]) -> np.ndarray:
        """Ids as they are on the disk, (T, H, W).

        Raises:
            DecodeError: they have different sizes.
        """
        masks = {index: self._ids(self._masks[index]) for index in set(indices)}
        if len({mask.shape for mask in masks.values()}) > 1:
            raise DecodeError(f"{self._sample.mask_folder}: its masks have different sizes")
        return np.stack([masks[index] for index in indices])

    def squashed_frames(self, indices: Sequence[int], size: int) -> Tensor:
        """Frames (T, C, size, size), squashed to a square."""
        return squash(self.frames(indices), size)

    def squashed_masks(self, indices: Sequence[int], size: int) -> np.ndarray:
        """Ids (T, size, size), squashed to a square."""
        return squash_masks(self.masks(indices), size)

    def _ids(self, path: Path) -> np.ndarray:
        mask_HW = self._mask_folder.read(path)
        if isinstance(self._sample.annotation, ObjectCategories) and not self._instances:
            return category_level(mask_HW, self._sample.annotation, where=path)
        return mask_HW


def drawn_indices(draw: FrameDraw, sequence_frames: int, num_frames: int, rng: np.random.Generator) -> np.ndarray:
    """Frames of a clip in order, (T,); ``specs/clip.py`` says what each draw means."""
    if draw == "random_sorted":
        return random_sorted_indices(sequence_frames, num_frames, rng)
    last = sequence_frames - 1
    if draw == "linspace":
        return np.round(np.linspace(0, last, num_frames)).astype(np.int64)
    start = max(0, sequence_frames - num_frames) // 2 if draw == "consecutive_centre" else 0
    return np.minimum(start + np.arange(num_frames), last)


def category_level(mask_HW: np.ndarray, objects: ObjectCategories, *, where: Path) -> np.ndarray:
    """Object ids replaced by the numbers of their categories; background and void stay.

    All at once through a table: one id after another, a new number would be taken for a later object's old id.

    Raises:
        DecodeError: an id that the annotation does not know.
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
