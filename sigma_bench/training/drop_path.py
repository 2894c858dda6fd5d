"""Stochastic depth (arXiv 1603.09382) with random numbers that are part of the examples.

Whether a branch is dropped for an example depends on a number that was drawn with the example, so it does not depend on
the process or micro-batch of the example.

Shapes: B examples, K branches (in the order in which they are computed).
"""

from collections.abc import Iterator

from timm.layers import DropPath
from torch import Tensor, nn


class Chances:
    """Uniform random numbers of a batch, (B, K), which are read branch by branch."""

    def __init__(self) -> None:
        self._columns: Iterator[Tensor] = iter(())

    def start(self, chance_BK: Tensor) -> None:
        """Set the numbers of the next batch, (B, K)."""
        self._columns = iter(chance_BK.unbind(1))

    def next(self) -> Tensor:
        """The numbers of the next branch, (B,)."""
        column = next(self._columns, None)
        assert column is not None, "there are more branches than chances"
        return column


class ExampleDropPath(nn.Module):
    """Drops a branch for examples whose number is below the rate, and divides it by 1 - rate for the others."""

    def __init__(self, rate: float, chances: Chances) -> None:
        super().__init__()
        self.rate, self._chances = rate, chances

    def forward(self, branch: Tensor) -> Tensor:
        if not self.training:
            return branch
        keep_B = (self._chances.next() >= self.rate).to(branch.dtype) / (1 - self.rate)
        keep = keep_B.repeat_interleave(len(branch) // len(keep_B))  # an image model has one row per frame
        return branch * keep.view(-1, *[1] * (branch.ndim - 1))


def use_chances(module: nn.Module) -> Chances:
    """Replace every DropPath of a module by an ``ExampleDropPath``; returns the numbers that they read."""
    chances = Chances()
    for parent in list(module.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, DropPath):
                setattr(parent, name, ExampleDropPath(child.drop_prob or 0.0, chances))
    return chances
