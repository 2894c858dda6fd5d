"""Contact sheets: a picture of some samples with their labels, to check by eye what the reader returns.

Shapes: T frames, H W pixels.
"""

from collections.abc import Iterator, Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from sigma_bench.data.annotations import ActionIntervals, CycleBounds, ObjectCategories, VideoLabels
from sigma_bench.data.decoder import DecodeError
from sigma_bench.data.manifest import Manifest, Sample
from sigma_bench.data.media_opening import open_media
from sigma_bench.data.sequences import MaskedSequence
from sigma_bench.data.transforms import squash
from sigma_bench.palette import tint
from sigma_bench.specs.untrusted import one_line

CELL = 112
"""Side of a frame on the sheet in pixels; frames are resized to a square."""
GAP = 2
"""Pixels between frames."""
LINE = 18
"""Height of a line of text in pixels."""
MASK_OPACITY = 0.5


def draw_samples(samples: Sequence[Sample], num: int, seed: int) -> list[Sample]:
    """``num`` samples drawn with equal probability, in the order of the list."""
    chosen = np.random.default_rng(seed).choice(len(samples), size=min(num, len(samples)), replace=False)
    return [samples[index] for index in sorted(chosen)]


def contact_sheet(samples: Sequence[Sample], manifest: Manifest, num_frames: int) -> Image.Image:
    """A picture with one row per sample: a line of text, and below it evenly spaced frames with their masks.

    The row of a sample that cannot be read shows the error message instead of frames.
    """
    sheet = Image.new("RGB", (num_frames * (CELL + GAP), len(samples) * (CELL + LINE)), "white")
    pen = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(11)
    for row, sample in enumerate(samples):
        top = row * (CELL + LINE)
        pen.text((2, top + 2), one_line(f"{sample.id}: {description(sample, manifest)}"), "black", font)
        try:
            for column, frame_HWC in enumerate(_frames(sample, num_frames)):
                sheet.paste(Image.fromarray(frame_HWC), (column * (CELL + GAP), top + LINE))
        except DecodeError as error:
            pen.text((2, top + LINE + 2), one_line(str(error)), "red", font)
    return sheet


def description(sample: Sample, manifest: Manifest) -> str:
    """The label of a sample in words: a class, actions in time, repetitions, or categories of objects."""
    names = manifest.classes or ()
    if sample.label is not None:
        return names[sample.label] if names else str(sample.label)
    match sample.annotation:
        case ActionIntervals(intervals):
            return "; ".join(f"{_name(names, action)} {start:g} to {end:g} s" for action, start, end in intervals)
        case VideoLabels(labels):
            return "; ".join(_name(names, label) for label in labels) or "no label"
        case CycleBounds():
            return f"{sample.annotation.count} repetitions"
        case ObjectCategories(categories):
            return ", ".join(f"object {number} {_name(names, category - 1)}" for number, category in categories)
    return "masks" if sample.mask_folder else "no label"


def _name(names: Sequence[str], number: int) -> str:
    return names[number] if number < len(names) else str(number)


def _frames(sample: Sample, num_frames: int) -> Iterator[np.ndarray]:
    if sample.mask_folder is None:
        decoder = open_media(sample)
        yield from squash(decoder.frames(_spread(len(decoder), num_frames)), CELL).permute(0, 2, 3, 1).numpy()
        return
    sequence = MaskedSequence(sample)
    frame_TCHW, mask_THW = sequence.read(_spread(len(sequence), num_frames), CELL)
    yield from tint(frame_TCHW.permute(0, 2, 3, 1).numpy(), mask_THW.astype(np.uint8), MASK_OPACITY)


def _spread(length: int, number: int) -> list[int]:
    return np.linspace(0, length - 1, min(number, length)).round().astype(int).tolist()
