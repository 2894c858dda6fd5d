"""Reading one medium from end to end: is it sound, what is in it, and which decoder is right about it."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from av.video.reformatter import VideoReformatter

from sigma_bench.data.decoder import DecodeError, DecoderName
from sigma_bench.data.images import FrameFolderDecoder, read_cifar, read_image
from sigma_bench.data.ledger import Entry, name_of, state_of
from sigma_bench.data.manifest import Media, Sample
from sigma_bench.data.masks import MaskFolder
from sigma_bench.data.video import VideoFacts, every_frame, open_video, upright, video_facts

NUM_COMPARED = 8
"""Frames at random places that decord has to give as PyAV does."""
SAME_COLOURS = 1e-3
"""Mean difference of two decoders' conversions of one frame to RGB; neighbouring frames differ by more."""
MAX_LACKING = 0.05
"""Part of the promised duration after whose loss a video counts as truncated."""


class Medium(NamedTuple):
    """What is read at once: a file, or a folder of frames with its masks; many samples may lie in one."""

    path: Path
    media: Media
    mask_folder: Path | None
    mask_kind: Literal["ids", "binary"] = "ids"


class Found(NamedTuple):
    """What reading a medium from end to end brought."""

    frames: int
    height: int
    width: int
    decoder: DecoderName | None = None


def medium_of(sample: Sample) -> Medium:
    """The medium that a sample lies in."""
    return Medium(sample.path, sample.media, sample.mask_folder, sample.mask_kind)


def inspect(medium: Medium, folder: Path) -> Entry:
    """Read everything once; whatever is wrong becomes the entry's problem."""
    name = name_of(medium.path, folder)
    if not medium.path.exists():
        return Entry(name, 0, 0, problem="missing")
    size, mtime_ns = state_of(medium.path, medium.mask_folder)
    if size == 0:
        return Entry(name, size, mtime_ns, problem="empty")
    try:
        digest = _digest(medium.path)
        found = _READ[medium.media](medium)
    except DecodeError as error:
        return Entry(name, size, mtime_ns, problem=_reason(error, medium.path))
    except OSError as error:
        return Entry(name, size, mtime_ns, problem=f"cannot be read ({error.strerror})")
    return Entry(name, size, mtime_ns, digest, *found)


def _video(medium: Medium) -> Found:
    facts = video_facts(medium.path)
    rng = np.random.default_rng(0)
    compared = set(rng.integers(0, max(1, facts.num_packets), NUM_COMPARED).tolist())
    pictures: dict[int, np.ndarray] = {}
    number, shape, colours = 0, (0, 0, 0), VideoReformatter()
    try:
        for frame in every_frame(medium.path):
            if frame.is_corrupt:
                raise DecodeError(f"frame {number} is damaged")
            if number in compared or number == 0:
                picture = pictures[number] = upright(frame, facts, colours)
                shape = shape if number else picture.shape
                if picture.shape != shape:
                    raise DecodeError("the size of its frames changes")
            number += 1
    except DecodeError as error:
        raise DecodeError(f"after {number} frames: {_reason(error, medium.path)}" if number else str(error)) from error
    if number == 0:
        raise DecodeError("the video holds no frames")
    _require_whole(facts)
    return Found(number, *shape[:2], _right_decoder(medium.path, facts, number, pictures))


def _require_whole(facts: VideoFacts) -> None:
    if facts.num_promised and facts.num_packets != facts.num_promised:
        raise DecodeError(f"truncated: {facts.num_packets} frames where its header promises {facts.num_promised}")
    if facts.seconds_promised and facts.seconds < (1 - MAX_LACKING) * facts.seconds_promised:
        raise DecodeError(
            f"truncated: {facts.seconds:.1f} seconds of video where its header promises {facts.seconds_promised:.1f}"
        )


def _right_decoder(path: Path, facts: VideoFacts, count: int, pictures: dict[int, np.ndarray]) -> DecoderName:
    """decord where its count and its frames at random places, asked for in random order, are PyAV's."""
    if facts.decoder == "pyav":
        return "pyav"
    order = np.random.default_rng(1).permutation(sorted(pictures)).tolist()
    try:
        reader = open_video(path, "decord")
        given = reader.frames(order)
    except DecodeError:
        return "pyav"
    expected = np.stack([pictures[index] for index in order]).astype(np.int16)
    if len(reader) != count or given.shape != expected.shape:
        return "pyav"
    difference = np.abs(given - expected).mean((1, 2, 3))
    return "decord" if difference.max() < SAME_COLOURS else "pyav"


def _image(medium: Medium) -> Found:
    return Found(1, *read_image(medium.path).shape[:2])


def _cifar(medium: Medium) -> Found:
    content = read_cifar(medium.path)
    return Found(len(content.get("data", ())), 32, 32)


def _frame_folder(medium: Medium) -> Found:
    """All frames, and all masks where there are any: they must have a frame and its size."""
    decoder = FrameFolderDecoder(medium.path)
    sizes = {path.stem: read_image(path).shape[:2] for path in decoder.paths}
    if len(set(sizes.values())) > 1:
        raise DecodeError("its frames have different sizes")
    if medium.mask_folder is not None:
        masks = MaskFolder(medium.mask_folder, medium.mask_kind)
        for path in masks.paths.values():
            size = masks.read(path).shape
            if sizes.get(path.stem) != size:
                has = f"its frame {sizes[path.stem]}" if path.stem in sizes else "there is no such frame"
                raise DecodeError(f"the mask {path.name} has size {size}, {has}")
    return Found(len(sizes), *next(iter(sizes.values())))


_READ: dict[Media, Callable[[Medium], Found]] = {
    "video": _video,
    "image": _image,
    "pickled_image": _cifar,
    "frame_folder": _frame_folder,
}


def _reason(error: DecodeError, path: Path) -> str:
    return str(error).removeprefix(f"{path}: ")


def _digest(path: Path) -> str:
    """SHA-256 of a file's bytes, or of its files' in their order."""
    if not path.is_dir():
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    whole = hashlib.sha256()
    for child in sorted(path.iterdir()):
        whole.update(_digest(child).encode())
    return whole.hexdigest()
