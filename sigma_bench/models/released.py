"""Released SIGMA, VideoMAE, MVD and UMT checkpoints: names of tensors, and arguments of the run.

A pretraining file is a dictionary with ``model``, ``epoch`` and ``args`` (an ``argparse.Namespace``).  A fine-tuned
file has ``model`` or ``module``, tensors ``fc_norm.*`` and ``head.*``, and no prefix ``encoder.`` in its names.  The
names of this project are those of released pretraining files (QUVA-Lab/SIGMA 9876f09, MCG-NJU/VideoMAE 14ef8d8), except
for the prototypes, the projection network and the positions of the decoder.

MVD's pretraining files (ruiwang2021/mvd 8248039) have the names of a fine-tuned file, the table of positions, and two
decoders; its fine-tuned files differ from those of VideoMAE only in the arguments of the run.  UMT's pretraining files
(OpenGVLab/unmasked_teacher) are those of VideoMAE with tubes of one frame and ``clip_decoder`` instead of a decoder.
"""

import argparse
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from sigma_bench.models.geometry import Stated, count

CONTAINERS = ("model", "module", "state_dict")
"""Keys of the weights, in the order of the released fine-tuning code."""


def is_pretraining(tensors: Mapping[str, Tensor]) -> bool:
    """Whether the names are those of a released pretraining checkpoint, with or without a decoder."""
    return _is_tube_embedding(tensors.get("encoder.patch_embed.proj.weight"))


def is_finetuned(tensors: Mapping[str, Tensor]) -> bool:
    """Whether the names are those of a released classifier or of its trunk."""
    return _is_tube_embedding(tensors.get("patch_embed.proj.weight"))


def is_mvd(tensors: Mapping[str, Tensor]) -> bool:
    """Whether the names are those of a pretraining checkpoint of MVD, with one or both of its decoders."""
    return is_finetuned(tensors) and any(name.startswith(("mask_token_img", "mask_token_vid")) for name in tensors)


def pretraining_names(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors under the names of this project, from those of a released pretraining file."""
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
    """The tensors of a classifier under the names of this project: those of the trunk get the prefix ``encoder.``."""
    trunk = ("patch_embed.", "blocks.", "norm.", "fc_norm.")
    return {
        f"encoder.{name}" if name.startswith(trunk) or name == "pos_embed" else name: tensor
        for name, tensor in tensors.items()
    }


def stated_by_arguments(content: Mapping[str, Any], *, pretraining: bool) -> Stated:
    """What ``args`` and ``epoch`` of a released file state; epochs and seed only if they are those of pretraining."""
    arguments = arguments_in(content)
    model = arguments.get("model")
    epoch = count(content.get("epoch")) if pretraining else None
    return Stated(
        model=model if isinstance(model, str) else None,
        num_heads=count(arguments.get("num_heads")),
        num_frames=count(arguments.get("num_frames")),
        image_size=count(arguments.get("input_size")),
        epochs=0 if epoch is None else epoch + 1,  # the file holds the index of the last finished epoch
        seed=count(arguments.get("seed")) if pretraining else None,
    )


def arguments_in(content: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of the run that wrote the file; empty if the file has none."""
    arguments = content.get("args")
    if isinstance(arguments, argparse.Namespace):
        return vars(arguments)
    return dict(arguments) if isinstance(arguments, Mapping) else {}


def is_run_of_mvd(arguments: Mapping[str, Any]) -> bool:
    """Whether the arguments of a fine-tuning run are those of MVD's script, which alone has ``remove_pos_emb``."""
    return "remove_pos_emb" in arguments


def _is_tube_embedding(weight: Tensor | None) -> bool:
    return weight is not None and weight.ndim == 5
