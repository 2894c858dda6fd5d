"""Segmentation overlays for the report: frames, ground truth, and every model's clusters, from stored predictions.

Shapes: T frames, H W pixels.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from sigma_bench.data.catalogue import open_dataset
from sigma_bench.data.sequences import MaskedSequence
from sigma_bench.leaderboard.figures import segmentation_overlay
from sigma_bench.metrics.segmentation import matched_labels
from sigma_bench.records.record import Record
from sigma_bench.records.scoring import METRICS
from sigma_bench.records.store import Store
from sigma_bench.specs.segmentation import SegmentationProtocol

FRAMES_SHOWN = 8


def segmentation_overlays(
    store: Store, records: Mapping[str, Record], data_root: Path, *, num_sequences: int
) -> list[tuple[str, bytes]]:
    """Captions and PNG pictures of the first draw of the first sequences.

    ``records`` are segmentation records of one task, one per row label.  Every cluster wears the colour of the
    object it was matched to.
    """
    if not records:
        return []
    task = next(iter(records.values())).task
    protocol = task.protocol
    assert isinstance(protocol, SegmentationProtocol)
    arrays = {label: store.load_predictions(record.predictions) for label, record in records.items()}
    first = next(iter(arrays.values()))
    samples = {sample.id: sample for sample in open_dataset(task.dataset, data_root).splits["test"].samples}
    pictures = []
    for position in np.arange(0, len(first["ids"]), protocol.num_draws)[:num_sequences]:
        shown = np.linspace(0, protocol.num_frames - 1, FRAMES_SHOWN).astype(int)
        index_T, truth_THW = first["frame_index"][position], first["truth"][position]
        sequence = str(first["groups"][position])
        frame_TCHW = MaskedSequence(samples[sequence]).read(index_T.tolist(), truth_THW.shape[-1])[0]
        matched = {
            f"{label} {100 * METRICS['miou'].statistic(content, np.array([position])):.0f}": matched_clip(
                content, position, protocol
            )[shown]
            for label, content in arrays.items()
        }
        frame_THWC = frame_TCHW.permute(0, 2, 3, 1).numpy()[shown]
        caption = f"{task.task}, sequence {sequence}: mIoU of this clip behind each model's name"
        pictures.append((caption, segmentation_overlay(frame_THWC, truth_THW[shown], matched)))
    return pictures


def matched_clip(stored: Mapping[str, np.ndarray], position: int, protocol: SegmentationProtocol) -> np.ndarray:
    """The object every pixel's cluster was matched to in one stored clip, (T, H, W) uint8, by the protocol's own rule.

    A cluster that was matched to nothing is void.
    """
    truth_THW, cluster_THW = stored["truth"][position], stored["clusters"][position]
    if protocol.pool == "clip":
        return matched_labels(truth_THW, cluster_THW, protocol.matching)
    if protocol.pool == "frame":
        pairs = zip(truth_THW, cluster_THW, strict=True)
        return np.stack([matched_labels(truth, cluster, protocol.matching) for truth, cluster in pairs])
    of_draw = stored["repetition"] == stored["repetition"][position]
    matched_STHW = matched_labels(stored["truth"][of_draw], stored["clusters"][of_draw], protocol.matching)
    return matched_STHW[of_draw[:position].sum()]
