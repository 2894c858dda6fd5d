"""Nearest neighbours that kNN votes are based on, for some queries with a correct and some with a wrong vote.

Features come from the feature cache, as in the protocol.

Shapes: S bank samples, Q queries, K neighbours.
"""

from typing import NamedTuple

import numpy as np

from sigma_bench.data.manifest import Sample
from sigma_bench.data.media_opening import open_media
from sigma_bench.data.transforms import centre_crop
from sigma_bench.pictures.sheets import Picture, PictureRow
from sigma_bench.protocols.classification import groups_of, labels_of, readable_features
from sigma_bench.protocols.interface import Evaluation
from sigma_bench.protocols.knn.spec import KnnProtocol
from sigma_bench.protocols.neighbours import knn_votes, nearest
from sigma_bench.protocols.ranking import ranked

SIDE = 96
"""Side of the pictures, pixels."""


class Votes(NamedTuple):
    """Rows of neighbours, and the number of queries with a correct vote."""

    rows: list[PictureRow]
    num_right: int
    num_queries: int


def neighbour_rows(evaluation: Evaluation[KnnProtocol], *, number: int, num_shown: int) -> Votes:
    """Up to ``number`` queries with a correct vote and as many with a wrong one, with their nearest neighbours.

    The queries are the first ones of a random order that depends on the seed and is the same for all models.

    Args:
        num_shown: number of neighbours per query.

    Raises:
        ValueError: as the kNN protocol.
    """
    bank, scored = evaluation.splits[0], evaluation.splits[-1]
    features, _ = readable_features(evaluation)
    bank_index, query_index = features[0].usable, features[-1].usable
    bank_SD, query_QD = features[0].rows(bank_index), features[-1].rows(query_index)
    label_S, truth_Q = labels_of(bank)[bank_index], labels_of(scored)[query_index]
    group_S, group_Q = groups_of(bank)[bank_index], groups_of(scored)[query_index]
    names = evaluation.manifest.classes or ()
    groups = (group_S, group_Q) if bank is scored else None
    voted_Q = ranked(knn_votes(bank_SD, label_S, query_QD, len(names), evaluation.protocol, groups))[:, 0]
    chosen = right_and_wrong(voted_Q == truth_Q, number, evaluation.seed)
    groups = (group_S, group_Q[chosen]) if bank is scored else None
    cosine_QK, index_QK = nearest(bank_SD, query_QD[chosen], num_shown, groups=groups)
    rows = []
    for query, cosine_K, index_K in zip(chosen, cosine_QK, index_QK, strict=True):
        truth, voted = names[truth_Q[query]], names[voted_Q[query]]
        cells = [Picture(middle_frame(scored.samples[query_index[query]]), (truth,))]
        for cosine, index in zip(cosine_K, index_K, strict=True):
            words = (names[label_S[index]], f"{cosine:.2f}")
            is_same = bool(label_S[index] == truth_Q[query])
            cells.append(Picture(middle_frame(bank.samples[bank_index[index]]), words, is_same=is_same))
        rows.append(PictureRow(("vote right",) if truth == voted else ("vote wrong:", voted), tuple(cells)))
    return Votes(rows, int((voted_Q == truth_Q).sum()), len(query_index))


def right_and_wrong(is_right_Q: np.ndarray, number: int, seed: int) -> np.ndarray:
    """Indices of up to ``number`` correct and as many wrong queries, the first ones of a random order."""
    order_Q = np.random.default_rng(seed).permutation(len(is_right_Q))
    return np.concatenate([order_Q[is_right_Q[order_Q] == wanted][:number] for wanted in (True, False)])


def middle_frame(sample: Sample) -> np.ndarray:
    """Centre crop of the middle frame of a video, (H, W, 3) uint8."""
    decoder = open_media(sample)
    return centre_crop(decoder.frames([len(decoder) // 2]), SIDE)[0].permute(1, 2, 0).numpy()
