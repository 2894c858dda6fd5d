"""linear: logistic regression on frozen features, its regularisation chosen on a held-out part of train.

Shapes: S train samples, Q queries, D width.
"""

import warnings

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupShuffleSplit
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from sigma_bench.protocols.classification import Teaching, classify, splits
from sigma_bench.protocols.features import SplitFeatures
from sigma_bench.protocols.job import Job, Outcome
from sigma_bench.records.record import Candidate, Selection
from sigma_bench.specs.frozen import LinearProtocol

__all__ = ["run", "splits"]


def run(job: Job) -> Outcome | None:
    """Fit on what teaches, answer for every sample of the scored split."""
    protocol = job.task.protocol
    assert isinstance(protocol, LinearProtocol)

    def answer(teaching: Teaching, asked: SplitFeatures, index: np.ndarray) -> tuple[np.ndarray, Selection]:
        train_SD, query_QD = teaching.features.feature_SD[teaching.index_S], asked.feature_SD[index]
        return linear_scores(train_SD, teaching, query_QD, protocol, job.seed)

    return classify(job, protocol.clip, answer)


def linear_scores(
    train_SD: np.ndarray, teaching: Teaching, query_QD: np.ndarray, protocol: LinearProtocol, seed: int
) -> tuple[np.ndarray, Selection]:
    """Class scores (Q, L) and how the regularisation was chosen; the test samples play no part in the choice."""
    label_S = teaching.label_S
    fit, held_out = held_out_split(teaching.group_S, protocol.held_out_fraction, seed)
    grid, cautions = [], []
    for inverse_regularisation in protocol.inverse_regularisation_grid:
        model, caution = _fitted(train_SD[fit], label_S[fit], inverse_regularisation, protocol)
        cautions += caution
        score = float(model.score(train_SD[held_out], label_S[held_out]))
        grid.append(Candidate(setting={"C": inverse_regularisation}, held_out_top1=score))
    best = max(grid, key=lambda candidate: candidate.held_out_top1)  # the first, most regularised one on a tie
    model, caution = _fitted(train_SD, label_S, best.setting["C"], protocol)
    selection = Selection(
        rule=f"best top-1 on held-out {protocol.held_out_fraction:.0%} of train, then refitted on all of train",
        grid=tuple(grid),
        chosen=best.setting,
        warnings=tuple(cautions + caution),
    )
    score_QL = np.full((len(query_QD), teaching.num_classes), -np.inf)
    score_QL[:, model.classes_] = model.predict_log_proba(query_QD)
    return score_QL, selection


def held_out_split(group_S: np.ndarray, fraction: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Indices to fit on and to choose by; no group stands on both sides."""
    splitter = GroupShuffleSplit(n_splits=1, test_size=fraction, random_state=seed)
    return next(splitter.split(group_S, groups=group_S))


def _fitted(
    feature_SD: np.ndarray, label_S: np.ndarray, inverse_regularisation: float, protocol: LinearProtocol
) -> tuple[Pipeline, list[str]]:
    model = make_pipeline(
        StandardScaler(), LogisticRegression(C=inverse_regularisation, max_iter=protocol.max_iterations)
    )
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ConvergenceWarning)
        model.fit(feature_SD, label_S)
    stopped = any(issubclass(warning.category, ConvergenceWarning) for warning in caught)
    text = f"C={inverse_regularisation:g}: not converged after {protocol.max_iterations} iterations"
    return model, [text] if stopped else []
