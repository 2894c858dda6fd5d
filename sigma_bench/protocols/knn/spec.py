"""knn: votes of the nearest neighbours of a test sample in the train split (DINO's evaluation)."""

from typing import Literal

from sigma_bench.specs.frozen_protocol import ClassificationProtocol, NeighbourVotes


class KnnProtocol(NeighbourVotes, ClassificationProtocol):
    """The bank is the train split, the queries are the test split."""

    kind: Literal["knn"]
