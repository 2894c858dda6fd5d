"""Videos, frame-exactly: frame i is the i-th that decoding from the start yields, whatever the container promises.

decord is the default.  It is right about files whose packets carry a timestamp each and whose frames all appear in
their order; it miscounts, or seeks to another frame, where they do not (DivX and Xvid in AVI, edit lists, several
video streams), and does not open some codecs.  What a file is, is read from its header and packets, without decoding;
everything doubtful goes to PyAV.  Where few frames some apart are wanted, as in pretraining, PyAV reads them all: it is
faster there, most of all on codecs with frames that no other refers to, since those that nobody wants are not decoded.

Shapes: T frames, H W pixels, C colours; uint8 RGB.
"""

from array import array
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from math import inf
from pathlib import Path
from typing import NamedTuple

import av  # first: decord exports the symbols of its own FFmpeg, and PyAV loaded later would get those
import decord
import numpy as np
from av.video.reformatter import VideoReformatter

from sigma_bench.data.decoder import DecodeError, Decoder, DecoderName

DECODER_RULE = 1
"""Raised whenever the choice of decoders, or what one of them returns, changes: stored choices and features of the
previous rule are not used any more."""
DECORD_CODECS = ("h264", "vp8", "vp9", "mpeg4")
SPARING_CODECS = ("h264", "hevc")
"""Their decoders leave out frames that no other refers to, when told so packet by packet."""
DECORD_PIXELS = ("yuv420p", "yuvj420p")
DECORD_MIN_WIDTH = 80
"""Pixels; some narrower pictures, whose lines decord pads, do not come out."""
NO_PICTURE = np.zeros((1, 1, 3), np.uint8)
EMPTY_PACKET_BYTES = 12
"""An MPEG-4 packet this small stands for a frame that is shown elsewhere or not at all."""


@dataclass(frozen=True)
class VideoFacts:
    """What header and packets of the first video stream say."""

    codec: str
    pixel_format: str
    height: int
    width: int
    rotation: int
    """Degrees that the picture is to be turned counterclockwise, a multiple of 90."""
    num_streams: int
    num_packets: int
    num_promised: int
    """Frames that the header promises; 0 where it says nothing."""
    seconds: float
    """End of the last packet."""
    seconds_promised: float | None
    pts: Sequence[int] | None
    """Presentation times of all frames in their order; None where they do not tell which frame is which."""
    key_frames: tuple[int, ...]
    """Which frames decoding can begin at; empty where ``pts`` is None."""

    @property
    def decoder(self) -> DecoderName:
        """Who reads this file exactly."""
        is_plain = self.codec in DECORD_CODECS and self.pixel_format in DECORD_PIXELS and self.rotation == 0
        is_wide = self.width >= DECORD_MIN_WIDTH or self.width % 32 == 0
        is_simple = self.pts is not None and self.num_streams == 1
        # decord believes the header: it ends the process where that promises more frames than memory has room for.
        is_honest = self.num_promised in (0, self.num_packets) and (self.seconds_promised or inf) < 2 * self.seconds + 1
        return "decord" if is_plain and is_wide and is_simple and is_honest else "pyav"

    @property
    def is_sparing(self) -> bool:
        """Whether PyAV need not decode all frames between those that are wanted."""
        return self.codec in SPARING_CODECS and self.pts is not None


def open_video(path: Path, decoder: DecoderName | None = None, *, is_sparse: bool = False) -> Decoder:
    """A video, read by the decoder that is right about it unless one is named.

    Args:
        is_sparse: few frames will be wanted, some apart; PyAV is faster at that wherever it can tell frames by time.

    Raises:
        DecodeError: it cannot be read.
    """
    if decoder == "decord" and not is_sparse:
        return DecordDecoder(path)
    facts = video_facts(path)
    if (decoder or facts.decoder) == "pyav" or (is_sparse and facts.pts is not None):
        return PyAvDecoder(path, facts)
    reader = DecordDecoder(path)
    is_agreed = decoder is not None or facts.pts is None or len(reader) == len(facts.pts)
    return reader if is_agreed else PyAvDecoder(path, facts)


def video_facts(path: Path) -> VideoFacts:
    """Facts of a file, remembered as long as it does not change."""
    status = path.stat()
    return _facts(path, status.st_size, status.st_mtime_ns)


def forget_facts() -> None:
    """Look at every file anew: for measurements."""
    _facts.cache_clear()


class DecordDecoder:
    """decord, on one thread: with more, VP9 files fail in the middle; and never asked for timestamps."""

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
    """PyAV: from the key frame before, by timestamps, where these are usable; otherwise from the start, by counting.

    Args:
        keeps_pictures: False gives one black pixel for every frame, and shows what decoding alone costs.
    """

    def __init__(self, path: Path, facts: VideoFacts | None = None, *, keeps_pictures: bool = True) -> None:
        self._path = path
        self._keeps_pictures = keeps_pictures
        self._colours = VideoReformatter()
        self._facts = facts or video_facts(path)
        self._length = len(self._facts.pts) if self._facts.pts is not None else self._count()
        if self._length == 0:
            raise DecodeError(f"{path}: the video holds no frames")

    def __len__(self) -> int:
        return self._length

    def frames(self, indices: Sequence[int]) -> np.ndarray:
        wanted = sorted(set(indices))
        if wanted[0] < 0 or wanted[-1] >= self._length:
            raise DecodeError(f"{self._path}: there is no frame {wanted[-1]}; the video has {self._length}")
        found: dict[int, np.ndarray] = {}
        if self._facts.pts is not None:
            found = self._by_timestamps(wanted)
        if len(found) < len(wanted):
            found = self._by_counting(set(wanted))
        if len(found) < len(wanted):
            raise DecodeError(f"{self._path}: decoding stops before frame {wanted[-1]}; the file is broken")
        if len({picture.shape for picture in found.values()}) > 1:
            raise DecodeError(f"{self._path}: the size of its frames changes")
        return np.stack([found[index] for index in indices])

    def _count(self) -> int:
        return sum(1 for _ in every_frame(self._path))

    def _by_timestamps(self, wanted: list[int]) -> dict[int, np.ndarray]:
        """The frames that were found; a seek that lands behind its frame loses some."""
        found: dict[int, np.ndarray] = {}
        with _opened(self._path) as container:
            for key, indices in self._runs(wanted):
                found |= self._run(container, key, indices)
        return found

    def _runs(self, wanted: list[int]) -> list[tuple[int, list[int]]]:
        """Key frames to begin at, and the wanted frames that decoding from there comes by."""
        keys = self._facts.key_frames
        runs: list[tuple[int, list[int]]] = []
        for index in wanted:
            key = keys[bisect_right(keys, index) - 1]
            if not runs or key > runs[-1][1][-1]:
                runs.append((key, []))
            runs[-1][1].append(index)
        return runs

    def _run(self, container: "av.container.InputContainer", key: int, indices: list[int]) -> dict[int, np.ndarray]:
        pts, stream = self._facts.pts, container.streams.video[0]
        assert pts is not None
        index_of = {pts[index]: index for index in indices}
        found: dict[int, np.ndarray] = {}
        container.seek(pts[key], stream=stream)
        for packet in container.demux(stream):
            if self._facts.is_sparing:
                is_needed = packet.is_keyframe or packet.pts in index_of
                stream.codec_context.skip_frame = "DEFAULT" if is_needed else "NONREF"
            for frame in packet.decode():
                if frame.pts in index_of:
                    found[index_of[frame.pts]] = self._picture(frame)
                if len(found) == len(indices) or (frame.pts or 0) > pts[indices[-1]]:
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
        return upright(frame, self._facts, self._colours) if self._keeps_pictures else NO_PICTURE


def upright(frame: av.VideoFrame, facts: VideoFacts, colours: VideoReformatter) -> np.ndarray:
    """The picture (H, W, C), turned as the file asks for.

    Args:
        colours: kept from frame to frame of a video, as it prepares for their size once.
    """
    return np.rot90(colours.reformat(frame, format="rgb24", threads=1).to_ndarray(), facts.rotation // 90)


def every_frame(path: Path) -> Iterator[av.VideoFrame]:
    """Decoding from the start, by PyAV; DecodeError where it fails."""
    with _opened(path) as container:
        yield from container.decode(video=0)


@contextmanager
def _opened(path: Path) -> Iterator["av.container.InputContainer"]:
    """An open file whose errors, in the block as well, are DecodeErrors."""
    try:
        with av.open(str(path), metadata_errors="replace") as container:
            if not container.streams.video:
                raise DecodeError(f"{path}: there is no video in this file")
            context = container.streams.video[0].codec_context
            if context is None:
                raise DecodeError(f"{path}: nobody here knows the codec of this video")
            context.thread_count = 1
            yield container
    except (av.FFmpegError, OSError, EOFError) as error:
        raise DecodeError(f"{path}: not a video that can be decoded") from error


class _Packet(NamedTuple):
    """What is asked of a packet; the packet itself would keep its part of the file in memory."""

    pts: int | None
    end: int
    size: int
    is_key: bool
    is_doubtful: bool


@lru_cache(maxsize=2**13)  # of 300 frames each, some 60 MiB in every process that reads videos
def _facts(path: Path, size: int, mtime_ns: int) -> VideoFacts:
    with _opened(path) as container:
        stream = container.streams.video[0]
        may_be_turned = container.format.name.startswith("mov")
        packets: list[_Packet] = []
        first = None
        for packet in container.demux(stream):
            if may_be_turned and first is None:
                first = next(iter(packet.decode()), None)
            if packet.size:
                end = (packet.pts or 0) + (packet.duration or 0)
                is_doubtful = packet.is_discard or packet.is_corrupt
                packets.append(_Packet(packet.pts, end, packet.size, packet.is_keyframe, is_doubtful))
        context, start = stream.codec_context, stream.start_time or 0
        ends = [packet.end for packet in packets if packet.pts is not None]
        pts, keys = _presentation(packets, context.name)
        return VideoFacts(
            codec=context.name,
            pixel_format=context.pix_fmt or "",
            height=context.height,
            width=context.width,
            rotation=first.rotation % 360 if first is not None else 0,
            num_streams=len(container.streams.video),
            num_packets=len(packets),
            num_promised=stream.frames,
            seconds=float((max(ends, default=0) - start) * (stream.time_base or 0)),
            seconds_promised=container.duration / av.time_base if container.duration is not None else None,
            pts=pts,
            key_frames=keys,
        )


def _presentation(packets: list[_Packet], codec: str) -> tuple[Sequence[int] | None, tuple[int, ...]]:
    """Times of the frames in order and the key frames among them, where every packet is one frame of known time."""
    times = [packet.pts for packet in packets if packet.pts is not None]
    if not times:
        return None, ()
    is_usable = len(set(times)) == len(packets) and packets[0].is_key and times[0] == min(times)
    if codec == "mpeg4":  # packed B-frames: reordered times, or packets that stand for nothing
        is_usable &= times == sorted(times) and all(packet.size >= EMPTY_PACKET_BYTES for packet in packets)
    if not is_usable or any(packet.is_doubtful for packet in packets):
        return None, ()
    pts = array("q", sorted(times))
    keys = {packet.pts for packet in packets if packet.is_key}
    return pts, tuple(index for index, time in enumerate(pts) if time in keys)
