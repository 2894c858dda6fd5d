"""Reading one medium from end to end, to find whether it is intact, its size, and the decoder that reads it exactly."""

import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from av.video.reformatter import VideoReformatter

from sigma_bench.data.cifar import read_cifar
from sigma_bench.data.decoder import DECODER_RULE, DecodeError, Decoder, DecoderName
from sigma_bench.data.identity import chosen_decoder
from sigma_bench.data.images import FrameFolderDecoder, read_image
from sigma_bench.data.ledger import LedgerEntry, content_digest, name_of, state_of
from sigma_bench.data.manifest import Media, Medium
from sigma_bench.data.masks import MaskFolder
from sigma_bench.data.video import DecordDecoder, PyAvDecoder, every_frame, upright
from sigma_bench.data.video_facts import Start, VideoFacts, video_facts

STRIDE_COMPARED = 4
"""Stride of the strided access pattern in frames, which most clips have."""
NUM_UNIFORM, NUM_RANDOM, MAX_AROUND = 16, 10, 96
"""Numbers of frames compared: in the uniform pattern, in the random one, and around packets that decoding may start
at."""
BYTES_AT_ONCE = 2**28
"""Memory for decoded frames; a pattern that needs more is read in parts."""
MAX_MISSING = 0.05
"""Largest missing fraction of the duration in the header; a video that lacks more counts as truncated."""


class FrameFacts(NamedTuple):
    """Number and size of the frames of a medium, and the exact decoder of a video."""

    frames: int
    height: int
    width: int
    decoder: DecoderName | None = None


def inspect(medium: Medium, folder: Path) -> LedgerEntry:
    """Read a medium from end to end; an error is stored as the problem of the entry."""
    name = name_of(medium.path, folder)
    if not medium.path.exists():
        return LedgerEntry(name, 0, 0, problem="missing")
    size, stamp = state_of(medium)
    try:
        entry = LedgerEntry(
            name, size, stamp, content_digest(medium), rule=DECODER_RULE, decoder=chosen_decoder(medium)
        )
        if size == 0:
            return replace(entry, problem="empty")
        return replace(entry, **_READ[medium.media](medium)._asdict())
    except DecodeError as error:
        return replace(entry, problem=_reason(error, medium.path))
    except OSError as error:
        return LedgerEntry(name, size, stamp, problem=f"cannot be read ({error.strerror})")


def _video(medium: Medium) -> FrameFacts:
    """Decode the whole file from the start, then compare the other decoders with the frames found."""
    facts = video_facts(medium.path)
    digests: list[int] = []
    shape, colours = (0, 0, 0), VideoReformatter()
    try:
        for frame in every_frame(medium.path):
            if frame.is_corrupt:
                raise DecodeError(f"frame {len(digests)} is damaged")
            picture = upright(frame, facts, colours)
            shape = shape if digests else picture.shape
            if picture.shape != shape:
                raise DecodeError("the size of its frames changes")
            digests.append(_fingerprint(picture))
    except DecodeError as error:
        number = len(digests)
        raise DecodeError(f"after {number} frames: {_reason(error, medium.path)}" if number else str(error)) from error
    if not digests:
        raise DecodeError("the video holds no frames")
    _require_complete(facts)
    return FrameFacts(len(digests), *shape[:2], _exact_decoder(medium.path, facts, digests))


def _fingerprint(picture: np.ndarray) -> int:
    return zlib.crc32(np.ascontiguousarray(picture).data)


def _require_complete(facts: VideoFacts) -> None:
    if facts.num_covered < facts.num_declared:
        raise DecodeError(f"truncated: {facts.num_packets} frames, but its header declares {facts.num_declared}")
    # Containers count the duration from the first frame or from time 0; a file is complete by either way of counting.
    declared, end = facts.seconds_declared or 0, max(facts.end_seconds, facts.seconds)
    if declared - end > MAX_MISSING * max(0, declared - facts.start_seconds):
        raise DecodeError(f"truncated: the video ends at {end:.1f} seconds, but its header declares {declared:.1f}")


def _exact_decoder(path: Path, facts: VideoFacts, digests: list[int]) -> DecoderName:
    """The decoder chosen by the packets where it passes every comparison, otherwise the next one."""
    if facts.decoder == "pyav_sequential" or not is_exact(PyAvDecoder, path, facts, digests):
        return "pyav_sequential"  # exact by definition: the digests come from it
    return "decord" if facts.decoder == "decord" and is_exact(DecordDecoder, path, facts, digests) else "pyav"


def is_exact(reader: Callable[[Path], Decoder], path: Path, facts: VideoFacts, digests: list[int]) -> bool:
    """Whether a reader returns, for every pattern, exactly the frames that decoding from the start yields."""
    at_once = max(8, BYTES_AT_ONCE // (3 * facts.height * facts.width + 1))
    try:
        for indices in _patterns(len(digests), facts.starts):
            decoder = reader(path)
            if len(decoder) != len(digests):
                return False
            for first in range(0, len(indices), at_once):
                batch = indices[first : first + at_once]
                pictures = decoder.frames(batch)
                if any(_fingerprint(picture) != digests[index] for index, picture in zip(batch, pictures, strict=True)):
                    return False
    except DecodeError:
        return False
    return True


def _patterns(count: int, starts: Sequence[Start]) -> Iterator[list[int]]:
    """Frame indices in the access patterns of protocols and pretraining, and all frames in order."""
    yield np.linspace(0, count - 1, NUM_UNIFORM).round().astype(int).tolist()
    rng = np.random.default_rng(count)
    yield rng.choice(count, min(count, NUM_RANDOM), replace=False).tolist()
    around = {start.frame + offset for start in starts[1:] for offset in (-1, 0, 1)}
    places = sorted(around & set(range(count)))
    yield places if len(places) <= MAX_AROUND else sorted(rng.choice(places, MAX_AROUND, replace=False).tolist())
    yield list(range(count // 7, count, STRIDE_COMPARED))
    yield list(range(count))


def _image(medium: Medium) -> FrameFacts:
    return FrameFacts(1, *read_image(medium.path).shape[:2])


def _cifar(medium: Medium) -> FrameFacts:
    content = read_cifar(medium.path)
    return FrameFacts(len(content.get("data", ())), 32, 32)


def _frame_folder(medium: Medium) -> FrameFacts:
    """Read all frames and masks; each mask must belong to a frame and have its size."""
    decoder = FrameFolderDecoder(medium.path)
    sizes = {path.stem: read_image(path).shape[:2] for path in decoder.paths}
    if len(set(sizes.values())) > 1:
        raise DecodeError("its frames have different sizes")
    if medium.mask_folder is not None:
        masks = MaskFolder(medium.mask_folder, medium.mask_kind)
        for path in masks.paths.values():
            size = masks.read(path).shape
            if path.stem not in sizes:
                raise DecodeError(f"the mask {path.name} belongs to no frame; add the frame or remove the mask")
            if sizes[path.stem] != size:
                raise DecodeError(f"the mask {path.name} has size {size}, but its frame has size {sizes[path.stem]}")
    return FrameFacts(len(sizes), *next(iter(sizes.values())))


_READ: dict[Media, Callable[[Medium], FrameFacts]] = {
    "video": _video,
    "image": _image,
    "pickled_image": _cifar,
    "frame_folder": _frame_folder,
}


def _reason(error: DecodeError, path: Path) -> str:
    return str(error).removeprefix(f"{path}: ")
