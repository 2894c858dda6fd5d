"""Videos as training examples: one example is a pure function of (seed, step, position in the batch).

Whatever is random about an example (start, crop, mask) comes from a stream named by these three numbers, so it does
not matter which process or worker makes it, and a run can be continued at any step.

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
from sigma_bench.data.decoding import open_media
from sigma_bench.data.manifest import Sample

Example = tuple[Tensor, ...]
"""Whatever a method draws out of a video; stacked, a batch of them."""


class Place(NamedTuple):
    """Which example: the optimiser step, its position in the global batch, and the video that stands there."""

    step: int
    position: int
    video: int


class Origin(NamedTuple):
    """Where an example comes from."""

    sample: Sample
    position: int
    """In the global batch."""


Draw = Callable[[Decoder, np.random.Generator, Origin], Example]
"""Makes one example out of an open video."""


class Broken(NamedTuple):
    """A video that gave no example."""

    video: int
    reason: str


class Collated(NamedTuple):
    """A process's part of a batch: the examples there are, stacked, and the videos that gave none."""

    example: Example
    """Empty when no video gave any."""
    broken: list[Broken]


class StreamedVideos:
    """Videos opened whenever one is needed: for data sets that do not fit into memory."""

    def __init__(self, samples: Sequence[Sample]) -> None:
        self._samples = samples

    def __getitem__(self, index: int) -> Decoder:
        return open_media(self._samples[index], is_sparse=True)


class ArrayDecoder:
    """A decoded video."""

    def __init__(self, frame_THWC: np.ndarray) -> None:
        self._frame_THWC = frame_THWC

    def __len__(self) -> int:
        return len(self._frame_THWC)

    def frames(self, indices: Sequence[int]) -> np.ndarray:
        return self._frame_THWC[list(indices)]


class DecodedVideos:
    """Whole videos, decoded once for all runs of one process that want them.

    Args:
        limit_bytes: of all frames kept; what does not fit any more is decoded whenever it is asked for.
    """

    def __init__(self, limit_bytes: int) -> None:
        self._room = limit_bytes
        self._kept: dict[Sample, np.ndarray] = {}

    def frames(self, sample: Sample) -> np.ndarray:
        """All frames (T, H, W, C); DecodeError when the video does not decode."""
        if sample in self._kept:
            return self._kept[sample]
        decoder = open_media(sample, is_sparse=True)
        frame_THWC = decoder.frames(range(len(decoder)))
        if frame_THWC.nbytes <= self._room:
            self._kept[sample] = frame_THWC
            self._room -= frame_THWC.nbytes
        return frame_THWC


class HeldVideos:
    """Videos decoded once and held in memory, each passed through ``prepare`` first.

    One that does not decode says so whenever it is asked for.

    Raises:
        ValueError: the videos take more than ``limit_bytes``.
    """

    def __init__(
        self,
        samples: Sequence[Sample],
        prepare: Callable[[np.ndarray], np.ndarray],
        decoded: DecodedVideos,
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
                    "write 'loader: stream' where the run is declared, which decodes on the fly"
                )

    def __getitem__(self, index: int) -> Decoder:
        video = self._videos[index]
        if isinstance(video, DecodeError):
            raise video
        return video


class TrainingExamples(Dataset[Example | Broken]):
    """Examples by place; nothing takes the place of a video that does not decode."""

    def __init__(
        self, samples: Sequence[Sample], videos: StreamedVideos | HeldVideos, draw: Draw, *, seed: int
    ) -> None:
        self._samples, self._videos, self._draw, self._seed = samples, videos, draw, seed

    def __getitem__(self, place: Place) -> Example | Broken:
        rng = np.random.default_rng([self._seed, place.step, place.position])
        try:
            origin = Origin(self._samples[place.video], place.position)
            return self._draw(self._videos[place.video], rng, origin)
        except DecodeError as error:
            return Broken(place.video, str(error))


def collate(drawn: Sequence[Example | Broken]) -> Collated:
    """The examples of a batch stacked, what is broken beside them."""
    examples = [example for example in drawn if not isinstance(example, Broken)]
    broken = [example for example in drawn if isinstance(example, Broken)]
    return Collated(tuple(torch.stack(part) for part in zip(*examples, strict=True)), broken)


@dataclass(frozen=True)
class BatchSampler(Sampler[list[Place]]):
    """This process's share of every global batch, from step ``first`` to the end of the run, in order."""

    num_videos: int
    global_batch: int
    num_steps: int
    seed: int
    first: int = 0
    rank: int = 0
    num_processes: int = 1

    def __len__(self) -> int:
        return self.num_steps - self.first

    def __iter__(self) -> Iterator[list[Place]]:
        share = self.global_batch // self.num_processes
        mine = range(self.rank * share, (self.rank + 1) * share)
        for step in range(self.first, self.num_steps):
            videos = self.videos_of(step)
            yield [Place(step, position, videos[position]) for position in mine]

    def videos_of(self, step: int) -> list[int]:
        """Videos of one global batch: every epoch is one seeded permutation, its incomplete last batch dropped."""
        epoch, batch = divmod(step, self.num_videos // self.global_batch)
        order = np.random.default_rng([self.seed, epoch, self.num_videos]).permutation(self.num_videos)
        return order[batch * self.global_batch : (batch + 1) * self.global_batch].tolist()


def torch_generator(rng: np.random.Generator) -> torch.Generator:
    """A torch stream that continues a NumPy one."""
    return torch.Generator().manual_seed(int(rng.integers(2**63 - 1)))
