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
from sigma_bench.protocols.classification import NO_PREDICTION, RANKED, classified, folds, labels_of, ranked
from sigma_bench.protocols.contract import Evaluation, Predictions, require_readable
from sigma_bench.protocols.finetune.spec import FinetuneProtocol
from sigma_bench.protocols.supervised import train_and_test_epochs
from sigma_bench.records.record import Candidate, Selection
from sigma_bench.training.targets import OneClass


def run(evaluation: Evaluation[FinetuneProtocol]) -> Predictions | None:
    """Train and test once, or once per fold."""
    protocol, train, test = evaluation.protocol, evaluation.splits[0], evaluation.splits[-1]
    labels = OneClass(evaluation.num_classes, protocol.label_smoothing)
    epochs = (*protocol.earlier_tests, protocol.optim.epochs)
    ranked_ESK = np.full((len(epochs), len(test.samples), min(RANKED, labels.num_classes)), NO_PREDICTION)
    failures: dict[str, str] = {}
    for number, (train_index, test_index) in enumerate(folds(train, test)):
        tested = train_and_test_epochs(
            evaluation,
            protocol,
            labels,
            [train.samples[index] for index in train_index],
            [test.samples[index] for index in test_index],
            protocol.earlier_tests,
            part=f"part-{number}",
            frozen=protocol.kind == "linear_online",
        )
        for ranked_SK, one in zip(ranked_ESK, tested, strict=True):
            there = np.array([test.samples[index].id not in one.failures for index in test_index])
            ranked_SK[test_index[there]] = ranked(one.score_SL[there])
            failures |= one.failures
    require_readable(failures, protocol)
    if not evaluation.world.is_main:
        return None
    if protocol.select_on_test is None:
        return classified(test, ranked_ESK[-1], failures)
    return best_on_test(test, ranked_ESK, epochs, failures)


def best_on_test(
    test: Split, ranked_ESK: np.ndarray, epochs: Sequence[int], failures: Mapping[str, str]
) -> Predictions:
    """The epoch with the best top-1 on the very samples that are scored, the earliest on a tie, and the curve."""
    top1_E = (ranked_ESK[:, :, 0] == labels_of(test)).mean(1)
    best = int(top1_E.argmax())
    points = zip(epochs, top1_E.tolist(), strict=True)
    curve = tuple(Candidate(setting={"epoch": epoch}, test_top1=value) for epoch, value in points)
    rule = "best top-1 on the TEST split itself, nothing was held out: not a clean number"
    selection = Selection(rule=rule, grid=curve, chosen=curve[best].setting)
    predictions = classified(test, ranked_ESK[best], failures, (selection,))
    return replace(predictions, arrays={**predictions.arrays, "predicted_of_epoch": ranked_ESK[:, :, 0].T})
