"""Released SIGMA and VideoMAE checkpoints: their names for tensors, and what their arguments say.

A pretraining file is a dictionary with ``model`` beside ``epoch`` and ``args`` (an ``argparse.Namespace``); a
fine-tuned one has ``model`` or ``module``, no ``encoder.`` before its names, and ``fc_norm.*`` and ``head.*``.
Our names are the released pretraining ones with two changes (QUVA-Lab/SIGMA 9876f09, MCG-NJU/VideoMAE 14ef8d8).
"""

import argparse
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from sigma_bench.models.geometry import Stated, count

CONTAINERS = ("model", "module", "state_dict")
"""Where the weights are kept, in the order of the released fine-tuning code."""


def is_pretraining(tensors: Mapping[str, Tensor]) -> bool:
    """Whether the names are those of a released pretraining checkpoint, decoder or not."""
    return _is_tube_embedding(tensors.get("encoder.patch_embed.proj.weight"))


def is_finetuned(tensors: Mapping[str, Tensor]) -> bool:
    """Whether the names are those of a released classifier, or of its trunk alone."""
    return _is_tube_embedding(tensors.get("patch_embed.proj.weight"))


def pretraining_names(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Ours for the released names: prototypes are a module here, and the projection network is not called head."""
    renamed = {}
    for name, tensor in tensors.items():
        if name == "prototypes":
            name = "prototypes.weight"
        elif name.startswith("head."):
            name = "projector." + name.removeprefix("head.")
        elif name == "pos_embed":
            name = "decoder.pos_embed"
        renamed[name] = tensor
    return renamed


def finetuned_names(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Ours for a classifier's names: the trunk gets its ``encoder.``; ``fc_norm`` and ``head`` keep their names."""
    trunk = ("patch_embed.", "blocks.", "norm.", "pos_embed")
    return {f"encoder.{name}" if name.startswith(trunk) else name: tensor for name, tensor in tensors.items()}


def stated_by_arguments(content: Mapping[str, Any], *, pretraining: bool) -> Stated:
    """What ``args`` and ``epoch`` of a released file say; epochs and seed only where they are the pretraining's."""
    arguments = arguments_in(content)
    model = arguments.get("model")
    epoch = count(content.get("epoch")) if pretraining else None
    return Stated(
        model=model if isinstance(model, str) else None,
        num_heads=count(arguments.get("num_heads")),
        num_frames=count(arguments.get("num_frames")),
        image_size=count(arguments.get("input_size")),
        epochs=0 if epoch is None else epoch + 1,  # written with the index of the epoch just finished
        seed=count(arguments.get("seed")) if pretraining else None,
    )


def arguments_in(content: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of the run that wrote the file; empty when it does not hold them."""
    arguments = content.get("args")
    if isinstance(arguments, argparse.Namespace):
        return vars(arguments)
    return dict(arguments) if isinstance(arguments, Mapping) else {}


def _is_tube_embedding(weight: Tensor | None) -> bool:
    return weight is not None and weight.ndim == 5
