"""Counting repetitions: a detector is trained on train and applied to 74 clips of every test video.

The main process trains while the others wait; then the processes share the blocks of videos to count.  Neither the
blocks nor the result depend on the number of processes.  Counts of finished blocks are kept in the folder
of the evaluation, so that an interrupted evaluation continues after them.

Shapes: S videos of the test split.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from sigma_bench.data.manifest import Split
from sigma_bench.metrics.counting import NO_COUNT, best_constant, counting_error
from sigma_bench.protocols.classification import groups_of
from sigma_bench.protocols.counting.frames import AnnotatedFrames, clips_of, frame_slots
from sigma_bench.protocols.counting.inference import Predict, Prediction, count_repetitions
from sigma_bench.protocols.counting.network import CycleDetector, frames_per_half, image_size, make_detector
from sigma_bench.protocols.counting.segments import cycles_of, draw_segments
from sigma_bench.protocols.counting.spec import CountingProtocol
from sigma_bench.protocols.counting.training import DetectorTraining, probabilities
from sigma_bench.protocols.interface import Evaluation, Predictions, require_readable
from sigma_bench.protocols.kept_arrays import KeptArrays
from sigma_bench.specs.encoder_card import EncoderCard
from sigma_bench.specs.fingerprint import digest, task_fingerprint
from sigma_bench.training.distribution import Processes
from sigma_bench.training.processes import on_all, on_main, shared
from sigma_bench.training.resume import STATE_NAME

BLOCK_VIDEOS = 16
"""Number of videos that are counted together."""
BATCH_CLIPS = 64
"""Number of clips that are encoded together."""


def run(evaluation: Evaluation[CountingProtocol]) -> Predictions | None:
    """Train a detector and count.

    Raises:
        ValueError: the encoder does not fit or cannot be trained, or videos cannot be read and the protocol does not
            count them as wrong.
    """
    protocol, (train, test) = evaluation.protocol, evaluation.splits
    controls, length_S = constant_controls(train, test), video_lengths(test)
    detector = make_detector(evaluation.encoder, protocol, evaluation.seed, evaluation.processes.device)
    size = image_size(evaluation.encoder.card, protocol)
    train_frames, test_frames = (AnnotatedFrames(split.samples, size) for split in (train, test))
    train_failures = _failures(train, train_frames, protocol, evaluation.processes)
    test_failures = _failures(test, test_frames, protocol, evaluation.processes)
    videos = [video for video in range(len(train.samples)) if video not in train_failures]
    folder = evaluation.folder / digest(videos)[:16]  # training starts again if the videos that decode have changed
    _train(evaluation, detector, protocol, train, videos, train_frames, folder)
    predicted_S = _count(evaluation, detector, protocol, test_frames, length_S, test_failures, folder)
    if not evaluation.processes.is_main:
        return None
    named = [(split, found) for split, found in ((train, train_failures), (test, test_failures))]
    failures = {split.samples[video].id: reason for split, found in named for video, reason in found.items()}
    arrays = {
        "ids": np.array(test.ids),
        "groups": groups_of(test),
        "truth": repetition_counts(test),
        "predicted": predicted_S,
    }
    return Predictions(arrays, len(test.samples), failures, controls=controls)


def repetition_counts(split: Split) -> np.ndarray:
    """Number of repetitions of every sample, (S,)."""
    return np.array([cycles.count for cycles in cycles_of(split)])


def video_lengths(split: Split) -> np.ndarray:
    """Number of annotated frames of every sample, (S,)."""
    return np.array([cycles.bounds[-1] - cycles.bounds[0] + 1 for cycles in cycles_of(split)])


def constant_controls(train: Split, test: Split) -> dict[str, float]:
    """Errors on test of three predictions that use no frame.

    These are one count for all videos, the best on train or the best on test, and the length of a video divided by the
    mean cycle length of train.
    """
    truth_S, train_count = repetition_counts(test), repetition_counts(train)
    mean_cycle = (video_lengths(train) - 1).sum() / train_count.sum()
    return {
        "error_of_count_chosen_on_train": counting_error(truth_S, np.full_like(truth_S, best_constant(train_count))),
        "error_of_count_chosen_on_test": counting_error(truth_S, np.full_like(truth_S, best_constant(truth_S))),
        "error_of_mean_cycle_of_train": counting_error(truth_S, np.round((video_lengths(test) - 1) / mean_cycle)),
    }


def _failures(
    split: Split, frames: AnnotatedFrames, protocol: CountingProtocol, processes: Processes
) -> dict[int, str]:
    """Index -> reason for the videos of a split that cannot be read; ValueError as ``require_readable``."""
    found: dict[int, str] = on_main(processes, frames.failures)
    reasons = {split.samples[index].id: reason for index, reason in found.items()}
    require_readable(reasons, protocol, f"videos of {split.name}")
    return found


def _train(
    evaluation: Evaluation[CountingProtocol],
    detector: CycleDetector,
    protocol: CountingProtocol,
    train: Split,
    videos: list[int],
    frames: AnnotatedFrames,
    folder: Path,
) -> None:
    """Train on the main process unless the training is finished; all processes load the weights."""
    how, processes = protocol.training, evaluation.processes
    segments = draw_segments(train, videos, how.segments_per_video, how.max_segment_frames, evaluation.seed)
    card, seed = evaluation.encoder.card, evaluation.seed
    identity = digest([task_fingerprint(evaluation.task), card.identity, train.sha256, seed])
    path = folder / STATE_NAME
    training = DetectorTraining(detector, card, protocol, path, identity=identity, seed=seed)

    def train_or_wait() -> None:
        if not processes.is_main:
            while not processes.any(False):
                pass
            return
        try:
            for done, total in training.run(segments, frames, num_workers=evaluation.cache.num_workers):
                evaluation.report("training", done, total)
                # The others wait at this collective operation, which would time out if it came only at the end.
                processes.any(False)
        finally:
            processes.any(True)

    on_all(processes, train_or_wait)
    training.load()


def _count(
    evaluation: Evaluation[CountingProtocol],
    detector: CycleDetector,
    protocol: CountingProtocol,
    frames: AnnotatedFrames,
    length_S: np.ndarray,
    failures: Mapping[int, str],
    folder: Path,
) -> np.ndarray:
    """Counts of all videos, (S,); ``NO_COUNT`` for videos that do not decode.  The processes share the blocks."""
    detector.eval()
    kept = KeptArrays(folder / "counts")
    usable = [video for video in range(len(frames)) if video not in failures]
    blocks = [usable[start : start + BLOCK_VIDEOS] for start in range(0, len(usable), BLOCK_VIDEOS)]

    def computed(block: list[int]) -> dict[str, np.ndarray]:
        shown = [frames[video].to(evaluation.processes.device) for video in block]
        predict = _predictor(detector, shown, protocol, evaluation.encoder.card)
        return {"count": count_repetitions(length_S[block], predict, protocol)}

    def counts(block: list[int]) -> list[int]:
        return kept.get(block, lambda: computed(block))["count"].tolist()

    counted = shared(
        evaluation.processes, blocks, counts, lambda done, total: evaluation.report("counting", done, total)
    )
    count_S = np.full(len(frames), NO_COUNT)
    count_S[usable] = [count for block in counted for count in block]
    return count_S


def _predictor(
    detector: CycleDetector, shown: Sequence[Tensor], protocol: CountingProtocol, card: EncoderCard
) -> Predict:
    """A function from states of these videos to the outputs of the trained heads."""
    half = frames_per_half(card, protocol)

    @torch.inference_mode()
    def predict(video_S: np.ndarray, state_S3: np.ndarray) -> Prediction:
        slot_SF = frame_slots(state_S3, half, protocol.context_cycles)
        parts = []
        for start in range(0, len(video_S), BATCH_CLIPS):
            rows = slice(start, start + BATCH_CLIPS)
            clip = clips_of([shown[video] for video in video_S[rows]], slot_SF[rows], card, protocol.padding)
            parts.append(probabilities(*detector(clip)))
        return Prediction(*(np.concatenate(part) for part in zip(*parts, strict=True)))

    return predict
