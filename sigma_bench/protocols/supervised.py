"""What protocols that train have in common: fit on what teaches, score every view of what is asked.

Both halves are resumable, in the job's folder: training at its checkpoints, the test block by block.

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

from sigma_bench.data.clips import EvaluationClips
from sigma_bench.data.decoding import decodes
from sigma_bench.data.manifest import Sample
from sigma_bench.data.transforms import normalised_clip
from sigma_bench.models.encoder import require_trainable
from sigma_bench.protocols.block_store import ArrayLayout, BlockStore
from sigma_bench.protocols.contract import Evaluation
from sigma_bench.specs.fingerprint import digest, task_fingerprint
from sigma_bench.specs.supervised import SupervisedProtocol
from sigma_bench.training.batches import RunOptions
from sigma_bench.training.broken import BROKEN_NAME
from sigma_bench.training.classifier import Classifier
from sigma_bench.training.loop import train
from sigma_bench.training.orphans import end_with_parent
from sigma_bench.training.processes import on_all, on_main
from sigma_bench.training.supervised import SupervisedMethod, num_micro_batches_of, supervised_plan
from sigma_bench.training.targets import Labels

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Tested:
    """Scores of what was asked, rows in its order; those of a sample that does not decode are zero."""

    score_SL: np.ndarray
    failures: Mapping[str, str]
    """Sample id -> why it could not be read, of training videos as well."""


def train_and_test(
    evaluation: Evaluation[Any],
    protocol: SupervisedProtocol,
    labels: Labels,
    teach: Sequence[Sample],
    ask: Sequence[Sample],
    *,
    part: str,
    frozen: bool,
) -> Tested:
    """Train on some samples, score others after the last epoch; as ``train_and_test_epochs``."""
    return train_and_test_epochs(evaluation, protocol, labels, teach, ask, (), part=part, frozen=frozen)[-1]


def train_and_test_epochs(
    evaluation: Evaluation[Any],
    protocol: SupervisedProtocol,
    labels: Labels,
    teach: Sequence[Sample],
    ask: Sequence[Sample],
    earlier: Sequence[int],
    *,
    part: str,
    frozen: bool,
) -> list[Tested]:
    """Train on some samples, score others after the last epoch and some earlier ones; processes share the work.

    Args:
        earlier: numbers of epochs after which the others are scored too, rising.
        part: name of the fold, below the job's folder.

    Raises:
        ValueError: the encoder cannot be trained, the batch does not divide, training diverges, or too many of the
            training videos do not decode.
        Preempted: asked to stop; the state is saved.
    """
    folder = evaluation.folder / part
    block = max(1, protocol.clips_at_once // protocol.views.num_views)
    layout = {"score": ArrayLayout((labels.num_classes,), "float32")}
    description = {"task": evaluation.task.task, "part": part}
    places = {epoch: folder / f"test-{epoch}" for epoch in earlier} | {protocol.optim.epochs: folder / "test"}
    stores = {epoch: BlockStore(place, len(ask), block, layout, description) for epoch, place in places.items()}
    card = evaluation.encoder.card
    clips = EvaluationClips(ask, protocol.views, num_frames=card.num_frames, image_size=card.image_size)
    # The main process looks for everybody: who looks later would find blocks that others have written meanwhile.
    missing = on_main(evaluation.world, lambda: _untested(stores, clips, teach, folder, evaluation.task.task))

    def test(epoch: int, classifier: Classifier) -> None:
        if missing.get(epoch):
            # Together: no state is saved that is later than a test that is not whole.
            on_all(
                evaluation.world,
                lambda: _test(evaluation, protocol, labels, classifier, clips, stores[epoch], missing[epoch]),
            )

    if any(missing.values()):
        test(
            protocol.optim.epochs,
            _trained(evaluation, protocol, labels, teach, folder, frozen=frozen, after_epoch=test),
        )
    return [_tested(store, ask, folder) for store in stores.values()]


def _tested(store: BlockStore, ask: Sequence[Sample], folder: Path) -> Tested:
    failures = _broken(folder) | {ask[index].id: reason for index, reason in store.failures().items()}
    return Tested(np.array(store.read("score")), failures)


def _broken(folder: Path) -> dict[str, str]:
    """Training videos that did not decode so far, id -> reason."""
    path = folder / BROKEN_NAME
    found: dict[str, str] = json.loads(path.read_bytes()) if path.exists() else {}
    return found


def _untested(
    stores: Mapping[int, BlockStore], clips: EvaluationClips, teach: Sequence[Sample], folder: Path, task: str
) -> dict[int, list[range]]:
    """Blocks to fill by epoch, including blocks with a video that did not decode before and does now.

    All blocks are filled again if such a video belongs to the training, or to the test of an earlier epoch whose
    weights are no longer stored.
    """
    broken = _broken(folder)
    mended = [sample.id for sample in teach if sample.id in broken and decodes(sample)]
    if len(stores) > 1:
        failed = sorted({index for store in stores.values() for index in store.failures()})
        mended += [clips.samples[index].id for index in clips.readable(failed)]
    if mended:
        logger.warning(
            "task '%s': %d videos that did not decode before do so now (first '%s'); the training starts again",
            *(task, len(mended), mended[0]),
        )
        shutil.rmtree(folder)
    return {epoch: store.missing(clips.readable(store.failures())) for epoch, store in stores.items()}


def _trained(
    evaluation: Evaluation[Any],
    protocol: SupervisedProtocol,
    labels: Labels,
    teach: Sequence[Sample],
    folder: Path,
    *,
    frozen: bool,
    after_epoch: Callable[[int, Classifier], None],
) -> Classifier:
    """The classifier after its last epoch, on the device."""
    name, encoder = f"task '{evaluation.task.task}'", require_trainable(evaluation.encoder)
    method = SupervisedMethod(encoder, protocol, labels, frozen=frozen, seed=evaluation.seed, after_epoch=after_epoch)
    ids = digest([(sample.id, sample.label, sample.content) for sample in teach])
    train(
        supervised_plan(name, protocol),
        method,
        teach,
        identity=digest([evaluation.encoder.card.identity, task_fingerprint(evaluation.task), evaluation.seed, ids]),
        seed=evaluation.seed,
        folder=folder,
        world=evaluation.world,
        options=RunOptions(num_micro_batches_of(name, protocol, evaluation.world.size), evaluation.cache.num_workers),
        report=lambda progress: evaluation.report("training", progress.step, progress.num_steps),
    )
    return method.tested


def _test(
    evaluation: Evaluation[Any],
    protocol: SupervisedProtocol,
    labels: Labels,
    classifier: Classifier,
    clips: EvaluationClips,
    store: BlockStore,
    missing: Sequence[range],
) -> None:
    """Fill this process's share of the missing blocks."""
    card = evaluation.encoder.card
    mine = missing[evaluation.world.rank :: evaluation.world.size]
    loader = DataLoader(
        clips,
        batch_sampler=[list(block) for block in mine],
        collate_fn=list,
        num_workers=evaluation.cache.num_workers,
        worker_init_fn=end_with_parent,
    )
    before = len(clips) - sum(map(len, missing))
    was_training = classifier.training
    classifier.eval()
    for block, decoded in zip(mine, loader, strict=True):
        failures = {index: found for index, found in zip(block, decoded, strict=True) if isinstance(found, str)}
        score_SL = np.zeros((len(block), classifier.head.out_features), np.float32)
        for row, found in enumerate(decoded):
            if isinstance(found, Tensor):
                clip_VCTHW = normalised_clip(found, card.mean, card.std)
                score_SL[row] = video_score(classifier, clip_VCTHW.to(evaluation.world.device), protocol, labels)
        store.write(block, {"score": score_SL}, failures)
        before += len(block) * evaluation.world.size
        evaluation.report("test", min(before, len(clips)), len(clips))
    classifier.train(was_training)


@torch.inference_mode()
def video_score(classifier: Classifier, clip_VCTHW: Tensor, protocol: SupervisedProtocol, labels: Labels) -> np.ndarray:
    """Class scores of one video, (L,), pooled over its views as the protocol says.

    Raises:
        ValueError: they are not finite, and would rank the classes by their numbers.
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
