"""Videos of the kinds whose frames are easily read wrongly, written with PyAV; all frames differ."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from fractions import Fraction
from functools import lru_cache
from pathlib import Path

import av
import numpy as np
from av.bitstream import BitStreamFilterContext

NUM_FRAMES = 40
X264, X265 = "x264-params", "x265-params"
OPEN = "open-gop=1:keyint=12:min-keyint=12:scenecut=0"
Change = Callable[[list[av.Packet]], Iterable[av.Packet]]


@dataclass(frozen=True)
class Kind:
    """One way of writing a video."""

    codec: str
    suffixes: tuple[str, ...]
    options: dict[str, str] = field(default_factory=dict)
    height: int = 80
    width: int = 96
    muxer: dict[str, str] = field(default_factory=dict)
    times: Callable[[int], int] = lambda index: index
    """Presentation time of a frame, in 25ths of a second."""
    change: Change = lambda packets: packets
    """How the encoded packets are changed."""


@lru_cache
def counted_frames(height: int, width: int) -> np.ndarray:
    """A texture that moves, and the number of the frame in blocks that are black or white (T, H, W, C)."""
    texture = np.random.default_rng(0).integers(60, 200, (height // 8 + 1, 8, 3), dtype=np.uint8)
    texture = texture.repeat(8, 0)[:height].repeat(-(-width // 8), 1)[:, :width]
    frame_THWC = np.stack([np.roll(texture, 2 * index, axis=1) for index in range(NUM_FRAMES)])
    for index, frame in enumerate(frame_THWC):
        for bit in range(6):
            frame[8:24, 8 + 12 * bit : 18 + 12 * bit] = 255 * (index >> bit & 1)
    return frame_THWC


def write(kind: Kind, path: Path) -> Path:
    """The video of a kind, in the container of the path's suffix."""
    with av.open(str(path), "w", options=kind.muxer) as container:
        stream = container.add_stream(kind.codec, rate=25, options={"threads": "1"} | kind.options)
        stream.height, stream.width, stream.pix_fmt = kind.height, kind.width, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 25)
        packets: list[av.Packet] = []
        for index, image in enumerate(counted_frames(kind.height, kind.width)):
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts, frame.time_base = kind.times(index), Fraction(1, 25)
            packets += stream.encode(frame)
        container.mux(list(kind.change([*packets, *stream.encode()])))
    return path


def _with(packet: av.Packet, content: bytes) -> av.Packet:
    """A packet of other bytes."""
    other = av.Packet(content)
    other.pts, other.dts, other.time_base = packet.pts, packet.dts, packet.time_base
    other.stream, other.is_keyframe = packet.stream, packet.is_keyframe
    return other


def hide_every_seventh(packets: list[av.Packet]) -> Iterable[av.Packet]:
    """VP8 frames that are decoded and not shown, as alternate references are; they have the time of the next frame."""
    for index, packet in enumerate(packets):
        content, other = bytearray(packet), packet
        if index % 7 == 5 and not packet.is_keyframe:
            content[0] &= ~16
            other = packets[min(index + 1, len(packets) - 1)]
        hidden_or_not = _with(packet, bytes(content))
        hidden_or_not.pts, hidden_or_not.dts = other.pts, other.dts
        yield hidden_or_not


def pack_b_frames(packets: list[av.Packet]) -> Iterable[av.Packet]:
    """MPEG-4 as DivX wrote it: a B-frame lies in the packet of the frame that it refers to, a stub fills its place."""
    stub = b"\x00\x00\x01\xb6\x50\x80\x00\x7f"
    remaining = list(packets)
    times = iter(range(len(packets)))
    while remaining:
        first = remaining.pop(0)
        content = bytes(first)
        vop = content.find(b"\x00\x00\x01\xb6")
        if first.is_keyframe:
            content = content[:vop] + b"\x00\x00\x01\xb2DivX503b1393p" + content[vop:]
        is_packed = bool(remaining) and _is_b_frame(bytes(remaining[0])) and not first.is_keyframe
        if is_packed:
            content += bytes(remaining.pop(0))
        for part in (content, stub) if is_packed else (content,):
            packet = _with(first, part)
            packet.pts = packet.dts = next(times)
            yield packet


def _is_b_frame(content: bytes) -> bool:
    return content[content.find(b"\x00\x00\x01\xb6") + 4] >> 6 == 2


H264_CLOSED = {X264: "keyint=12:min-keyint=12:scenecut=0:open-gop=0"}
KINDS = {
    "h264_closed_b0": Kind("libx264", ("mp4", "mkv", "avi"), H264_CLOSED | {"bf": "0"}),
    "h264_closed_b3": Kind("libx264", ("mp4", "mkv", "avi"), H264_CLOSED | {"bf": "3"}),
    "h264_open_b3": Kind("libx264", ("mp4", "mkv", "avi"), {X264: f"{OPEN}:bframes=3:b-adapt=0"}),
    "h264_open_b1": Kind("libx264", ("mp4",), {X264: f"{OPEN}:bframes=1:b-adapt=0"}),
    "h264_refresh": Kind("libx264", ("mp4", "mkv"), {X264: "intra-refresh=1:keyint=12:bframes=0"}),
    "h264_interlaced": Kind("libx264", ("mp4", "mkv"), {X264: "tff=1:keyint=12"}),
    "h264_one_key": Kind("libx264", ("mp4",), {X264: "keyint=infinite:scenecut=0"}),
    "h264_slices": Kind("libx264", ("mkv",), {X264: "keyint=12:slices=4"}),
    "h264_offset": Kind("libx264", ("mp4", "mkv"), {X264: "keyint=12"}, times=lambda index: index + 250),
    "h264_edit_list": Kind(
        "libx264",
        ("mp4",),
        {X264: "keyint=12"},
        muxer={"avoid_negative_ts": "disabled"},
        times=lambda index: index - 17,
    ),
    "h264_fragmented": Kind("libx264", ("mp4",), H264_CLOSED, muxer={"movflags": "frag_keyframe+empty_moov"}),
    "h264_variable": Kind("libx264", ("mp4", "mkv"), {X264: "keyint=12"}, times=lambda index: 2 * index + index % 2),
    "hevc_open": Kind("libx265", ("mp4", "mkv"), {X265: f"{OPEN}:bframes=3:log-level=none"}),
    "hevc_closed": Kind("libx265", ("mp4",), {X265: "open-gop=0:keyint=12:log-level=none:repeat-headers=1"}),
    "hevc_layers": Kind("libx265", ("mkv",), {X265: "temporal-layers=3:open-gop=0:keyint=24:bframes=3:log-level=none"}),
    "mpeg4_b0": Kind("mpeg4", ("mp4", "mkv", "avi"), {"bf": "0", "g": "12"}),
    "mpeg4_b2": Kind("mpeg4", ("mp4", "mkv", "avi"), {"bf": "2", "g": "12"}),
    "mpeg4_packed": Kind("mpeg4", ("avi",), {"bf": "1", "g": "12", "b_strategy": "0"}, change=pack_b_frames),
    "mpeg4_odd": Kind("mpeg4", ("avi", "mp4"), {"bf": "0", "g": "12"}, height=79, width=97),
    "mpeg4_interlaced": Kind("mpeg4", ("avi",), {"bf": "0", "g": "12", "flags": "+ildct+ilme"}),
    "vp8": Kind("libvpx", ("webm", "mkv", "avi"), {"g": "12", "deadline": "realtime"}),
    "vp8_hidden": Kind("libvpx", ("webm",), {"g": "12", "deadline": "realtime"}, change=hide_every_seventh),
    "vp8_odd": Kind("libvpx", ("webm",), {"g": "12", "deadline": "realtime"}, height=79, width=97),
    "vp9": Kind("libvpx-vp9", ("webm", "mp4", "mkv"), {"g": "12", "cpu-used": "8"}),
    "vp9_odd": Kind("libvpx-vp9", ("webm",), {"g": "12", "cpu-used": "8"}, height=79, width=97),
    "vp9_offset": Kind("libvpx-vp9", ("webm",), {"g": "12", "cpu-used": "8"}, times=lambda index: index + 250),
    "av1": Kind("libsvtav1", ("mp4", "mkv", "webm"), {"g": "12", "preset": "12"}),
    "mpeg2_b2": Kind("mpeg2video", ("mkv", "avi"), {"bf": "2", "g": "12"}),
    "mjpeg": Kind("mjpeg", ("avi", "mkv"), {"color_range": "pc"}),
}


def size_changes(codec: str) -> Kind:
    """A video whose second half is twice as high and wide as its first."""
    options = {"deadline": "realtime", "cpu-used": "8", "lag-in-frames": "0", "auto-alt-ref": "0"}

    def enlarged(packets: list[av.Packet]) -> Iterable[av.Packet]:
        encoder = av.CodecContext.create(codec, "w")
        encoder.height, encoder.width, encoder.pix_fmt = 160, 192, "yuv420p"
        encoder.time_base, encoder.options = Fraction(1, 25), options
        pictures = [av.VideoFrame.from_ndarray(image, format="rgb24") for image in counted_frames(160, 192)]
        larger = [bytes(packet) for picture in pictures for packet in encoder.encode(picture)]
        for index, packet in enumerate(packets):
            half = len(packets) // 2
            other = packet if index < half else _with(packet, larger[index - half])
            other.is_keyframe = packet.is_keyframe or index == half
            yield other

    return Kind(codec, ("mkv",), options, change=enlarged)


def cropped(source: Path, target: Path, crop: str) -> Path:
    """An H.264 video whose header cuts off part of every picture; the coded pictures stay as they are."""
    with av.open(str(source)) as before, av.open(str(target), "w") as after:
        stream = before.streams.video[0]
        copy = after.add_stream_from_template(stream)
        changed = BitStreamFilterContext(f"h264_metadata={crop}", stream, copy)
        for packet in before.demux(stream):
            for other in changed.filter(packet if packet.size else None):
                other.stream = copy
                after.mux(other)
    return target
