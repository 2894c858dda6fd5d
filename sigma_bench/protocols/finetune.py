"""finetune and linear_online: a new head on a trained, or frozen, network; several views of every test video.

As SIGMA and VideoMAE ship it, but for what ``specs/supervised.py`` and the protocol's file say.  ``linear_online`` is
the same run with the network frozen.

Shapes: S samples, K best classes.
"""

import numpy as np

from sigma_bench.protocols.classification import (
    NO_PREDICTION,
    RANKED,
    classified,
    pieces,
    ranked,
    require_disjoint,
    require_present,
    splits,
    teaching_and_scored,
)
from sigma_bench.protocols.job import Job, Outcome
from sigma_bench.protocols.supervised import require_readable, train_and_test
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
        require_disjoint(bank, scored)
    labels = OneClass(len(job.manifest.classes or ()), protocol.label_smoothing)
    ranked_SK = np.full((len(scored.samples), min(RANKED, labels.num_classes)), NO_PREDICTION)
    failures: dict[str, str] = {}
    for number, (teach_S, ask_S) in enumerate(pieces(bank, scored)):
        tested = train_and_test(
            job,
            protocol,
            labels,
            [bank.samples[index] for index in teach_S],
            [scored.samples[index] for index in ask_S],
            part=f"part-{number}",
            frozen=protocol.kind == "linear_online",
        )
        there = np.array([scored.samples[index].id not in tested.failures for index in ask_S])
        ranked_SK[ask_S[there]] = ranked(tested.score_SL[there])
        failures |= tested.failures
    require_readable(failures, protocol)
    return classified(scored, ranked_SK, failures) if job.world.is_main else None
