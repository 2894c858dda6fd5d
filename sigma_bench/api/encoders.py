"""``load_encoder``: a model by name, on a device."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from sigma_bench.api.arguments import mapping_of, name_of, seed_of
from sigma_bench.failures import MESSAGE_LIMIT
from sigma_bench.models import zoo
from sigma_bench.models.encoder import Encoder
from sigma_bench.specs.model_arguments import ModelArguments
from sigma_bench.specs.strict import parse_spec
from sigma_bench.training.distribution import choose_device


def load_encoder(
    name: str | Path,
    *,
    model_args: Mapping[str, Any] | None = None,
    seed: int = 0,
    device: str | torch.device = "auto",
) -> Encoder:
    """The encoder with this name; the names are those of the command line.

    Args:
        name: a checkpoint file or run folder, ``timm:<name>``, ``module:function``, the name that a package registered,
            ``random:<recipe>[@seed<n>]`` or ``statistics:<recipe>``.
        model_args: which tokens are the features, and their precision: ``layer`` (number of a block, -1 for the last),
            ``norm`` (whether the final norm is applied), ``pooling`` (``mean`` or ``class``) and ``dtype``
            (``float32``, ``bfloat16``, ``float16`` or ``float64``).
        seed: seed of the weights of ``random:<recipe>`` if the name has none.
        device: ``auto`` (a GPU if there is one), ``cpu``, ``cuda``, or any device of torch.

    Raises:
        ValueError: there is no such model or device, a file is not a complete encoder, or the model does not have what
            an argument asks for.
    """
    return zoo.load_encoder(
        name_of("name", name),
        seed=seed_of(seed),
        device=_device(device),
        arguments=arguments_of(model_args),
    )


def arguments_of(model_args: Mapping[str, Any] | None) -> ModelArguments:
    """The validated arguments of a model; ValueError for an unknown key or a value that is not allowed."""
    return parse_spec(ModelArguments, mapping_of("model_args", model_args), where="model_args")


def _device(device: str | torch.device) -> torch.device:
    if str(device) in ("auto", "cpu", "cuda"):
        return choose_device(device)
    try:
        place = torch.device(device)
        torch.zeros(1, device=place)
    except (RuntimeError, TypeError, AssertionError) as error:  # AssertionError if torch is built without the device
        why = " ".join(str(error).split())[:MESSAGE_LIMIT]
        raise ValueError(
            f"device '{device}': choose auto, cpu, cuda, or a device of torch such as cuda:1 ({why})"
        ) from error
    if place.type == "meta":
        raise ValueError("device 'meta': weights have no values on it; choose auto, cpu or cuda")
    return place
