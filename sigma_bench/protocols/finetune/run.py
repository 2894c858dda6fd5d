"""finetune and linear_online: training a new head with the network or on the frozen network; multi-view test.

The procedure is that of the code of SIGMA and VideoMAE, except for the differences that
``specs/training_protocol.py`` and the file of the protocol list.  With ``select_on_test``, the best tested epoch is
reported instead of the last one, as in the code of SEVERE; such scores have other names.

Shapes: S samples, K best classes, E tested epochs.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from sigma_bench.data.manifest import Split
from sigma_bench.protocols.classification import classified, folds, labels_of
from sigma_bench.protocols.finetune.spec import FinetuneProtocol
from sigma_bench.protocols.interface import Evaluation, HeadSizes, Predictions, require_readable
from sigma_bench.protocols.ranking import NO_PREDICTION, RANKED, ranked
from sigma_bench.protocols.training_and_testing import train_and_test
from sigma_bench.records.record import Candidate, Selection
from sigma_bench.training.targets import OneClass


def run(evaluation: Evaluation[FinetuneProtocol]) -> Predictions | None:
    """Train and test once, or once per fold; None on all processes but the main one."""
    protocol, train, test = evaluation.protocol, evaluation.splits[0], evaluation.splits[-1]
    labels = OneClass(evaluation.num_classes, protocol.label_smoothing)
    epochs = (*protocol.earlier_tests, protocol.optim.epochs)
    ranked_ESK = np.full((len(epochs), len(test.samples), min(RANKED, labels.num_classes)), NO_PREDICTION)
    failures: dict[str, str] = {}
    for number, (train_index, test_index) in enumerate(folds(train, test)):
        tested = train_and_test(
            evaluation,
            protocol,
            labels,
            [train.samples[index] for index in train_index],
            [test.samples[index] for index in test_index],
            protocol.earlier_tests,
            fold=f"fold-{number}",
            frozen=protocol.trained_network == "probing",
        )
        for ranked_SK, epoch in zip(ranked_ESK, tested, strict=True):
            readable = np.array([test.samples[index].id not in epoch.failures for index in test_index])
            ranked_SK[test_index[readable]] = ranked(epoch.score_SL[readable])
            failures |= epoch.failures
    require_readable(failures, protocol)
    if not evaluation.processes.is_main:
        return None
    if protocol.select_on_test is None:
        return classified(test, ranked_ESK[-1], failures)
    return best_on_test(test, ranked_ESK, epochs, failures)


def head_seconds(protocol: FinetuneProtocol, sizes: HeadSizes) -> float:
    """Zero, because the head is trained with the network, and the time of these steps is predicted as encoding."""
    return 0.0


def best_on_test(
    test: Split, ranked_ESK: np.ndarray, epochs: Sequence[int], failures: Mapping[str, str]
) -> Predictions:
    """Predictions of the epoch with the best top-1 on the scored samples; of equal epochs, the earliest.

    Args:
        ranked_ESK: the best classes of every sample after each tested epoch.
        epochs: numbers of the tested epochs.

    Returns:
        Predictions whose selection holds the top-1 of every tested epoch.
    """
    top1_E = (ranked_ESK[:, :, 0] == labels_of(test)).mean(1)
    best = int(top1_E.argmax())
    points = zip(epochs, top1_E.tolist(), strict=True)
    curve = tuple(Candidate(setting={"epoch": epoch}, test_top1=value) for epoch, value in points)
    rule = "best top-1 on the TEST split itself, nothing was held out: not a clean number"
    selection = Selection(rule=rule, grid=curve, chosen=curve[best].setting)
    predictions = classified(test, ranked_ESK[best], failures, (selection,))
    return replace(predictions, arrays={**predictions.arrays, "predicted_of_epoch": ranked_ESK[:, :, 0].T})
