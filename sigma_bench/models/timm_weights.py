"""Weights of image models from files: under the names of timm, or under published names that timm converts.

timm knows the names of the original files of a model (DINO, DINOv2, DINOv3, EVA, BEiT, Swin, SAM, ConvNeXt, ...): the
module of each architecture has a function ``checkpoint_filter_fn``.  That function leaves tensors out without a word;
here every tensor of the file is loaded, belongs to a head, or is known to have no influence on tokens.
"""

import inspect
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from torch import Tensor

from sigma_bench.models.checkpoints import LoadReport, load_strictly
from sigma_bench.models.weights_file import read_weights, state_dict_in

CONTAINERS = ("teacher", "model", "state_dict", "student")
"""Keys of weights in order of preference; DINO evaluates the teacher."""
HEADS = ("head.", "head_dist.", "dino_head.", "ibot_head.", "dino_loss.", "ibot_patch_loss.")
"""Prefixes of tensors after the features, which an encoder does not need."""
NO_TOKENS = (
    "mask_token", "lm_head.", "pre_logits.", "local_cls_norm.", "projectors.",
    "rope_embed.periods", "rope.freqs_", "bias_mask", "relative_position_index", "relative_coords_table", "attn_mask",
    "prompt_encoder.", "mask_decoder.", "norms.",
)  # fmt: skip
"""Parts of names of tensors that timm leaves out: for pretraining only, constants, other parts of SAM, and norms
that DINOv3 names twice."""
RECOMPUTED = ("pos_embed", "pos_embed_abs", "cls_token", "relative_position_bias_table")
"""Ends of names of tensors that timm may compute anew, for another grid or for models with registers."""
_CANNOT_CONVERT = (LookupError, AttributeError, RuntimeError, AssertionError, TypeError, ValueError)
"""Exceptions of timm's conversion for the tensors of another architecture."""


def fill(model: Any, file: Path) -> tuple[str, LoadReport]:
    """Load a file into a model of timm; learned positions are interpolated to the grid of the model by timm.

    Returns:
        The digest of the file, and what happened to each of its tensors.

    Raises:
        ValueError: the file cannot be read or does not fit the model; in this case nothing is loaded.
    """
    weights, where = read_weights(file), str(file)
    if isinstance(inner := weights.content.get("model_state"), Mapping):  # of Hiera
        weights = replace(weights, content=inner)
    given = state_dict_in(weights, CONTAINERS, beside=HEADS)
    _require_patch_size(model, given, where=where)
    tensors, left_out = converted(model, given, where=where)
    classifiers = model.pretrained_cfg.get("classifier") or ()
    classifiers = (classifiers,) if isinstance(classifiers, str) else tuple(classifiers)
    heads = (*HEADS, *(f"{name}." for name in classifiers))
    report = load_strictly(model, tensors, may_be_unexpected=heads, where=where)
    return weights.sha256, replace(report, unexpected=tuple(sorted({*report.unexpected, *left_out})))


def converted(model: Any, given: Mapping[str, Tensor], *, where: str) -> tuple[dict[str, Tensor], tuple[str, ...]]:
    """Tensors under the names of timm, and the names of those that have no influence on tokens.

    Raises:
        ValueError: timm cannot convert the tensors, or another tensor gets lost in the conversion.
    """
    convert = _conversion(model)
    if convert is None:
        return dict(given), ()
    tensors = _without_zero_bias(model, given, where=where)
    try:
        found = convert(dict(tensors), model)
    except _CANNOT_CONVERT as error:
        raise ValueError(
            f"{where}: not the weights of this {type(model).__name__}: timm cannot convert their names "
            f"({type(error).__name__}: {str(error).partition(chr(10))[0][:120]})"
        ) from error
    kept = {tensor.untyped_storage().data_ptr() for tensor in found.values()}
    lost = [
        name
        for name, tensor in tensors.items()
        if tensor.untyped_storage().data_ptr() not in kept and not name.endswith(RECOMPUTED)
    ]
    for name in lost:
        if not any(part in name for part in (*NO_TOKENS, *HEADS)):
            raise ValueError(f"{where}: '{name}' has no place in the model, or another tensor takes its place")
    return dict(found), tuple(sorted({*lost, *(given.keys() - tensors.keys())}))


def _conversion(model: Any) -> Callable[[dict[str, Tensor], Any], dict[str, Tensor]] | None:
    """The function of timm that converts the names of published files of this architecture; None if it has none."""
    convert = getattr(sys.modules[type(model).__module__], "checkpoint_filter_fn", None)
    if convert is not None and "adapt_layer_scale" in inspect.signature(convert).parameters:
        return partial(convert, adapt_layer_scale=True)  # for DeiT III, whose class is that of other ViTs
    return convert


def _without_zero_bias(model: Any, given: Mapping[str, Tensor], *, where: str) -> dict[str, Tensor]:
    """The tensors of a DINOv3 file without the biases of queries and values, for a model that has none.

    In the published files that timm has such models for, these biases are zero.

    Raises:
        ValueError: a bias is not zero.
    """
    names = [name for name in given if name.endswith("attn.qkv.bias")]
    if "storage_tokens" not in given or any(name.endswith(("q_bias", "qkv.bias")) for name in model.state_dict()):
        return dict(given)
    for name in names:
        query, _, value = given[name].chunk(3)
        if bool(query.any()) or bool(value.any()):
            raise ValueError(
                f"{where}: '{name}' is not zero and this model has no such bias; timm has a model '..._qkvb'"
            )
    return {name: tensor for name, tensor in given.items() if name not in names}


def _require_patch_size(model: Any, given: Mapping[str, Tensor], *, where: str) -> None:
    """ValueError if the patches of the file have another size, since timm would resample their weights."""
    name = "patch_embed.proj.weight"
    wanted = dict(model.named_parameters()).get(name)
    found = next((tensor for each, tensor in given.items() if each.endswith(name)), None)
    if wanted is None or found is None or found.ndim != wanted.ndim:
        return
    if found.shape[2:] != wanted.shape[2:]:
        raise ValueError(f"{where}: '{name}' has shape {tuple(found.shape)}, the model needs {tuple(wanted.shape)}")
