"""Transcoding a dataset for training: videos with small frames and dense key frames, from which clips are read faster.

The result is another data root with the same lists and names, but other pixels.  A file in the folder of the dataset
states the settings, and the data source is ``transcoded``, so tables separate its scores from those of the official
files.  The result of custom data is a folder with a CSV of another name, and so a dataset of another name.

Shapes: T frames, H W pixels, C colours.
"""

import csv
import io
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np

from sigma_bench.data.data_files import walk
from sigma_bench.data.decoder import DecodeError
from sigma_bench.data.manifest import TRANSCODED_MARKER, Manifest, Sample
from sigma_bench.data.media_opening import FRAMES_AT_ONCE, open_media
from sigma_bench.data.transforms import channels_first, resize
from sigma_bench.records import provenance
from sigma_bench.records.store import write_atomically

LIST_SUFFIXES = (".txt", ".csv", ".json")
"""Suffixes, in lower case, of the files that are copied unchanged."""
H264_CONTAINERS = (".mp4", ".avi", ".mkv", ".mov", ".m4v")
"""Suffixes that stay as they are; others become .mp4, which readers accept in place of any listed suffix."""


class Transcoding(NamedTuple):
    """Settings of the transcoded videos, which are H.264 without B-frames and without sound."""

    short_side: int
    """Largest length of the short side in pixels; smaller videos keep their size."""
    keyframe_every: int
    """Number of frames from one key frame to the next."""
    crf: int
    """Constant rate factor of x264: 0 is lossless, the loss at 18 is hardly visible, and 51 is the worst quality."""


def transcode(
    manifest: Manifest, source: Path, target: Path, how: Transcoding, *, num_workers: int
) -> Iterator[tuple[str, str | None]]:
    """Write the videos of a manifest below ``target``, and yield the id of each and the error message if it failed.

    Existing videos are kept, so an interrupted run can be continued.  Lists are copied first; for custom data, a CSV is
    written, see ``custom_csv``.

    Args:
        source: folder of the dataset, which contains all files of the manifest.
        target: new folder of the dataset.

    Raises:
        ValueError: the manifest contains something other than videos or, for custom data, something other than classes,
            ``target`` was transcoded with other settings or contains other files, or two videos would have one name.
    """
    samples = {sample.path: sample for split in manifest.splits.values() for sample in split.samples}
    places = {path: Path(os.path.relpath(path, source)) for path in samples}
    outside = next((path for path, place in places.items() if place.parts[0] == ".."), None)
    if outside is not None:
        raise ValueError(f"{outside}: is not below {source}, so it cannot be copied to the new folder")
    if any(sample.media != "video" for sample in samples.values()):
        raise ValueError(f"{source}: {manifest.dataset} does not consist of video files; there is nothing to transcode")
    paths = {path: _renamed(target / place) for path, place in places.items()}
    _require_distinct(paths)
    _begin(target, how)
    if manifest.data_source == "user":
        _write_csv(manifest, paths, custom_csv(manifest, target))
    else:
        _copy_lists(source, target)
    failed: dict[str, str] = {}
    with ProcessPoolExecutor(num_workers) as pool:
        id_of = {pool.submit(write_transcoded, sample, paths[path], how): sample.id for path, sample in samples.items()}
        for future in as_completed(id_of):
            reason = future.result()
            if reason is not None:
                failed[id_of[future]] = reason
            yield id_of[future], reason
    _write_note(target, how, failed)


def custom_csv(manifest: Manifest, target: Path) -> Path:
    """Path of the CSV of transcoded custom data."""
    return target / f"{manifest.dataset}_transcoded.csv"


def common_folder(manifest: Manifest) -> Path:
    """The folder that contains all files of custom data: that of the CSV or tree, if possible."""
    assert manifest.ledger is not None
    home = manifest.ledger.folder
    samples = [sample for split in manifest.splits.values() for sample in split.samples]
    common = os.path.commonpath({_without_dots(sample.path.parent) for sample in samples})
    return home if Path(common).is_relative_to(_without_dots(home)) else Path(common)


def _without_dots(path: Path) -> str:
    """An absolute path without ``..``, which would lead out of the folder of the copy; links are not followed."""
    return os.path.abspath(path)  # noqa: PTH100 (``Path.resolve`` follows links)


def _write_csv(manifest: Manifest, paths: Mapping[Path, Path], file: Path) -> None:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("path", "label", "split", "group"))
    for split in manifest.splits.values():
        for sample in split.samples:
            if sample.label is None or manifest.classes is None:
                raise ValueError(f"{sample.path}: has no single class; only classified videos can be transcoded")
            place = paths[sample.path].relative_to(file.parent).as_posix()
            writer.writerow((place, manifest.classes[sample.label], split.name, sample.group))
    write_atomically(file, text.getvalue().encode())


def _require_distinct(paths: Mapping[Path, Path]) -> None:
    """ValueError if two videos would have one name, because their suffixes become .mp4."""
    first_of: dict[Path, Path] = {}
    for path, copy in paths.items():
        if (first := first_of.setdefault(copy, path)) != path:
            raise ValueError(f"{first} and {path} would both become {copy.name}; rename one of them")


def write_transcoded(sample: Sample, path: Path, how: Transcoding) -> str | None:
    """Write one video completely or not at all; returns the error message if it cannot be read."""
    if path.exists():
        return None
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".partial-{path.name}")
    try:
        _encode(sample, partial, how)
    except DecodeError as error:
        partial.unlink(missing_ok=True)
        return str(error)
    partial.replace(path)
    return None


def _encode(sample: Sample, path: Path, how: Transcoding) -> None:
    decoder = open_media(sample)
    with av.open(str(path), "w") as container:
        stream = None
        for first in range(0, len(decoder), FRAMES_AT_ONCE):
            indices = range(first, min(first + FRAMES_AT_ONCE, len(decoder)))
            frame_THWC = _reduced(decoder.frames(indices), how.short_side)
            if stream is None:
                options = {"crf": str(how.crf), "g": str(how.keyframe_every), "bf": "0", "preset": "veryfast"}
                stream = container.add_stream("libx264", rate=_rate(sample.path), options=options)
                stream.height, stream.width = frame_THWC.shape[1:3]
                stream.pix_fmt = "yuv420p"
                stream.codec_context.thread_count = 1  # several files are written in parallel
            for frame_HWC in frame_THWC:
                container.mux(stream.encode(av.VideoFrame.from_ndarray(frame_HWC, format="rgb24")))
        if stream is not None:
            container.mux(stream.encode())


def _reduced(frame_THWC: np.ndarray, short_side: int) -> np.ndarray:
    """Frames resized so that the short side has at most that many pixels and both sides are even, as 4:2:0 requires."""
    height, width = frame_THWC.shape[1:3]
    scale = min(1.0, short_side / min(height, width))
    target = [max(2, 2 * round(side * scale / 2)) for side in (height, width)]
    frame_TCHW = resize(channels_first(frame_THWC), target)
    return np.ascontiguousarray(frame_TCHW.permute(0, 2, 3, 1).numpy())


def _rate(path: Path) -> Fraction:
    with av.open(str(path)) as container:
        rate = container.streams.video[0].average_rate
    return rate or Fraction(25)


def _renamed(path: Path) -> Path:
    return path if path.suffix.lower() in H264_CONTAINERS else path.with_suffix(".mp4")


def _begin(target: Path, how: Transcoding) -> None:
    """Write the note with the settings, which marks the folder as transcoded from the start."""
    note = target / TRANSCODED_MARKER
    if note.exists() and json.loads(note.read_text())["how"] != how._asdict():
        raise ValueError(f"{target}: contains videos transcoded with other settings ({note}); choose another folder")
    if not note.exists() and target.is_dir() and any(target.iterdir()):
        raise ValueError(f"{target}: contains files that were not transcoded here; choose an empty folder for the copy")
    _write_note(target, how, None)


def _copy_lists(source: Path, target: Path) -> None:
    for path in walk(source):
        copy = target / path.relative_to(source)
        if (
            path.is_file()
            and path.suffix.lower() in LIST_SUFFIXES
            and path.name != TRANSCODED_MARKER
            and not copy.exists()
        ):
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, copy)


def _write_note(target: Path, how: Transcoding, failed: dict[str, str] | None) -> None:
    content = {"how": how._asdict(), "versions": provenance.versions(), "finished": failed is not None}
    write_atomically(target / TRANSCODED_MARKER, json.dumps({**content, "failed": failed or {}}, indent=1).encode())
