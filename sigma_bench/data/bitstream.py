"""Content of one packet of a compressed video, read from its headers without decoding.

Two questions are answered: how many pictures the packet shows, and whether decoding may start at it.  Decoding may
start at a picture that resets the decoder: an IDR picture in H.264 (ITU-T H.264, table 7-1) and HEVC (ITU-T H.265,
table 7-1), a key frame in VP8 (RFC 6386, section 9.1), VP9 (bitstream specification, section 6.2) and AV1 (bitstream
specification, section 5.9.2), an intra VOP of an MPEG-4 stream without B-VOPs (ISO/IEC 14496-2, section 6.2.5).  A
recovery point, which containers also flag as a key frame, does not reset the decoder: in an open GOP, pictures shown
before it need earlier ones; with intra refresh, pictures after it do.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

PICTURE_PARAMETERS = {"h264": (7, 8), "hevc": (32, 33, 34)}
"""NAL unit types of parameter sets, by codec."""
VOP, VOL = b"\x00\x00\x01\xb6", range(0x20, 0x30)
"""MPEG-4: the start code of a picture, and the last byte of the start codes of a layer's header."""
MIN_VOP_BYTES = 12
"""A shorter MPEG-4 packet may mark a picture that is not coded or is part of another packet."""


class Content(NamedTuple):
    """The content of a packet."""

    num_shown: int | None
    """Number of pictures that the packet adds to the video; None if that is uncertain."""
    is_start: bool = False
    """Whether decoding its picture and all later packets needs no earlier packet."""
    has_new_parameters: bool = False
    """Whether it changes parameters that later packets need."""
    has_layers: bool = False
    """Whether its picture belongs to a higher temporal layer."""
    sizes: frozenset[tuple[int, int]] = frozenset()
    """Heights and widths that it sets, in VP8 and 8-bit 4:2:0 VP9; empty if it takes those of an earlier packet."""


Scan = Callable[[bytes], Content]


def scanner(codec: str, extradata: bytes, *, is_intra_only: bool) -> Scan:
    """The function that reads the packets of a stream.

    Args:
        codec: FFmpeg's name of the codec.
        extradata: decoder configuration of the container; empty if it has none.
        is_intra_only: whether the codec codes every picture independently.
    """
    if codec in ("h264", "hevc"):
        length_bytes = _length_bytes(codec, extradata)
        scan = _h264 if codec == "h264" else _hevc
        return lambda packet: scan(packet, length_bytes, extradata)
    if codec == "mpeg4":
        return lambda packet: _mpeg4(packet, extradata)
    simple: dict[str, Scan] = {"vp8": _vp8, "vp9": _vp9, "av1": _av1}
    return simple.get(codec, _intra if is_intra_only else _unknown)


def _intra(packet: bytes) -> Content:
    return Content(1, is_start=True)


def _unknown(packet: bytes) -> Content:
    return Content(None)


def _length_bytes(codec: str, extradata: bytes) -> int:
    """Bytes of the length before each NAL unit; 0 if start codes separate the units (Annex B)."""
    place = 4 if codec == "h264" else 21
    is_annex_b = len(extradata) <= place or (extradata[0] == 0 and extradata[1] == 0 and extradata[2] <= 1)
    return 0 if is_annex_b else (extradata[place] & 3) + 1


def nal_units(packet: bytes, length_bytes: int) -> Iterator[tuple[int, int]]:
    """Start and end of the NAL units of a packet, without units of fewer than three bytes.

    Args:
        length_bytes: bytes of the length before each unit; 0 if start codes separate them (Annex B).
    """
    place = 0 if length_bytes else packet.find(b"\x00\x00\x01") + 3
    while length_bytes or place > 2:
        if length_bytes:
            start = place + length_bytes
            end = place = start + int.from_bytes(packet[place:start], "big")
            if end > len(packet) or start > len(packet):
                return
        else:
            start, following = place, packet.find(b"\x00\x00\x01", place)
            end, place = following if following >= 0 else len(packet), following + 3
        if end - start > 2:
            yield start, end


def _is_known(unit: bytes, extradata: bytes) -> bool:
    return unit.rstrip(b"\x00") in extradata


def _h264(packet: bytes, length_bytes: int, extradata: bytes) -> Content:
    """One picture per slice that begins at macroblock 0; decoding may start if all slices are of IDR pictures."""
    num_pictures, slices, is_new = 0, set(), False
    for start, end in nal_units(packet, length_bytes):
        kind = packet[start] & 31
        if kind in (1, 2, 5):
            slices.add(kind)
            num_pictures += packet[start + 1] >> 7  # first_mb_in_slice is 0
        elif kind in PICTURE_PARAMETERS["h264"]:
            is_new |= not _is_known(packet[start:end], extradata)
    return Content(1 if num_pictures == 1 else None, slices == {5}, is_new)


def _hevc(packet: bytes, length_bytes: int, extradata: bytes) -> Content:
    """One picture per first slice segment; decoding may start if all slices are of IDR pictures.

    The number of pictures is uncertain if pictures may be left out, or belong to another layer.
    """
    num_pictures, slices, is_new, is_odd, has_layers = 0, set(), False, False, False
    for start, end in nal_units(packet, length_bytes):
        kind = packet[start] >> 1 & 63
        if kind < 32:
            slices.add(kind)
            num_pictures += packet[start + 2] >> 7  # first_slice_segment_in_pic_flag
            has_layers |= packet[start + 1] & 7 != 1
            is_odd |= 16 <= kind < 24 and packet[start + 2] >> 6 & 1 == 1  # earlier pictures are not shown
            is_odd |= bool(packet[start] & 1 or packet[start + 1] >> 3)  # a layer of another view or size
        elif kind in PICTURE_PARAMETERS["hevc"]:
            is_new |= not _is_known(packet[start:end], extradata)
        is_odd |= kind in (16, 17, 18, 36, 37)  # after these, pictures are left out
    is_one = num_pictures == 1 and not is_odd
    return Content(1 if is_one else None, bool(slices) and slices <= {19, 20}, is_new, has_layers)


def _vp8(packet: bytes) -> Content:
    """A frame, which may not be shown; decoding may start at a key frame, which states its size."""
    is_start = packet[0] & 1 == 0 and packet[3:6] == b"\x9d\x01\x2a"
    height, width = (int.from_bytes(packet[at : at + 2], "little") & 0x3FFF for at in (8, 6))
    return Content(packet[0] >> 4 & 1, is_start, sizes=frozenset({(height, width)} if is_start else ()))


def _vp9(packet: bytes) -> Content:
    """The frames of a superframe, of which at most one may be shown; decoding may start if the first is a key frame."""
    num_shown, is_start, sizes = 0, False, set()
    for number, start in enumerate(_vp9_frames(packet)):
        first = packet[start]
        if first >> 6 != 2:
            return Content(None)
        place = 3 if first >> 4 & 3 != 3 else 2
        is_shown_again = first >> place & 1 == 1
        num_shown += is_shown_again or first >> place - 2 & 1 == 1
        is_start |= number == 0 and not is_shown_again and first >> place - 1 & 1 == 0
        sizes.add(_vp9_size(packet[start : start + 16]))
    return Content(num_shown if num_shown < 2 else None, is_start, sizes=frozenset(size for size in sizes if size))


def _vp9_size(header: bytes) -> tuple[int, int] | None:
    """Height and width that a frame of profile 0 sets; None if it takes them from another frame."""
    value, first = int.from_bytes(header.ljust(16, b"\x00"), "big"), header[0]

    def bits(place: int, number: int) -> int:
        return value >> 128 - place - number & (1 << number) - 1

    if first >> 3 & 7:  # another profile, or a frame that is shown again
        return None
    is_key, is_shown, is_resilient = first & 4 == 0, first >> 1 & 1, first & 1
    place = 8 + (not is_shown) + 2 * (not is_resilient)
    if is_key:
        place = 36  # after the start code and the colours
    elif not is_shown and bits(8, 1):  # intra only: after the start code and the flags of what it refreshes
        place += 32
    elif bits(place + 20, 3):  # it has the size of one of its three references
        return None
    else:
        place += 23
    return bits(place + 16, 16) + 1, bits(place, 16) + 1


def _vp9_frames(packet: bytes) -> Iterator[int]:
    """Offsets of the frames in a packet: of one frame, or of those of a superframe, which has an index at its end."""
    marker = packet[-1]
    num_frames, size_bytes = (marker & 7) + 1, (marker >> 3 & 3) + 1
    index = len(packet) - 2 - num_frames * size_bytes
    if marker >> 5 != 6 or index < 0 or packet[index] != marker:
        yield 0
        return
    start = 0
    for number in range(num_frames):
        place = index + 1 + number * size_bytes
        if start < index:
            yield start
        start += int.from_bytes(packet[place : place + size_bytes], "little")


def _av1(packet: bytes) -> Content:
    """The frames of a temporal unit; decoding may start if it has a sequence header and shows a key frame first."""
    num_shown, is_key, has_sequence, place = 0, False, False, 0
    while place < len(packet):
        kind, has_extension, has_size = packet[place] >> 3 & 15, packet[place] >> 2 & 1, packet[place] >> 1 & 1
        place += 1 + has_extension
        size, place = _leb128(packet, place) if has_size else (len(packet), place)
        if place >= len(packet):
            break
        first = packet[place]
        if kind == 1:  # sequence header
            has_sequence = True
            if first >> 3 & 1:  # reduced_still_picture_header: frame headers have another form
                return Content(None)
        if kind in (3, 6):  # frame header; frame
            is_shown = first >> 7 == 1 or first >> 4 & 1 == 1
            is_key |= num_shown == 0 and first >> 7 == 0 and first >> 5 & 3 == 0 and is_shown
            num_shown += is_shown
        place += size
    return Content(num_shown if num_shown < 2 else None, is_key and has_sequence)


def _leb128(packet: bytes, place: int) -> tuple[int, int]:
    value = 0
    for number, byte in enumerate(packet[place : place + 8]):
        value |= (byte & 127) << 7 * number
        if byte < 128:
            return value, place + number + 1
    return len(packet), len(packet)


def _mpeg4(packet: bytes, extradata: bytes) -> Content:
    """One intra (0) or predicted (1) VOP; decoding may start at an intra VOP.  B-VOPs (2) are not counted."""
    vop = packet.find(VOP)
    kind = packet[vop + 4] >> 6 if 0 <= vop < len(packet) - 4 else None
    if kind in (None, 2) or len(packet) < MIN_VOP_BYTES or packet.find(VOP, vop + 4) >= 0:
        return Content(None)
    headers = [packet[start:end] for start, end in nal_units(packet[:vop], 0)]
    is_new = any(header[0] in VOL and not _is_known(header, extradata) for header in headers)
    return Content(1, kind == 0, is_new)
