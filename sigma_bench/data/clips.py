"""Samples as clips: the datasets that loaders iterate over.

Shapes: V clips of one video, C colours, T frames, H W pixels; uint8.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from sigma_bench.data.decoder import DecodeError
from sigma_bench.data.decoding import open_media
from sigma_bench.data.manifest import Sample
from sigma_bench.data.sampling import clip_indices
from sigma_bench.data.transforms import centre_crop
from sigma_bench.specs.protocol import ClipSpec


class EvaluationClips(Dataset[tuple[int, Tensor | str]]):
    """Every sample once: (index, clips (V, T, C, H, W)), or (index, reason) where decoding fails."""

    def __init__(self, samples: Sequence[Sample], clip: ClipSpec, *, num_frames: int, image_size: int) -> None:
        self.samples, self.clip = samples, clip
        self.num_frames, self.image_size = num_frames, image_size

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> tuple[int, Tensor | str]:
        try:
            return index, self._clips(self.samples[index])
        except DecodeError as error:
            return index, str(error)

    def _clips(self, sample: Sample) -> Tensor:
        decoder = open_media(sample)
        index_VT = clip_indices(self.clip.sampling, len(decoder), self.num_frames)
        wanted, position = np.unique(index_VT, return_inverse=True)
        frame_TCHW = centre_crop(decoder.frames(wanted.tolist()), self.image_size)
        return frame_TCHW[torch.from_numpy(position.reshape(index_VT.shape))]


class ClipMemory:
    """Decoded clips of a few splits, kept while they fit: models that want the same clips decode them once.

    Args:
        limit_bytes: of all clips kept; a split that does not fit any more is decoded whenever it is asked for.
    """

    def __init__(self, limit_bytes: int) -> None:
        self._room = limit_bytes
        self._kept: dict[object, list[tuple[int, Tensor | str]]] = {}

    def items(self, clips: EvaluationClips) -> Iterator[tuple[int, Tensor | str]]:
        """What the dataset gives, in order."""
        key = (tuple(clips.samples), clips.clip, clips.num_frames, clips.image_size)
        if key in self._kept:
            yield from self._kept[key]
            return
        room = self._room
        results: list[tuple[int, Tensor | str]] = []
        for index in range(len(clips)):
            result = clips[index]
            yield result
            room -= result[1].nbytes if isinstance(result[1], Tensor) else 0
            results.append(result) if room > 0 else results.clear()
        if room > 0:
            self._kept[key], self._room = results, room
