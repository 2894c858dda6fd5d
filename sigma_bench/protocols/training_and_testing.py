"""Training on one set of samples and scoring another: the common part of finetune, multilabel and attentive_online.

Both halves can be resumed from the folder of the evaluation: training from its checkpoints, the test block by block.

Shapes: S samples, V views of a sample, C colours, T frames, H W pixels, L classes.
"""

import json
import logging
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from sigma_bench.data.evaluation_clips import EvaluationClips
from sigma_bench.data.manifest import Sample
from sigma_bench.data.media_opening import decodes
from sigma_bench.data.transforms import normalised_clip
from sigma_bench.data.workers import resolved_workers
from sigma_bench.models.encoder import require_trainable
from sigma_bench.protocols.block_store import ArrayLayout, BlockStore
from sigma_bench.protocols.interface import Evaluation
from sigma_bench.specs.fingerprint import digest, task_fingerprint
from sigma_bench.specs.training_protocol import SupervisedProtocol
from sigma_bench.training.classifier import Classifier
from sigma_bench.training.decoding_failures import FAILURES_NAME
from sigma_bench.training.loop import train
from sigma_bench.training.method import Method
from sigma_bench.training.processes import on_all, on_main
from sigma_bench.training.run_plan import Plan, RunOptions
from sigma_bench.training.supervised import SupervisedMethod, num_micro_batches_of, plan_of_protocol
from sigma_bench.training.targets import Labels
from sigma_bench.training.termination import end_with_parent

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Tested:
    """Scores of the test samples of one fold after one epoch."""

    score_SL: np.ndarray
    """In the order of the test samples; zero for a sample that does not decode."""
    failures: Mapping[str, str]
    """Id of a training or test sample -> why it could not be read."""


def train_and_test(
    evaluation: Evaluation[Any],
    protocol: SupervisedProtocol,
    labels: Labels,
    train_samples: Sequence[Sample],
    test_samples: Sequence[Sample],
    earlier: Sequence[int],
    *,
    fold: str,
    frozen: bool,
) -> list[Tested]:
    """Train on ``train_samples``; score ``test_samples`` after the last epoch and after some earlier ones.

    All processes call this function and share the work.

    Args:
        earlier: numbers of the earlier epochs after which the test samples are scored, in rising order.
        fold: name of the fold's folder below the folder of the evaluation.
        frozen: whether only the new norm and head are trained.

    Returns:
        One element per tested epoch, in rising order.

    Raises:
        ValueError: the encoder cannot be trained, the batch does not divide, training diverges, or too many training
            videos do not decode.
        Preempted: the process received a signal to stop; the state is saved.
    """
    folder = evaluation.folder / fold
    block = max(1, protocol.clips_at_once // protocol.views.num_views)
    layout = {"score": ArrayLayout((labels.num_classes,), "float32")}
    description = {"task": evaluation.task.task, "fold": fold}
    places = {epoch: folder / f"test-{epoch}" for epoch in earlier} | {protocol.optim.epochs: folder / "test"}
    num_samples = len(test_samples)
    stores = {epoch: BlockStore(place, num_samples, block, layout, description) for epoch, place in places.items()}
    card = evaluation.encoder.card
    clips = EvaluationClips(test_samples, protocol.views, num_frames=card.num_frames, image_size=card.image_size)
    # Only the main process checks: another one could already see blocks that have been written in the meantime.
    missing = on_main(
        evaluation.processes, lambda: untested(stores, clips, train_samples, folder, evaluation.task.task)
    )

    def test(epoch: int, classifier: Classifier) -> None:
        if missing.get(epoch):
            # All processes wait here, so that no training state is saved before this test is complete.
            on_all(
                evaluation.processes,
                lambda: _test(evaluation, protocol, labels, classifier, clips, stores[epoch], missing[epoch]),
            )

    if any(missing.values()):
        test(
            protocol.optim.epochs,
            _trained(evaluation, protocol, labels, train_samples, folder, frozen=frozen, after_epoch=test),
        )
    return [_tested(store, test_samples, folder) for store in stores.values()]


def _tested(store: BlockStore, test_samples: Sequence[Sample], folder: Path) -> Tested:
    return Tested(np.array(store.read("score")), unreadable(store, test_samples, folder))


def unreadable(store: BlockStore, test_samples: Sequence[Sample], folder: Path) -> dict[str, str]:
    """Training and test samples that could not be read, id -> reason."""
    return _decoding_failures(folder) | {test_samples[index].id: reason for index, reason in store.failures().items()}


def _decoding_failures(folder: Path) -> dict[str, str]:
    """Training videos that did not decode so far, id -> reason."""
    path = folder / FAILURES_NAME
    found: dict[str, str] = json.loads(path.read_bytes()) if path.exists() else {}
    return found


def untested(
    stores: Mapping[int, BlockStore], clips: EvaluationClips, train_samples: Sequence[Sample], folder: Path, task: str
) -> dict[int, list[range]]:
    """Epoch -> blocks to fill, including blocks with a video that did not decode before and does now.

    If such a video is a training video, or if epochs before the last one are tested (their weights are not stored), the
    folder is removed, so that training and all tests start again.
    """
    of_training = _decoding_failures(folder)
    readable_now = [sample.id for sample in train_samples if sample.id in of_training and decodes(sample)]
    if len(stores) > 1:
        failed = sorted({index for store in stores.values() for index in store.failures()})
        readable_now += [clips.samples[index].id for index in clips.readable(failed)]
    if readable_now:
        logger.warning(
            "task '%s': %d videos that did not decode before do so now (first '%s'); the training starts again",
            *(task, len(readable_now), readable_now[0]),
        )
        shutil.rmtree(folder)
    return {epoch: store.missing(clips.readable(store.failures())) for epoch, store in stores.items()}


def _trained(
    evaluation: Evaluation[Any],
    protocol: SupervisedProtocol,
    labels: Labels,
    train_samples: Sequence[Sample],
    folder: Path,
    *,
    frozen: bool,
    after_epoch: Callable[[int, Classifier], None],
) -> Classifier:
    """The classifier after its last epoch, on the device."""
    name, encoder = f"task '{evaluation.task.task}'", require_trainable(evaluation.encoder)
    method = SupervisedMethod(encoder, protocol, labels, frozen=frozen, seed=evaluation.seed, after_epoch=after_epoch)
    number = num_micro_batches_of(name, protocol, evaluation.processes.size)
    train_method(evaluation, method, plan_of_protocol(name, protocol, protocol.optim), number, train_samples, folder)
    return method.tested


def train_method(
    evaluation: Evaluation[Any],
    method: Method,
    plan: Plan,
    num_micro_batches: int,
    train_samples: Sequence[Sample],
    folder: Path,
) -> None:
    """Train a method to the end of a plan, continuing from ``folder`` if a run was stopped there."""
    ids = digest([(sample.id, sample.label, sample.content) for sample in train_samples])
    train(
        plan,
        method,
        train_samples,
        identity=digest([evaluation.encoder.card.identity, task_fingerprint(evaluation.task), evaluation.seed, ids]),
        seed=evaluation.seed,
        folder=folder,
        processes=evaluation.processes,
        options=RunOptions(num_micro_batches, evaluation.cache.num_workers),
        report=lambda progress: evaluation.report("training", progress.step, progress.num_steps),
    )


def _test(
    evaluation: Evaluation[Any],
    protocol: SupervisedProtocol,
    labels: Labels,
    classifier: Classifier,
    clips: EvaluationClips,
    store: BlockStore,
    missing: Sequence[range],
) -> None:
    """Fill this process's share of the missing blocks with class scores."""
    was_training = classifier.training
    classifier.eval()
    fill_blocks(evaluation, clips, store, missing, lambda clip: video_score(classifier, clip, protocol, labels))
    classifier.train(was_training)


def fill_blocks(
    evaluation: Evaluation[Any],
    clips: EvaluationClips,
    store: BlockStore,
    missing: Sequence[range],
    score: Callable[[Tensor], np.ndarray],
) -> None:
    """Fill this process's share of the missing blocks of a store with one array.

    Args:
        score: one row of the array from the normalised clips (V, C, T, H, W) of a video.
    """
    card, ((name, layout),) = evaluation.encoder.card, store.layout.items()
    mine = missing[evaluation.processes.rank :: evaluation.processes.size]
    loader = DataLoader(
        clips,
        batch_sampler=[list(block) for block in mine],
        collate_fn=list,
        num_workers=resolved_workers(evaluation.cache.num_workers, len(mine)),
        worker_init_fn=end_with_parent,
    )
    done = len(clips) - sum(map(len, missing))
    for block, decoded in zip(mine, loader, strict=True):
        failures = {index: found for index, found in zip(block, decoded, strict=True) if isinstance(found, str)}
        rows = np.zeros((len(block), *layout.shape), layout.dtype)
        for row, found in enumerate(decoded):
            if isinstance(found, Tensor):
                clip_VCTHW = normalised_clip(found, card.mean, card.std)
                rows[row] = score(clip_VCTHW.to(evaluation.processes.device))
        store.write(block, {name: rows}, failures)
        done += len(block) * evaluation.processes.size
        evaluation.report("test", min(done, len(clips)), len(clips))


@torch.inference_mode()
def video_score(classifier: Classifier, clip_VCTHW: Tensor, protocol: SupervisedProtocol, labels: Labels) -> np.ndarray:
    """Class scores of one video, (L,), pooled over its views.

    Raises:
        ValueError: scores are not finite, so that classes could not be ranked by them.
    """
    parts = clip_VCTHW.split(protocol.clips_at_once)
    with torch.autocast(clip_VCTHW.device.type, torch.bfloat16, enabled=protocol.optim.precision == "bfloat16"):
        logit_VL = torch.cat([classifier(part) for part in parts]).float()
    score_VL = labels.scores(logit_VL)
    score_L = score_VL.amax(0) if protocol.pools_by_maximum else score_VL.mean(0)
    if not bool(score_L.isfinite().all()):
        raise ValueError(
            f"{protocol.protocol}: the trained network gives scores that are not finite; lower optim.lr_per_256"
        )
    return score_L.cpu().numpy()
