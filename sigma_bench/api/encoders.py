"""``load_encoder``: a model by name, on a device."""

import torch

from sigma_bench.models import zoo
from sigma_bench.models.encoder import Encoder
from sigma_bench.training.distribution import choose_device


def load_encoder(name: str, *, seed: int = 0, device: str | torch.device = "auto") -> Encoder:
    """The encoder with this name; the names are those of the command line.

    Args:
        name: a checkpoint file or run folder, ``timm:<name>``, ``module:function``, the name that a package registered,
            ``random:<recipe>[@seed<n>]`` or ``statistics:<recipe>``.
        seed: draws the weights of ``random:<recipe>``.
        device: ``auto`` (a GPU if there is one), ``cpu``, ``cuda``, or any device of torch.

    Raises:
        ValueError: there is no such model or device, or a file is not a complete encoder.
    """
    return zoo.load_encoder(name, seed=seed, device=_device(device))


def _device(device: str | torch.device) -> torch.device:
    if device in ("auto", "cpu", "cuda"):
        return choose_device(str(device))
    try:
        return torch.device(device)
    except RuntimeError as error:
        raise ValueError(f"device '{device}': choose auto, cpu, cuda, or a device of torch such as cuda:1") from error
