"""Fields and cropping of an H.264 stream from its sequence parameter sets (ITU-T H.264, section 7.3.2.1.1)."""

from typing import NamedTuple

from sigma_bench.data.bitstream import nal_units

CHROMA_PROFILES = (44, 83, 86, 100, 110, 118, 122, 128, 134, 135, 138, 139, 244)
"""Values of ``profile_idc`` whose sequence parameter sets describe the chroma format."""


class PictureLayout(NamedTuple):
    """The coding of the pictures of a stream as far as it decides how they can be read."""

    may_have_fields: bool
    """Whether a picture may be coded as two fields."""
    may_crop_left: bool
    """Whether columns on the left may be cut off."""


def picture_layout(extradata: bytes) -> PictureLayout:
    """The layout of the pictures of a stream; both fields are true if the parameter sets cannot be read.

    Args:
        extradata: an ``avcC`` box, or parameter sets after start codes.
    """
    is_box = extradata[:1] == b"\x01" and len(extradata) > 6
    sets_only, length_bytes = (extradata[6:], 2) if is_box else (extradata, 0)
    units = [sets_only[start:end] for start, end in nal_units(sets_only, length_bytes)]
    sets = units[: extradata[5] & 31] if is_box else [unit for unit in units if unit[0] & 31 == 7]
    try:
        layouts = [_layout(parameters) for parameters in sets]
    except ValueError:
        layouts = []
    if not layouts:
        return PictureLayout(may_have_fields=True, may_crop_left=True)
    fields, crops = zip(*layouts, strict=True)
    return PictureLayout(any(fields), any(crops))


class _Bits:
    """Reads the bits of a NAL unit, most significant first; ValueError at its end."""

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


def _layout(unit: bytes) -> PictureLayout:
    """The layout that one sequence parameter set describes."""
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
    has_frames_only = bits.take(1) == 1
    bits.take(1 if has_frames_only else 2)
    is_cropped = bits.take(1) == 1
    return PictureLayout(not has_frames_only, is_cropped and bits.exp_golomb() > 0)


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
