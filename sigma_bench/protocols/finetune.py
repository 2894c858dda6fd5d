"""finetune and linear_online: a new head on a trained, or frozen, network; several views of every test video.

As SIGMA and VideoMAE ship it, but for what ``specs/supervised.py`` and the protocol's file say.  ``linear_online`` is
the same run with the network frozen.  With ``select_on_test`` the best tested epoch is reported instead of the last, as
SEVERE's code does; such scores have names of their own.

Shapes: S samples, K best classes, E tested epochs.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from sigma_bench.data.manifest import Split
from sigma_bench.protocols.classification import (
    NO_PREDICTION,
    RANKED,
    classified,
    labels_of,
    pieces,
    ranked,
    require_disjoint,
    require_present,
    splits,
    teaching_and_scored,
)
from sigma_bench.protocols.job import Job, Outcome
from sigma_bench.protocols.supervised import require_readable, train_and_test_epochs
from sigma_bench.records.record import Candidate, Selection
from sigma_bench.specs.finetune import FinetuneProtocol
from sigma_bench.training.targets import OneClass

__all__ = ["run", "splits"]


def run(job: Job) -> Outcome | None:
    """Train and test once, or once per fold."""
    protocol = job.task.protocol
    assert isinstance(protocol, FinetuneProtocol)
    bank, scored = teaching_and_scored(job.manifest, job.task)
    require_present((bank, scored), protocol)
    if bank is not scored:
        require_disjoint(job.manifest, bank, scored)
    labels = OneClass(len(job.manifest.classes or ()), protocol.label_smoothing)
    epochs = (*protocol.earlier_tests, protocol.optim.epochs)
    ranked_ESK = np.full((len(epochs), len(scored.samples), min(RANKED, labels.num_classes)), NO_PREDICTION)
    failures: dict[str, str] = {}
    for number, (teach_S, ask_S) in enumerate(pieces(bank, scored)):
        tested = train_and_test_epochs(
            job,
            protocol,
            labels,
            [bank.samples[index] for index in teach_S],
            [scored.samples[index] for index in ask_S],
            protocol.earlier_tests,
            part=f"part-{number}",
            frozen=protocol.kind == "linear_online",
        )
        for ranked_SK, one in zip(ranked_ESK, tested, strict=True):
            there = np.array([scored.samples[index].id not in one.failures for index in ask_S])
            ranked_SK[ask_S[there]] = ranked(one.score_SL[there])
            failures |= one.failures
    require_readable(failures, protocol)
    if not job.world.is_main:
        return None
    if protocol.select_on_test is None:
        return classified(scored, ranked_ESK[-1], failures)
    return best_on_test(scored, ranked_ESK, epochs, failures)


def best_on_test(scored: Split, ranked_ESK: np.ndarray, epochs: Sequence[int], failures: Mapping[str, str]) -> Outcome:
    """The epoch with the best top-1 on the very samples that are scored, the earliest on a tie, and the curve."""
    top1_E = (ranked_ESK[:, :, 0] == labels_of(scored)).mean(1)
    best = int(top1_E.argmax())
    points = zip(epochs, top1_E.tolist(), strict=True)
    curve = tuple(Candidate(setting={"epoch": epoch}, test_top1=value) for epoch, value in points)
    rule = "best top-1 on the TEST split itself, nothing was held out: not a clean number"
    selection = Selection(rule=rule, grid=curve, chosen=curve[best].setting)
    outcome = classified(scored, ranked_ESK[best], failures, (selection,))
    return replace(outcome, arrays={**outcome.arrays, "predicted_of_epoch": ranked_ESK[:, :, 0].T})
