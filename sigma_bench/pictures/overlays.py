"""Pictures of masks for the page: frames, ground truth and the masks of each model, from stored predictions.

Shapes: S sequences, T frames, H W pixels.
"""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from PIL import Image

from sigma_bench.data.datasets import open_dataset
from sigma_bench.data.folds import divided
from sigma_bench.data.identity import identified
from sigma_bench.data.manifest import Sample
from sigma_bench.data.sequences import MaskedSequence
from sigma_bench.leaderboard.escaping import figure_text
from sigma_bench.leaderboard.figures import saved
from sigma_bench.metrics.segmentation import matched_labels
from sigma_bench.palette import tint
from sigma_bench.protocols.segmentation.spec import SegmentationProtocol
from sigma_bench.records.record import Record
from sigma_bench.records.scoring import Arrays, metrics_of
from sigma_bench.records.store import Store
from sigma_bench.specs.task import ResolvedTask

OPACITY = 0.6
"""Opacity of masks over frames."""
FRAMES_SHOWN = 8
PROPAGATION_SIDE = 160
"""Side of the square frames that propagated masks are drawn on, pixels."""


def overlays_of(
    store: Store, records: Iterable[Record], data_root: Path, names: Mapping[str, str]
) -> list[tuple[str, bytes]]:
    """Captions and PNG pictures of segmentation and propagation, with two sequences per task.

    Models of the first pretraining seed are shown in one picture if they share protocol and evaluation seed.  Records
    whose predictions are reduced have no masks and are not shown.

    Args:
        names: by the id of a record, the name of its model in tables; the name in the record for others.

    Raises:
        ValueError: as ``segmentation_overlays``.
    """
    by_task: dict[tuple[str, str, int], dict[str, Record]] = {}
    for record in records:
        has_masks = record.task.protocol.kind in PICTURES and not store.has_reduced_only(record.predictions)
        if has_masks and record.model.pretraining_seed in (0, None):
            key = (record.task.task, record.fingerprint, record.seed)
            by_task.setdefault(key, {})[names.get(record.id, record.model.model)] = record
    return [
        picture
        for of_task in by_task.values()
        for picture in segmentation_overlays(store, of_task, data_root, num_sequences=2)
    ]


def segmentation_overlays(
    store: Store, records: Mapping[str, Record], data_root: Path, *, num_sequences: int
) -> list[tuple[str, bytes]]:
    """Captions and PNG pictures of the first sequences (the first draw of each if there are several).

    ``records`` are segmentation or propagation records of one task and seed, one per row label.  Clusters have the
    colours of the objects that they are matched to.

    Raises:
        ValueError: a record was measured on other data than those below ``data_root``.
    """
    task = next(iter(records.values())).task
    manifest = divided(open_dataset(task.dataset, data_root), task.folds)
    scored = task.protocol.splits(manifest.splits.keys(), task.folds)[-1].name
    split = identified(manifest, [manifest.splits[scored]]).splits[scored]
    for label, record in records.items():
        if record.data.splits[scored].manifest_sha256 != split.sha256:
            raise ValueError(
                f"{data_root}: {label} was not measured on the {task.dataset.dataset} that is here; name its data "
                "root, or leave --data out"
            )
    arrays = {label: store.load_predictions(record.predictions) for label, record in records.items()}
    samples = {sample.id: sample for sample in split.samples}
    names = list(dict.fromkeys(_sequences(next(iter(arrays.values()))).tolist()))[:num_sequences]
    draw = PICTURES[task.protocol.kind]
    return [draw(task, samples[name], arrays) for name in names]


def matched_clip(stored: Arrays, position: int, protocol: SegmentationProtocol) -> np.ndarray:
    """The object every pixel's cluster was matched to in one stored clip, (T, H, W) uint8, by the protocol's own rule.

    A cluster without a match is void.
    """
    truth_THW, cluster_THW = stored["truth"][position], stored["clusters"][position]
    if protocol.pool == "clip":
        return matched_labels(truth_THW, cluster_THW, protocol.matching)
    if protocol.pool == "frame":
        pairs = zip(truth_THW, cluster_THW, strict=True)
        return np.stack([matched_labels(truth, cluster, protocol.matching) for truth, cluster in pairs])
    of_draw = stored["repetition"] == stored["repetition"][position]
    matched_STHW = matched_labels(stored["truth"][of_draw], stored["clusters"][of_draw], protocol.matching)
    return np.asarray(matched_STHW[of_draw[:position].sum()])


def segmentation_overlay(frame_THWC: np.ndarray, truth_THW: np.ndarray, cluster_THW: Mapping[str, np.ndarray]) -> bytes:
    """A PNG picture with frames as columns, and the input, the ground truth and each model as rows.

    Args:
        frame_THWC: uint8 (T, H, W, 3).
        truth_THW: uint8 (T, H, W): 0 is background, which is not tinted, and 255 is void.
        cluster_THW: per model uint8 (T, H, W), numbered like the objects that clusters are matched to; 0 is not tinted.

    Raises:
        ValueError: an array has another type or shape.
    """
    _require_uint8("frames", frame_THWC, (*frame_THWC.shape[:3], 3))
    maps = {"ground truth": truth_THW, **cluster_THW}
    for name, label_THW in maps.items():
        _require_uint8(name, label_THW, frame_THWC.shape[:3])
    pictures = {"input": frame_THWC} | {name: tint(frame_THWC, label, OPACITY) for name, label in maps.items()}
    return saved(lambda: _draw_overlay(pictures), "png", dpi=130)


def _draw_overlay(pictures: Mapping[str, np.ndarray]) -> Figure:
    """One row per name, one column per frame of its (T, H, W, 3) pictures."""
    num_frames, height, width = next(iter(pictures.values())).shape[:3]
    cell_width = 1.5
    size = (cell_width * num_frames + 0.4, (cell_width * height / width + 0.06) * len(pictures))
    tight = ConstrainedLayoutEngine(w_pad=0.02, h_pad=0.02, wspace=0, hspace=0)
    figure = Figure(figsize=size, layout=tight)
    panels = figure.subplots(len(pictures), num_frames, squeeze=False)
    for line, (name, picture_THWC) in zip(panels, pictures.items(), strict=True):
        line[0].set_ylabel(figure_text(name), fontsize=8)
        for panel, picture in zip(line, picture_THWC, strict=True):
            panel.imshow(picture, interpolation="nearest")
            panel.set(xticks=[], yticks=[])
            panel.spines[:].set_visible(False)
    return figure


def _clustered(task: ResolvedTask, sample: Sample, arrays: Mapping[str, Arrays]) -> tuple[str, bytes]:
    protocol: Any = task.protocol
    first = next(iter(arrays.values()))
    position = int(np.flatnonzero(_sequences(first) == sample.id)[0])
    index_T, truth_THW = first["frame_index"][position], first["truth"][position]
    shown = _spread(len(index_T))
    frame_TCHW = MaskedSequence(sample).squashed_frames(index_T[shown].tolist(), truth_THW.shape[-1])
    matched = {
        _labelled(label, task, "miou", content, np.array([position])): matched_clip(content, position, protocol)[shown]
        for label, content in arrays.items()
    }
    caption = f"{task.task}, sequence {sample.id}: mIoU of this clip behind each model's name"
    return caption, segmentation_overlay(frame_TCHW.permute(0, 2, 3, 1).numpy(), truth_THW[shown], matched)


def _propagated(task: ResolvedTask, sample: Sample, arrays: Mapping[str, Arrays]) -> tuple[str, bytes]:
    sequence = MaskedSequence(sample)
    shown = 1 + _spread(len(sequence) - 1)
    frame_TCHW = sequence.squashed_frames(shown.tolist(), PROPAGATION_SIDE)
    found = {
        _labelled(label, task, "jf_mean", content, np.flatnonzero(_sequences(content) == sample.id)): np.stack(
            [_squashed(mask_HW) for mask_HW in content[f"masks/{sample.id}"][shown - 1]]
        )
        for label, content in arrays.items()
    }
    caption = (
        f"{task.task}, sequence {sample.id}: J&F of this sequence behind each model's name; the first frame was given"
    )
    truth_THW = sequence.squashed_masks(shown.tolist(), PROPAGATION_SIDE)
    return caption, segmentation_overlay(frame_TCHW.permute(0, 2, 3, 1).numpy(), truth_THW, found)


def _sequences(stored: Arrays) -> np.ndarray:
    """The sequence of every row, whose id is that of the sequence, then ``#`` or ``/`` and a number."""
    return np.array([re.sub(r"[#/]\d+$", "", name) for name in stored["ids"].tolist()])


def _spread(num_frames: int) -> np.ndarray:
    """Indices of at most ``FRAMES_SHOWN`` frames, evenly spaced."""
    return np.unique(np.linspace(0, num_frames - 1, FRAMES_SHOWN).astype(int))


def _labelled(label: str, task: ResolvedTask, metric: str, stored: Arrays, rows: np.ndarray) -> str:
    of = metrics_of(task.protocol)[metric]
    return f"{label} {100 * of.statistic(of.prepare(stored), rows):.0f}"


def _squashed(mask_HW: np.ndarray) -> np.ndarray:
    square = (PROPAGATION_SIDE, PROPAGATION_SIDE)
    return np.asarray(Image.fromarray(mask_HW).resize(square, Image.Resampling.NEAREST))


def _require_uint8(name: str, array: np.ndarray, shape: tuple[int, ...]) -> None:
    if array.dtype != np.uint8 or array.shape != shape or 0 in shape:
        raise ValueError(f"{name}: expected uint8 of shape {shape}, got {array.dtype} of shape {array.shape}")


PICTURES = {"segmentation": _clustered, "propagation": _propagated}
"""Kinds of protocols whose predictions are drawn over frames."""
