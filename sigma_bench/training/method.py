"""The contract of training methods: ``Method`` for the training loop, ``PretrainingMethod`` for ``pretrain``."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Protocol

import numpy as np
import torch
import torch.distributed as dist
from torch import nn

from sigma_bench.data.decoder import Decoder
from sigma_bench.data.examples import Example, Origin
from sigma_bench.models.checkpoints import Checkpoint, load_strictly, require_shapes
from sigma_bench.models.video_vit import checkpoint_activations
from sigma_bench.specs.recipe import METHODS, Recipe


class Method(nn.Module, ABC):
    """A network, its examples, its loss and its optimiser: the interface that ``training/loop.py`` uses.

    A subclass defines

    - ``model``, the network; all of its state is saved and restored,
    - ``draw``, one example from one video,
    - ``forward``, one step: a batch of examples to a ``StepOutput``,
    - ``build_optimiser``.

    It may also redefine

    - ``prepare``, preprocessing of whole videos that are kept in memory,
    - ``cuts`` and ``micro_batches``, the division of a batch and what each part needs from the others,
    - ``after_update``, work after an optimiser step, such as a running mean of the weights,
    - ``collapsed_below``, monitors that detect a collapse.
    """

    model: nn.Module

    collapsed_below: ClassVar[Mapping[str, float]] = {"feature_std": 0.1}
    """Name of a monitor -> value below which the features are collapsing."""

    def prepare(self, frame_THWC: np.ndarray) -> np.ndarray:
        """Preprocess all frames (T, H, W, C) uint8 of a video that is kept in memory."""
        return frame_THWC

    @abstractmethod
    def draw(self, video: Decoder, rng: np.random.Generator, origin: Origin) -> Example:
        """One example of a video; all random numbers come from ``rng``."""

    def cuts(self, batch: Example, num_micro_batches: int) -> list[int]:
        """Rows at which a batch is divided into micro-batches, which are as equal in size as possible."""
        parts = torch.arange(len(batch[0])).tensor_split(num_micro_batches)
        return [int(part[0]) for part in parts[1:] if len(part)]

    def micro_batches(self, batch: Example, number: int) -> list[tuple[Any, ...]]:
        """The batch in ``number`` parts, as arguments of ``forward``; parts without examples are left out.

        This implementation divides the batch only.  A method whose loss depends on the whole batch adds arguments that
        are computed from all parts.  All processes call this, under autocast if the forward pass is.
        """
        parts = zip(*(part.tensor_split(self.cuts(batch, number)) for part in batch), strict=True)
        return [part for part in parts if len(part[0])]

    @abstractmethod
    def build_optimiser(self) -> torch.optim.Optimizer:
        """The optimiser of the trained parameters; each group has a factor on the learning rate, ``lr_scale``."""

    def after_update(self, step: int, num_steps: int) -> None:
        """Work after an optimiser step; steps are counted from 0."""


class FrozenTeacher(Protocol):
    """A frozen network whose outputs are the targets of a method; it is not part of checkpoints."""

    sha256: str
    """Digest of the weights and of everything else on which the outputs depend."""

    def to(self, device: torch.device | str) -> "FrozenTeacher": ...


class PretrainingMethod(Method):
    """A method of a recipe, with initial weights from torch's current random state.

    A subclass is the ``METHOD`` of the module ``method`` of its package (see ``specs.recipe.METHODS``).  It defines
    ``build_model`` and the abstract methods of ``Method``, and may redefine ``open_teacher``.

    Args:
        teacher: result of ``open_teacher``, on the device.
        group: processes that share the batch; None means one process.
    """

    recipe: Recipe

    def __init__(
        self, recipe: Recipe, *, teacher: FrozenTeacher | None = None, group: dist.ProcessGroup | None = None
    ) -> None:
        super().__init__()
        self.recipe, self.group = recipe, group
        self.model = self.build_model(teacher)

    @abstractmethod
    def build_model(self, teacher: FrozenTeacher | None) -> nn.Module:
        """The network, with initial weights from torch's current random state."""

    @classmethod
    def open_teacher(cls, recipe: Recipe, folder: Path, *, seed: int, name: str | None) -> FrozenTeacher | None:
        """The frozen teacher of a recipe; this implementation has none.

        Args:
            folder: folder of the run.
            seed: seed of the run.
            name: name of a model that replaces the teacher of the recipe.

        Raises:
            ValueError: a name is given but the method has no teacher, or the teacher cannot be opened.
        """
        if name is not None:
            raise ValueError(f"recipe '{recipe.recipe}' has no teacher; leave --teacher out")
        return None


def method_class(recipe: Recipe) -> type[PretrainingMethod]:
    """The class that trains a recipe.

    Raises:
        ValueError: the package of the method does not define the class or cannot be imported.
    """
    kind = recipe.objective.kind
    found = getattr(METHODS.load(kind, "method"), "METHOD", None)
    if not (isinstance(found, type) and issubclass(found, PretrainingMethod)):
        raise ValueError(
            f"the package of the pretraining method '{kind}' cannot train; its module 'method' must define METHOD, a "
            "subclass of sigma_bench.extend.PretrainingMethod"
        )
    return found


def build_method(
    recipe: Recipe,
    *,
    seed: int,
    teacher: FrozenTeacher | None = None,
    group: dist.ProcessGroup | None = None,
    activation_checkpointing: bool = False,
) -> PretrainingMethod:
    """The method of a recipe with initial weights drawn from ``seed``; torch's random state does not change.

    Args:
        activation_checkpointing: whether only the inputs of blocks are kept for the backward pass and the rest is
            computed again.

    Raises:
        ValueError: as ``method_class``, or the network does not support activation checkpointing.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        method = method_class(recipe)(recipe, teacher=teacher, group=group)
    if activation_checkpointing and not checkpoint_activations(method.model):
        raise ValueError(
            f"recipe '{recipe.recipe}': this network has no activation checkpointing; leave "
            "--activation-checkpointing out"
        )
    return method


def restored_method(
    checkpoint: Checkpoint, *, teacher: str | None = None, device: torch.device | str = "cpu"
) -> PretrainingMethod:
    """The method of a checkpoint, with all of its weights, in evaluation mode.

    Args:
        teacher: name of a model that replaces the teacher of the recipe.

    Raises:
        ValueError: the teacher cannot be opened, or the file does not fit its recipe.
    """
    recipe, where = checkpoint.recipe, str(checkpoint.path)
    frozen = method_class(recipe).open_teacher(recipe, checkpoint.path.parent, seed=checkpoint.seed, name=teacher)
    require_shapes(lambda: build_method(recipe, seed=0, teacher=frozen).model, checkpoint.tensors, where=where)
    method = build_method(recipe, seed=0, teacher=frozen.to(device) if frozen else None)
    load_strictly(method.model, checkpoint.tensors, where=where)
    return method.to(device).eval()
