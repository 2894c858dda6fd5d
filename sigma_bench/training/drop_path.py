"""Stochastic depth (arXiv 1603.09382) whose chances come with the examples.

A branch is dropped for an example by a number that was drawn with it, so it does not matter which process or piece of
a batch the example is in.

Shapes: B examples, K branches (in the order in which they are computed).
"""

from collections.abc import Iterator

from timm.layers import DropPath
from torch import Tensor, nn


class Chances:
    """Uniform numbers of a batch, (B, K), handed out branch by branch."""

    def __init__(self) -> None:
        self._columns: Iterator[Tensor] = iter(())

    def start(self, chance_BK: Tensor) -> None:
        """Of the batch that comes next."""
        self._columns = iter(chance_BK.unbind(1))

    def next(self) -> Tensor:
        """Of the next branch, (B,)."""
        column = next(self._columns, None)
        assert column is not None, "there are more branches than chances"
        return column


class ExampleDropPath(nn.Module):
    """Leaves a branch out where the example's chance is below the rate, and makes up for it elsewhere."""

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
    """Let every DropPath inside be decided by chances."""
    chances = Chances()
    for parent in list(module.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, DropPath):
                setattr(parent, name, ExampleDropPath(child.drop_prob or 0.0, chances))
    return chances
