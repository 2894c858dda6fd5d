"""What the training loop and ``pretrain`` need of a method."""

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
    """What is trained and how: the only thing that ``training/loop.py`` knows of a method.

    A subclass defines

    - ``model``, the network; all of its state is saved and restored,
    - ``draw``, one example from one video,
    - ``forward``, one step: a batch of examples to a ``StepOutput``,
    - ``build_optimiser``.

    It may also redefine

    - ``prepare``, work that is done once for videos that are held in memory,
    - ``cuts`` and ``micro_batches``, how a batch is divided and what the parts have to know of each other,
    - ``after_update``, what follows an optimiser step, such as a running mean of the weights,
    - ``collapsed_below``, monitors that show a collapse.
    """

    model: nn.Module

    collapsed_below: ClassVar[Mapping[str, float]] = {"feature_std": 0.1}
    """Monitors, and the value below which each of them says that the features are collapsing."""

    def prepare(self, frame_THWC: np.ndarray) -> np.ndarray:
        """What can be done to a whole video once, where videos are held in memory."""
        return frame_THWC

    @abstractmethod
    def draw(self, video: Decoder, rng: np.random.Generator, origin: Origin) -> Example:
        """One example; everything random in it comes from ``rng``."""

    def cuts(self, batch: Example, num_micro_batches: int) -> list[int]:
        """Rows at which a batch is divided into micro-batches, as equal as possible."""
        parts = torch.arange(len(batch[0])).tensor_split(num_micro_batches)
        return [int(part[0]) for part in parts[1:] if len(part)]

    def micro_batches(self, batch: Example, number: int) -> list[tuple[Any, ...]]:
        """The batch in ``number`` parts, as arguments of ``forward``; parts without examples are left out.

        Here the parts are independent.  A method whose loss depends on the whole batch adds to each part what it has to
        know of the others.  Called in the precision of the forward pass, by all processes.
        """
        parts = zip(*(part.tensor_split(self.cuts(batch, number)) for part in batch), strict=True)
        return [part for part in parts if len(part[0])]

    @abstractmethod
    def build_optimiser(self) -> torch.optim.Optimizer:
        """The optimiser of the parameters that learn; every group has an ``lr_scale``, its share of the rate."""

    def after_update(self, step: int, num_steps: int) -> None:
        """What follows an optimiser step (0-based)."""


class FrozenTeacher(Protocol):
    """A frozen network that a method learns from; no part of a checkpoint."""

    sha256: str
    """Digest of its weights and of all else that its outputs depend on."""

    def to(self, device: torch.device | str) -> "FrozenTeacher": ...


class PretrainingMethod(Method):
    """A method that a recipe names, with initial weights from torch's current random state.

    A subclass is the ``METHOD`` of the module ``method`` of its package (see ``specs.recipe.METHODS``).  It defines
    ``build_model`` and what the loop needs, and may redefine ``open_teacher``.

    Args:
        teacher: what ``open_teacher`` has returned, on the device.
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
        """The frozen teacher of a recipe; none here.

        Args:
            folder: of the run.
            seed: of the run.
            name: a model to use instead of the recipe's.

        Raises:
            ValueError: a name for a method without a teacher, or a teacher that cannot be opened.
        """
        if name is not None:
            raise ValueError(f"recipe '{recipe.recipe}' has no teacher; leave --teacher out")
        return None


def method_class(recipe: Recipe) -> type[PretrainingMethod]:
    """The class that trains a recipe.

    Raises:
        ValueError: the package of another author does not define it, or cannot be imported.
    """
    kind = recipe.objective.kind
    found = getattr(METHODS.load(kind, "method"), "METHOD", None)
    if not (isinstance(found, type) and issubclass(found, PretrainingMethod)):
        raise ValueError(
            f"the package of the pretraining method '{kind}' cannot train; its module 'method' must define METHOD, a "
            "subclass of sigma_bench.training.method.PretrainingMethod"
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
    """The method of a recipe with initial weights drawn from ``seed``; torch's own random state is left alone.

    Args:
        activation_checkpointing: keep only the inputs of the blocks for the backward pass, and compute the rest again.

    Raises:
        ValueError: as ``method_class``, or activation checkpointing of a network that does not support it.
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
        teacher: a model to use instead of the one that the recipe names.

    Raises:
        ValueError: the teacher cannot be opened, or the file does not fit its recipe.
    """
    recipe, where = checkpoint.recipe, str(checkpoint.path)
    frozen = method_class(recipe).open_teacher(recipe, checkpoint.path.parent, seed=checkpoint.seed, name=teacher)
    require_shapes(lambda: build_method(recipe, seed=0, teacher=frozen).model, checkpoint.tensors, where=where)
    method = build_method(recipe, seed=0, teacher=frozen.to(device) if frozen else None)
    load_strictly(method.model, checkpoint.tensors, where=where)
    return method.to(device).eval()
