"""linear: a grid of linear layers on mean-pooled features, standardised with the statistics of train."""

from typing import Literal

from sigma_bench.specs.frozen_protocol import HeadGridProtocol
from sigma_bench.specs.recipe import Fraction


class LinearProtocol(HeadGridProtocol):
    """One linear layer per setting, trained by stochastic gradient descent with Nesterov momentum."""

    kind: Literal["linear"]
    momentum: Fraction
