"""What one packet of a compressed video holds, read from its first bytes without decoding it.

Two questions are answered: how many pictures the packet shows, and whether decoding may start at it.  Decoding may start
at a picture that resets the decoder: IDR in H.264 (ITU-T H.264, table 7-1) and HEVC (ITU-T H.265, table 7-1), a key frame
in VP8 (RFC 6386, section 9.1), VP9 (bitstream specification, section 6.2) and AV1 (bitstream specification, section 5.9.2),
an intra VOP of an MPEG-4 stream without B-VOPs (ISO/IEC 14496-2, section 6.2.5).  A recovery point, which containers flag as
a key frame too, is no such picture: with an open GOP the pictures shown before it, with intra refresh those after it,
need earlier ones.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

PICTURE_PARAMETERS = {"h264": (7, 8), "hevc": (32, 33, 34)}
"""NAL unit types of parameter sets, by codec."""
CHROMA_PROFILES = (44, 83, 86, 100, 110, 118, 122, 128, 134, 135, 138, 139, 244)
"""Values of ``profile_idc`` whose sequence parameter sets describe the chroma format."""
VOP, VOL = b"\x00\x00\x01\xb6", range(0x20, 0x30)
"""MPEG-4: the start code of a picture, and the last byte of the start codes of a layer's header."""
MIN_VOP_BYTES = 12
"""A shorter MPEG-4 packet may stand for a picture that is not coded, or that another packet holds."""


class Content(NamedTuple):
    """What a packet holds."""

    num_shown: int | None
    """Number of pictures that decoding it adds to the video; None where that is not certain."""
    is_start: bool = False
    """Whether its picture and all later packets are decoded without any earlier packet."""
    has_new_parameters: bool = False
    """Whether it changes parameters that later packets need."""
    has_layers: bool = False
    """Whether its picture belongs to a higher temporal layer."""


Scan = Callable[[bytes], Content]


def scanner(codec: str, extradata: bytes, *, is_intra_only: bool) -> Scan:
    """The function that looks into the packets of a stream.

    Args:
        codec: FFmpeg's name of the codec.
        extradata: decoder configuration as the container holds it; empty where there is none.
        is_intra_only: every picture of this codec is coded by itself.
    """
    if codec in ("h264", "hevc"):
        length_bytes = _length_bytes(codec, extradata)
        scan = _h264 if codec == "h264" else _hevc
        return lambda packet: scan(packet, length_bytes, extradata)
    if codec == "mpeg4":
        return lambda packet: _mpeg4(packet, extradata)
    simple: dict[str, Scan] = {"vp8": _vp8, "vp9": _vp9, "av1": _av1}
    return simple.get(codec, _intra if is_intra_only else _unknown)


def may_be_interlaced(codec: str, extradata: bytes) -> bool:
    """Whether an H.264 stream may hold fields; True where its parameters cannot be read, False for other codecs."""
    if codec != "h264":
        return False
    offset = 5 if extradata[:1] == b"\x01" else 0  # the sets of an avcC box have lengths of two bytes
    if offset:
        units = list(_units(extradata[6:], 2))[: extradata[5] & 31 if len(extradata) > 5 else 0]
        sets = [extradata[6 + start : 6 + end] for start, end in units]
    else:
        sets = [extradata[start:end] for start, end in _units(extradata, 0) if extradata[start] & 31 == 7]
    try:
        return not sets or not all(_has_frames_only(parameters) for parameters in sets)
    except ValueError:
        return True


def _intra(packet: bytes) -> Content:
    return Content(1, is_start=True)


def _unknown(packet: bytes) -> Content:
    return Content(None)


def _length_bytes(codec: str, extradata: bytes) -> int:
    """Bytes of the length before each NAL unit; 0 where start codes separate the units (Annex B)."""
    place = 4 if codec == "h264" else 21
    is_annex_b = len(extradata) <= place or (extradata[0] == 0 and extradata[1] == 0 and extradata[2] <= 1)
    return 0 if is_annex_b else (extradata[place] & 3) + 1


def _units(packet: bytes, length_bytes: int) -> Iterator[tuple[int, int]]:
    """Start and end of the NAL units of a packet that have a header and a first byte."""
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
    num_pictures, slices, is_new = 0, set(), False
    for start, end in _units(packet, length_bytes):
        kind = packet[start] & 31
        if kind in (1, 2, 5):
            slices.add(kind)
            num_pictures += packet[start + 1] >> 7  # first_mb_in_slice is 0
        elif kind in PICTURE_PARAMETERS["h264"]:
            is_new |= not _is_known(packet[start:end], extradata)
    return Content(1 if num_pictures == 1 else None, slices == {5}, is_new)


def _hevc(packet: bytes, length_bytes: int, extradata: bytes) -> Content:
    num_pictures, slices, is_new, is_odd, has_layers = 0, set(), False, False, False
    for start, end in _units(packet, length_bytes):
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
    is_key = packet[0] & 1 == 0
    return Content(packet[0] >> 4 & 1, is_key and packet[3:6] == b"\x9d\x01\x2a")


def _vp9(packet: bytes) -> Content:
    num_shown, is_start = 0, False
    for number, start in enumerate(_vp9_frames(packet)):
        first = packet[start]
        if first >> 6 != 2:
            return Content(None)
        place = 3 if first >> 4 & 3 != 3 else 2
        is_shown_again = first >> place & 1 == 1
        num_shown += is_shown_again or first >> place - 2 & 1 == 1
        is_start |= number == 0 and not is_shown_again and first >> place - 1 & 1 == 0
    return Content(num_shown if num_shown < 2 else None, is_start)


def _vp9_frames(packet: bytes) -> Iterator[int]:
    """Where the frames of a packet begin: one, or those of a superframe, whose index is at the end."""
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
            if first >> 3 & 1:  # reduced_still_picture_header: frame headers are others
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
    vop = packet.find(VOP)
    kind = packet[vop + 4] >> 6 if 0 <= vop < len(packet) - 4 else None
    if kind in (None, 2) or len(packet) < MIN_VOP_BYTES or packet.find(VOP, vop + 4) >= 0:
        return Content(None)
    is_new = any(
        packet[start] in VOL and not _is_known(packet[start:end], extradata) for start, end in _units(packet[:vop], 0)
    )
    return Content(1, kind == 0, is_new)


class _Bits:
    """Bits of a NAL unit, most significant first; ValueError past its end."""

    def __init__(self, unit: bytes) -> None:
        payload = unit.replace(b"\x00\x00\x03", b"\x00\x00")
        self._value, self._left = int.from_bytes(payload, "big"), 8 * len(payload)

    def take(self, number: int) -> int:
        self._left -= number
        if self._left < 0:
            raise ValueError("the unit ends early")
        return self._value >> self._left & (1 << number) - 1

    def exp_golomb(self) -> int:
        num_zeros = 0
        while not self.take(1):
            num_zeros += 1
        return (1 << num_zeros) - 1 + self.take(num_zeros)

    def signed(self) -> int:
        code = self.exp_golomb()
        return (code + 1) // 2 if code % 2 else -(code // 2)


def _has_frames_only(unit: bytes) -> bool:
    """``frame_mbs_only_flag`` of a sequence parameter set (ITU-T H.264, section 7.3.2.1.1)."""
    bits = _Bits(unit[:256])
    bits.take(8)
    profile = bits.take(8)
    bits.take(16)
    bits.exp_golomb()
    if profile in CHROMA_PROFILES:
        _skip_chroma(bits)
    bits.exp_golomb()  # log2_max_frame_num_minus4
    order = bits.exp_golomb()
    if order == 0:
        bits.exp_golomb()
    elif order == 1:
        bits.take(1)
        bits.exp_golomb(), bits.exp_golomb()
        for _ in range(bits.exp_golomb()):
            bits.exp_golomb()
    bits.exp_golomb()  # max_num_ref_frames
    bits.take(1)
    bits.exp_golomb(), bits.exp_golomb()  # width, height
    return bits.take(1) == 1


def _skip_chroma(bits: _Bits) -> None:
    is_444 = bits.exp_golomb() == 3
    bits.take(1 if is_444 else 0)
    bits.exp_golomb(), bits.exp_golomb()  # bit depths
    bits.take(1)
    if not bits.take(1):
        return
    for number in range(12 if is_444 else 8):
        scale, following = 8, 8
        for _ in range((16 if number < 6 else 64) if bits.take(1) else 0):
            if following:
                following = (scale + bits.signed()) % 256
            scale = following or scale
