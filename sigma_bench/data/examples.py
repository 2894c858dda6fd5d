"""Training examples drawn from videos.

An example depends only on the seed, the step and its position in the batch: the random stream of its start, crop and
mask is derived from these three numbers.  It is therefore the same in every process and worker, and a run can be
resumed at any step.

Shapes: T frames, H W pixels, C colours.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from sigma_bench.data.decoder import DecodeError, Decoder
from sigma_bench.data.manifest import Sample
from sigma_bench.data.media_opening import open_media

Example = tuple[Tensor, ...]
"""Tensors that a method draws from a video, or the stacked tensors of a batch."""


class ExampleIndex(NamedTuple):
    """The place of an example in a run."""

    step: int
    """Optimiser step."""
    position: int
    """Position in the global batch."""
    video: int
    """Index of the video."""


class Origin(NamedTuple):
    """The origin of an example."""

    sample: Sample
    position: int
    """Position in the global batch."""


Draw = Callable[[Decoder, np.random.Generator, Origin], Example]
"""Function that draws one example from an open video."""


class DecodingFailure(NamedTuple):
    """A video that cannot be decoded."""

    video: int
    """Index of the video."""
    reason: str
    """Error message."""


class Collated(NamedTuple):
    """The part of a batch that belongs to one process."""

    example: Example
    """Stacked examples of the videos that were decoded; empty if there are none."""
    failures: list[DecodingFailure]
    """Videos that cannot be decoded."""


class StreamedVideos:
    """Videos that are opened at every access, for datasets that do not fit into memory."""

    def __init__(self, samples: Sequence[Sample]) -> None:
        self._samples = samples

    def __getitem__(self, index: int) -> Decoder:
        return open_media(self._samples[index], is_sparse=True)


class ArrayDecoder:
    """The decoder of a video whose frames are in memory."""

    def __init__(self, frame_THWC: np.ndarray) -> None:
        self._frame_THWC = frame_THWC

    def __len__(self) -> int:
        return len(self._frame_THWC)

    def frames(self, indices: Sequence[int]) -> np.ndarray:
        return self._frame_THWC[list(indices)]


class FrameCache:
    """Decoded videos in memory, which all runs of one process share.

    Args:
        limit_bytes: maximum size of all stored frames; videos beyond it are decoded at every access.
    """

    def __init__(self, limit_bytes: int) -> None:
        self._room = limit_bytes
        self._kept: dict[Sample, np.ndarray] = {}

    def frames(self, sample: Sample) -> np.ndarray:
        """All frames (T, H, W, C) of a video; DecodeError if it cannot be decoded."""
        if sample in self._kept:
            return self._kept[sample]
        decoder = open_media(sample, is_sparse=True)
        frame_THWC = decoder.frames(range(len(decoder)))
        if frame_THWC.nbytes <= self._room:
            self._kept[sample] = frame_THWC
            self._room -= frame_THWC.nbytes
        return frame_THWC


class PreparedVideos:
    """Videos that are decoded once, changed by ``prepare``, and held in memory.

    Every access to a video that cannot be decoded raises its ``DecodeError``.

    Raises:
        ValueError: the videos take more than ``limit_bytes``.
    """

    def __init__(
        self,
        samples: Sequence[Sample],
        prepare: Callable[[np.ndarray], np.ndarray],
        decoded: FrameCache,
        *,
        limit_bytes: int,
    ) -> None:
        self._videos: list[ArrayDecoder | DecodeError] = []
        held = 0
        for sample in samples:
            try:
                frame_THWC = prepare(decoded.frames(sample))
            except DecodeError as error:
                self._videos.append(error)
                continue
            self._videos.append(ArrayDecoder(frame_THWC))
            held += frame_THWC.nbytes
            if held > limit_bytes:
                raise ValueError(
                    f"the training videos take more than {limit_bytes / 2**30:.0f} GiB in memory; "
                    "set 'loader: stream' in the recipe, which decodes videos when they are used"
                )

    def __getitem__(self, index: int) -> Decoder:
        video = self._videos[index]
        if isinstance(video, DecodeError):
            raise video
        return video


class TrainingExamples(Dataset[Example | DecodingFailure]):
    """Training examples, indexed by ``ExampleIndex``.

    A video that cannot be decoded gives a ``DecodingFailure`` and is not replaced by another one.
    """

    def __init__(
        self, samples: Sequence[Sample], videos: StreamedVideos | PreparedVideos, draw: Draw, *, seed: int
    ) -> None:
        self._samples, self._videos, self._draw, self._seed = samples, videos, draw, seed

    def __getitem__(self, place: ExampleIndex) -> Example | DecodingFailure:
        rng = np.random.default_rng([self._seed, place.step, place.position])
        try:
            origin = Origin(self._samples[place.video], place.position)
            return self._draw(self._videos[place.video], rng, origin)
        except DecodeError as error:
            return DecodingFailure(place.video, str(error))


def collate(drawn: Sequence[Example | DecodingFailure]) -> Collated:
    """The stacked examples of a batch, and the videos that cannot be decoded."""
    examples = [example for example in drawn if not isinstance(example, DecodingFailure)]
    failures = [example for example in drawn if isinstance(example, DecodingFailure)]
    return Collated(tuple(torch.stack(part) for part in zip(*examples, strict=True)), failures)


@dataclass(frozen=True)
class BatchSampler(Sampler[list[ExampleIndex]]):
    """Yields the places of this process in every global batch, from step ``first`` to the end of the run."""

    num_videos: int
    global_batch: int
    num_steps: int
    seed: int
    first: int = 0
    rank: int = 0
    num_processes: int = 1

    def __len__(self) -> int:
        return self.num_steps - self.first

    def __iter__(self) -> Iterator[list[ExampleIndex]]:
        batch = self.global_batch // self.num_processes
        mine = range(self.rank * batch, (self.rank + 1) * batch)
        for step in range(self.first, self.num_steps):
            videos = self.videos_of(step)
            yield [ExampleIndex(step, position, videos[position]) for position in mine]

    def videos_of(self, step: int) -> list[int]:
        """Indices of the videos of a global batch.

        Every epoch is a seeded permutation of the videos, of which an incomplete last batch is dropped.
        """
        epoch, batch = divmod(step, self.num_videos // self.global_batch)
        order = np.random.default_rng([self.seed, epoch, self.num_videos]).permutation(self.num_videos)
        return order[batch * self.global_batch : (batch + 1) * self.global_batch].tolist()


def torch_generator(rng: np.random.Generator) -> torch.Generator:
    """A torch generator with a seed drawn from a NumPy generator."""
    return torch.Generator().manual_seed(int(rng.integers(2**63 - 1)))
