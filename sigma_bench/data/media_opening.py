"""Opening the medium of a sample: a video, an image, or a folder of frames.

Frames are never substituted: a file that does not contain the requested frames raises ``DecodeError`` with its path.
"""

from sigma_bench.data.cifar import read_cifar
from sigma_bench.data.decoder import DecodeError, Decoder
from sigma_bench.data.images import FrameFolderDecoder, StillDecoder, read_image
from sigma_bench.data.manifest import Sample
from sigma_bench.data.video import open_video

FRAMES_AT_ONCE = 64
"""Number of frames held in memory when a whole video is read."""


def decodes(sample: Sample) -> bool:
    """Whether all frames of a sample can be read."""
    try:
        decoder = open_media(sample)
        for start in range(0, len(decoder), FRAMES_AT_ONCE):
            decoder.frames(range(start, min(start + FRAMES_AT_ONCE, len(decoder))))
    except DecodeError:
        return False
    return True


def open_media(sample: Sample, *, is_sparse: bool = False) -> Decoder:
    """An open decoder for a sample.

    Args:
        is_sparse: whether only a few frames with gaps between them will be read, see ``open_video``.

    Raises:
        DecodeError: the file is missing or cannot be read.
    """
    if not sample.path.exists():
        raise DecodeError(f"{sample.path}: not found, though the official list names it")
    if sample.media == "video":
        return open_video(sample.path, sample.decoder, is_sparse=is_sparse)
    if sample.media == "frame_folder":
        return FrameFolderDecoder(sample.path)
    if sample.media == "pickled_image":
        return StillDecoder(read_cifar(sample.path)["data"][sample.position].reshape(3, 32, 32).transpose(1, 2, 0))
    return StillDecoder(read_image(sample.path))
