"""Clips for evaluation: a dataset for torch data loaders, and a memory of decoded clips.

Shapes: V clips of one video, S crops of one frame, C colours, T frames, H W pixels; uint8.
"""

from collections.abc import Iterable, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from sigma_bench.data.conditions import under_condition
from sigma_bench.data.decoder import DecodeError
from sigma_bench.data.manifest import Sample
from sigma_bench.data.media_opening import open_media
from sigma_bench.data.sampling import clip_indices
from sigma_bench.data.transforms import centre_crop, three_crops
from sigma_bench.specs.clip import ClipSpec


class EvaluationClips(Dataset[Tensor | str]):
    """A dataset with one item per sample: its clips (V, T, C, H, W), or the error message if decoding fails."""

    def __init__(self, samples: Sequence[Sample], clip: ClipSpec, *, num_frames: int, image_size: int) -> None:
        self.samples, self.clip = samples, clip
        self.num_frames, self.image_size = num_frames, image_size

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> Tensor | str:
        try:
            return self._clips(self.samples[index])
        except DecodeError as error:
            return str(error)

    def readable(self, indices: Iterable[int]) -> list[int]:
        """The indices of samples that decode; used for samples that failed earlier and may have been repaired."""
        return [index for index in indices if not isinstance(self[index], str)]

    def _clips(self, sample: Sample) -> Tensor:
        decoder = open_media(sample)
        index_VT = clip_indices(self.clip, len(decoder), self.num_frames)
        wanted, position = np.unique(index_VT, return_inverse=True)
        frame_TSCHW = self._cropped(decoder.frames(wanted.tolist()))
        clip_VTSCHW = frame_TSCHW[torch.from_numpy(position.reshape(index_VT.shape))]
        clip_VTCHW = clip_VTSCHW.transpose(1, 2).flatten(0, 1)
        condition = self.clip.condition
        return under_condition(clip_VTCHW, condition, sample.id) if condition else clip_VTCHW

    def _cropped(self, frame_THWC: np.ndarray) -> Tensor:
        if self.clip.crop == "centre":
            return centre_crop(frame_THWC, self.image_size)[:, None]
        return three_crops(frame_THWC, self.image_size)


class ClipMemory:
    """Decoded clips in memory, so that several models with the same clips decode them once.

    Args:
        limit_bytes: maximum size of all stored clips; clips beyond it are decoded at every access.
    """

    def __init__(self, limit_bytes: int) -> None:
        self._room = limit_bytes
        self._kept: dict[object, Tensor | str] = {}

    def item(self, clips: EvaluationClips, index: int) -> Tensor | str:
        """The clips of one sample (V, T, C, H, W), or the error message if decoding fails."""
        key = (clips.samples[index], clips.clip, clips.num_frames, clips.image_size)
        if key in self._kept:
            return self._kept[key]
        result = clips[index]
        size = result.nbytes if isinstance(result, Tensor) else 0
        if size <= self._room:
            self._kept[key] = result
            self._room -= size
        return result
