"""Frame-exact reading of videos: frame i is the i-th frame that decoding from the start of the file yields.

``VideoFacts.decoder`` chooses one of three ways of reading from the packets of a file.  Each is exact for more files
than the one before:

- decord reads H.264, VP8 and VP9 if every key frame of the container resets the decoder (closed GOP) and every packet
  is one progressive picture of even size.  Its seeking is exact for such files.
- PyAV reads by timestamps from the nearest packet that decoding may start at.
- PyAV counts frames from the start of the file if the packets do not show which frame is which.

All three give the same pixels.  PyAV replaces decord if only a few frames with gaps between them are wanted, as in
pretraining.  It is faster there, above all for codecs with pictures that no other picture refers to, because it decodes
those only if they are wanted.

Shapes: T frames, H W pixels, C colours; uint8 RGB.
"""

import ctypes
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

import av  # before decord, which exports the symbols of its own FFmpeg; PyAV would use those if it were loaded later
import decord
import numpy as np
from av.video.reformatter import VideoReformatter
from decord._ffi.base import _LIB as DECORD_LIBRARY

from sigma_bench.data.decoder import DecodeError, Decoder, DecoderName
from sigma_bench.data.video_facts import Start, VideoFacts, opened, video_facts

SPARSE_DECODER: dict[DecoderName | None, DecoderName] = {"decord": "pyav"}
"""Decoder -> the decoder that replaces it if only a few frames with gaps between them are read."""


def ffmpeg_versions(decoders: Iterable[str]) -> dict[str, str]:
    """Version of FFmpeg in the package of each of these decoders."""
    packages = sorted({"decord" if name == "decord" else "pyav" for name in decoders})
    return {name: _decord_ffmpeg() if name == "decord" else av.ffmpeg_version_info for name in packages}


def _decord_ffmpeg() -> str:
    version_info = DECORD_LIBRARY.av_version_info  # of the libavutil that decord is linked to
    version_info.restype = ctypes.c_char_p
    return str(version_info().decode())


def open_video(path: Path, decoder: DecoderName | None = None, *, is_sparse: bool = False) -> Decoder:
    """Open a video with an exact decoder.

    Args:
        decoder: the decoder in the ledger; decord is used only if the packets prove it exact as well.
        is_sparse: whether only a few frames with gaps between them will be read; PyAV then replaces decord, because it
            is faster at that.

    Raises:
        DecodeError: the file cannot be read.
    """
    facts = video_facts(path)
    name = facts.decoder if decoder in (None, "decord") else decoder
    if name == "decord" and not is_sparse:
        reader = DecordDecoder(path)
        if facts.pts is not None and len(reader) == len(facts.pts):
            return reader
    return PyAvDecoder(path, facts, is_sequential=name == "pyav_sequential")


class DecordDecoder:
    """Reading by decord on one thread, because VP9 files fail with more; timestamps are not used."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._reader = decord.VideoReader(str(path), num_threads=1)
        except (decord.DECORDError, RuntimeError) as error:
            raise DecodeError(f"{path}: not a video that can be decoded") from error
        if len(self._reader) == 0:
            raise DecodeError(f"{path}: the video holds no frames")

    def __len__(self) -> int:
        return len(self._reader)

    def frames(self, indices: Sequence[int]) -> np.ndarray:
        try:
            return self._reader.get_batch(list(indices)).asnumpy()
        except (decord.DECORDError, RuntimeError, IndexError) as error:
            raise DecodeError(
                f"{self._path}: decoding stops before frame {max(indices)}; the file is broken"
            ) from error


class PyAvDecoder:
    """Reading by PyAV: by timestamps from the nearest packet that decoding may start at, or by counting frames.

    Args:
        is_sequential: count from the start of the file, even if the times of the frames are known.
    """

    def __init__(self, path: Path, facts: VideoFacts | None = None, *, is_sequential: bool = False) -> None:
        self._path = path
        self._colours = VideoReformatter()
        self._facts = facts or video_facts(path)
        self._pts = None if is_sequential else self._facts.pts
        self._length = len(self._pts) if self._pts is not None else _num_frames(path)
        if self._length == 0:
            raise DecodeError(f"{path}: the video holds no frames")

    def __len__(self) -> int:
        return self._length

    def frames(self, indices: Sequence[int]) -> np.ndarray:
        wanted = sorted(set(indices))
        if wanted[0] < 0 or wanted[-1] >= self._length:
            raise DecodeError(f"{self._path}: there is no frame {wanted[-1]}; the video has {self._length}")
        found: dict[int, np.ndarray] = {}
        if self._pts is not None:
            found = self._by_timestamps(wanted, self._pts)
        if len(found) < len(wanted):
            found = self._by_counting(set(wanted))
        if len(found) < len(wanted):
            raise DecodeError(f"{self._path}: decoding stops before frame {wanted[-1]}; the file is broken")
        if len({picture.shape for picture in found.values()}) > 1:
            raise DecodeError(f"{self._path}: the size of its frames changes")
        return np.stack([found[index] for index in indices])

    def _by_timestamps(self, wanted: list[int], pts: Sequence[int]) -> dict[int, np.ndarray]:
        """The wanted frames by index; frames behind a start that the seek does not reach are missing."""
        found: dict[int, np.ndarray] = {}
        with opened(self._path) as container:
            for start, indices in self._runs(wanted):
                found |= self._run(container, start, {pts[index]: index for index in indices})
        return found

    def _runs(self, wanted: list[int]) -> list[tuple[Start, list[int]]]:
        """Starts of decoding, each with the wanted frames to decode from there."""
        starts = self._facts.starts
        runs: list[tuple[Start, list[int]]] = []
        for index in wanted:
            start = starts[bisect_right(starts, index, key=lambda start: start.frame) - 1]
            if not runs or start.frame > runs[-1][1][-1]:
                runs.append((start, []))
            runs[-1][1].append(index)
        return runs

    def _run(
        self, container: "av.container.InputContainer", start: Start, index_of: dict[int, int]
    ) -> dict[int, np.ndarray]:
        """Wanted frames by index; ``index_of`` maps their times to their indices."""
        found: dict[int, np.ndarray] = {}
        stream, last = container.streams.video[0], max(index_of)
        for packet in _packets_from(container, start):
            if self._facts.can_skip:
                is_needed = packet.is_keyframe or packet.pts in index_of
                stream.codec_context.skip_frame = "DEFAULT" if is_needed else "NONREF"
            for frame in packet.decode():
                if frame.pts in index_of:
                    found[index_of[frame.pts]] = self._picture(frame)
                if len(found) == len(index_of) or (frame.pts is not None and frame.pts > last):
                    return found
        return found

    def _by_counting(self, wanted: set[int]) -> dict[int, np.ndarray]:
        found: dict[int, np.ndarray] = {}
        for index, frame in enumerate(every_frame(self._path)):
            if index in wanted:
                found[index] = self._picture(frame)
            if len(found) == len(wanted):
                break
        return found

    def _picture(self, frame: av.VideoFrame) -> np.ndarray:
        return upright(frame, self._facts, self._colours)


def upright(frame: av.VideoFrame, facts: VideoFacts, colours: VideoReformatter) -> np.ndarray:
    """The picture (H, W, C), rotated as the file specifies.

    Args:
        colours: converter to RGB; one is used for all frames of a video, because its set-up is slow.
    """
    return np.rot90(colours.reformat(frame, format="rgb24", threads=1).to_ndarray(), facts.rotation // 90)


def every_frame(path: Path) -> Iterator[av.VideoFrame]:
    """All frames from the start of the file, decoded by PyAV; DecodeError if decoding fails."""
    with opened(path) as container:
        yield from container.decode(video=0)


def _packets_from(container: "av.container.InputContainer", start: Start) -> Iterator[av.Packet]:
    """Packets from a start on; none if the seek lands after it.

    A seek can land before its target, at a packet that decoding may not start at; packets before the target are
    skipped.
    """
    stream = container.streams.video[0]
    with suppress(av.FFmpegError):  # reading then continues from the current position
        container.seek(start.pts if start.dts is None else start.dts, stream=stream)
    is_reached = False
    for packet in container.demux(stream):
        is_reached |= packet.pts == start.pts
        if is_reached:
            yield packet
        elif packet.dts is not None and start.dts is not None and packet.dts > start.dts:
            return


def _num_frames(path: Path) -> int:
    """Number of frames that decoding from the start yields, cached until the file changes."""
    status = path.stat()
    return _counted(path, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=2**16)
def _counted(path: Path, size: int, mtime_ns: int) -> int:
    number = 0
    try:
        for _ in every_frame(path):
            number += 1
    except DecodeError as error:
        raise (
            error if number == 0 else DecodeError(f"{path}: decoding stops after {number} frames; the file is broken")
        ) from error
    return number
