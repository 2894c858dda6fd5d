"""``load_encoder``: a model by name, on a device."""

from pathlib import Path

import torch

from sigma_bench.api.arguments import name_of, seed_of
from sigma_bench.failures import MESSAGE_LIMIT
from sigma_bench.models import zoo
from sigma_bench.models.encoder import Encoder
from sigma_bench.training.distribution import choose_device


def load_encoder(name: str | Path, *, seed: int = 0, device: str | torch.device = "auto") -> Encoder:
    """The encoder with this name; the names are those of the command line.

    Args:
        name: a checkpoint file or run folder, ``timm:<name>``, ``module:function``, the name that a package registered,
            ``random:<recipe>[@seed<n>]`` or ``statistics:<recipe>``.
        seed: seed of the weights of ``random:<recipe>`` if the name has none.
        device: ``auto`` (a GPU if there is one), ``cpu``, ``cuda``, or any device of torch.

    Raises:
        ValueError: there is no such model or device, or a file is not a complete encoder.
    """
    return zoo.load_encoder(name_of("name", name), seed=seed_of(seed), device=_device(device))


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
