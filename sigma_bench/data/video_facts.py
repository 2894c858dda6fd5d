"""Facts of a video file from its header and packets, without decoding, and the decoder that reads it exactly.

Times of frames are kept only if every packet is known to show either one picture at a known time or none; frame i is
then the picture with the i-th time.  Other files are read by counting the frames that decoding from the start yields.
"""

from array import array
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate, pairwise
from math import inf
from pathlib import Path
from typing import NamedTuple

import av

from sigma_bench.data.bitstream import Content, Scan, scanner
from sigma_bench.data.decoder import DecodeError, DecoderName
from sigma_bench.data.h264_parameters import PictureLayout, picture_layout

DECORD_CODECS = ("h264", "vp8", "vp9")
"""Codecs that decord decodes to the same bits as PyAV; some MPEG-4 pictures differ by up to 2 of 255."""
DECORD_PIXELS = ("yuv420p", "yuvj420p")
DECORD_MIN_WIDTH = 80
"""Pixels; decord fails on some narrower pictures, whose lines it pads."""
SKIPPING_CODECS = ("h264", "hevc")
"""Codecs whose decoders can skip, packet by packet, pictures that no other picture refers to."""
REORDERING_CODECS = ("h264", "hevc")
"""Codecs read by ``bitstream`` that may show pictures in a different order from the coded one."""
TIMED_CONTAINERS = ("mov", "matroska")
"""Containers that store the presentation time of each packet; FFmpeg invents times for others, such as AVI."""
CODEC_NAMES = {"libdav1d": "av1", "libaom-av1": "av1", "libvpx": "vp8", "libvpx-vp9": "vp9"}
"""Names of codecs by names of FFmpeg's decoders, where the two differ."""


class Start(NamedTuple):
    """A packet that decoding may start at, because neither it nor any later packet needs an earlier one."""

    frame: int
    """Index of its frame; all frames with lower indices are in earlier packets."""
    pts: int
    dts: int | None


@dataclass(frozen=True)
class VideoFacts:
    """Facts from the header and the packets of the first video stream."""

    codec: str
    pixel_format: str
    height: int
    width: int
    rotation: int
    """Counterclockwise rotation of the picture in degrees, a multiple of 90."""
    is_interlaced: bool
    """Whether pictures may consist of two fields."""
    may_crop_left: bool
    """Whether columns on the left may be cut off from coded pictures."""
    may_change_size: bool
    """Whether a later picture may have another size than the first."""
    num_streams: int
    num_packets: int
    num_declared: int
    """Number of frames according to the header; 0 if the header has no number."""
    num_covered: int
    """Number of declared frames that the packets account for; in AVI, a tick without a packet counts as a frame."""
    start_seconds: float
    """Time of the first frame."""
    end_seconds: float
    """End of the last packet."""
    seconds_declared: float | None
    """Duration in the header; some containers count it from time 0, others from the first frame."""
    pts: Sequence[int] | None
    """Presentation times of all frames in order; None if the packets do not show which frame is which."""
    starts: tuple[Start, ...]
    """Packets that decoding may start at, in order; empty if ``pts`` is None."""
    num_unsafe: int
    """Number of packets that the container flags as key frames though decoding may not start at them."""
    has_layers: bool
    """Whether a picture belongs to a higher temporal layer."""

    @property
    def seconds(self) -> float:
        """Time from the first frame to the end of the last packet."""
        return self.end_seconds - self.start_seconds

    @property
    def decoder(self) -> DecoderName:
        """The fastest decoder that the packets prove exact for this file."""
        if self.pts is None:
            return "pyav_sequential"
        # decord seeks to every packet that the container flags as a key frame, and counts packets that show no picture.
        is_safe = self.num_unsafe == 0 and len(self.pts) == self.num_packets and self.num_streams == 1
        is_plain = self.codec in DECORD_CODECS and self.pixel_format in DECORD_PIXELS and self.rotation == 0
        # decord crops columns on the left differently from PyAV, and scales all pictures to the size of the first.
        is_plain &= not self.may_crop_left and not self.may_change_size
        # decord converts the colours of odd sizes and of fields differently from PyAV.
        is_even = self.height % 2 == 0 and self.width % 2 == 0 and not self.is_interlaced
        is_wide = self.width >= DECORD_MIN_WIDTH or self.width % 32 == 0
        # decord allocates memory for the number of frames in the header, and aborts the process if that is too much.
        has_true_header = self.num_declared in (0, self.num_packets)
        has_true_header &= (self.seconds_declared or inf) < 2 * self.end_seconds + 1
        return "decord" if is_safe and is_plain and is_even and is_wide and has_true_header else "pyav"

    @property
    def can_skip(self) -> bool:
        """Whether PyAV can skip frames between the wanted ones."""
        return self.codec in SKIPPING_CODECS and not self.has_layers


def video_facts(path: Path) -> VideoFacts:
    """Facts of a file, cached until it changes.

    Raises:
        DecodeError: the file is not a video.
    """
    status = path.stat()
    return _facts(path, status.st_size, status.st_mtime_ns)


def forget_facts() -> None:
    """Clear the cached facts of all files; benchmarks call this."""
    _facts.cache_clear()


@contextmanager
def opened(path: Path) -> Iterator["av.container.InputContainer"]:
    """An open video file; errors of PyAV, also those inside the block, become DecodeErrors."""
    try:
        with av.open(str(path), metadata_errors="replace") as container:
            if not container.streams.video:
                raise DecodeError(f"{path}: there is no video in this file")
            context = container.streams.video[0].codec_context
            if context is None:
                raise DecodeError(f"{path}: the codec of this video is not supported")
            context.thread_count = 1
            yield container
    except (av.FFmpegError, OSError, EOFError) as error:
        raise DecodeError(f"{path}: not a video that can be decoded") from error


class _Packet(NamedTuple):
    """The needed fields of a packet; PyAV's own object would keep the packet's bytes in memory."""

    pts: int | None
    dts: int | None
    end: int
    is_key: bool
    is_doubtful: bool
    content: Content


@lru_cache(maxsize=2**13)  # about 60 MiB per process for videos of 300 frames
def _facts(path: Path, size: int, mtime_ns: int) -> VideoFacts:
    with opened(path) as container:
        stream = container.streams.video[0]
        context, start = stream.codec_context, stream.start_time or 0
        is_mov = container.format.name.startswith("mov")
        codec, extradata = CODEC_NAMES.get(context.name, context.name), bytes(context.extradata or b"")
        # The header counts frames that an edit list leaves out; the index does not.
        num_declared = min(stream.frames, len(stream.index_entries)) if is_mov else stream.frames
        scan = scanner(codec, extradata, is_intra_only=context.codec.intra_only)
        packets, first = _packets(container, scan, needs_picture=is_mov or codec == "mpeg4")
        frames_only = PictureLayout(may_have_fields=False, may_crop_left=False)
        layout = picture_layout(extradata) if codec == "h264" else frames_only
        # With fields, a packet may be half a picture.
        is_timed = not layout.may_have_fields and _has_times(
            packets, container.format.name, codec, bool(context.has_b_frames)
        )
        pts, starts = _presentation(packets) if is_timed else (None, ())
        unit = stream.time_base or 0
        return VideoFacts(
            codec=codec,
            pixel_format=context.pix_fmt or "",
            height=context.height,
            width=context.width,
            rotation=first.rotation % 360 if first is not None else 0,
            is_interlaced=layout.may_have_fields or (first is not None and first.interlaced_frame),
            may_crop_left=layout.may_crop_left,
            may_change_size=len({size for packet in packets for size in packet.content.sizes}) > 1,
            num_streams=len(container.streams.video),
            num_packets=len(packets),
            num_declared=num_declared,
            num_covered=max(len(packets), _num_ticks(packets) if container.format.name == "avi" else 0),
            start_seconds=float(start * unit),
            end_seconds=float(max((packet.end for packet in packets if packet.pts is not None), default=0) * unit),
            seconds_declared=container.duration / av.time_base if container.duration is not None else None,
            pts=pts,
            starts=starts,
            num_unsafe=sum(packet.is_key for packet in packets) - len(starts),
            has_layers=any(packet.content.has_layers for packet in packets),
        )


def _packets(
    container: "av.container.InputContainer", scan: Scan, *, needs_picture: bool
) -> tuple[list[_Packet], av.VideoFrame | None]:
    """All packets of the first video stream, and its first picture if ``needs_picture``."""
    packets: list[_Packet] = []
    first = None
    for packet in container.demux(container.streams.video[0]):
        if needs_picture and first is None:
            first = next(iter(packet.decode()), None)
        if packet.size:
            end = (packet.pts or 0) + (packet.duration or 0)
            is_doubtful = packet.is_discard or packet.is_corrupt or packet.has_sidedata("new_extradata")
            content = scan(bytes(packet))
            packets.append(_Packet(packet.pts, packet.dts, end, packet.is_keyframe, is_doubtful, content))
    return packets, first


def _num_ticks(packets: list[_Packet]) -> int:
    """Ticks of an AVI file from its start to the end of the last packet, which lasts as long as the one before it."""
    ticks = [packet.dts or 0 for packet in packets[-2:]]
    return 2 * ticks[-1] - ticks[0] if len(ticks) == 2 else 0


def _has_times(packets: list[_Packet], container: str, codec: str, is_reordering: bool) -> bool:
    """Whether the times of packets are the presentation times of their own pictures, and not times in coding order."""
    times = [packet.pts or 0 for packet in packets if packet.content.num_shown != 0]
    is_reordered = any(one >= other for one, other in pairwise(times))
    if codec in REORDERING_CODECS:
        return container.startswith(TIMED_CONTAINERS) and is_reordered == is_reordering
    return not is_reordered


def _presentation(packets: list[_Packet]) -> tuple[Sequence[int] | None, tuple[Start, ...]]:
    """Times of the frames in order, and the starts among them; (None, ()) unless all packets are understood."""
    shown = [packet for packet in packets if packet.content.num_shown != 0]
    times = sorted(packet.pts for packet in shown if packet.pts is not None)
    is_understood = len(set(times)) == len(shown) > 0
    is_understood &= all(packet.content.num_shown is not None and not packet.is_doubtful for packet in packets)
    starts = _starts(packets) if is_understood else ()
    if not starts or starts[0].pts != packets[0].pts:
        return None, ()
    index_of = {pts: index for index, pts in enumerate(times)}
    return array("q", times), tuple(start._replace(frame=index_of[start.pts]) for start in starts)


def _starts(packets: list[_Packet]) -> tuple[Start, ...]:
    """Packets that decoding may start at and that are shown after all earlier and before all later packets."""
    times = [packet.pts for packet in packets if packet.pts is not None]
    if len(times) < len(packets):
        return ()
    before = [-inf, *accumulate(times, max)]
    after = [*reversed(list(accumulate(reversed(times), min)))]
    starts = tuple(
        Start(0, times[number], packet.dts)
        for number, packet in enumerate(packets)
        if packet.is_key
        and packet.content.is_start
        and packet.content.num_shown == 1
        and before[number] < times[number] <= after[number]
    )
    # A decoder that starts after a change of parameters does not know the changed ones.
    has_news = any(packet.content.has_new_parameters for packet in packets)
    return starts[:1] if has_news else starts
