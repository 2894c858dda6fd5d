"""Your own encoder, as ``module:function`` on the command line.

The function takes nothing and returns an ``Encoder``; ``own_encoder`` makes one from a torch module.  Write, in a file
``mine.py`` that Python can import from where you stand::

    import torch
    from sigma_bench.models.own import own_encoder

    def build():
        network = ...                      # clip (B, C, T, H, W) -> tokens (B, N, D), N = T' x H' x W'
        network.load_state_dict(torch.load("mine.pt", weights_only=True))
        return own_encoder(network, model="mine", num_frames=16, image_size=224, tubelet_frames=2, grid=(8, 14, 14),
                           feature_width=768, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))

and ask ``sigma-bench check mine:build``.

Shapes: B clips, C colours, T frames, H W pixels, N = T' x H' x W' tokens, D width.
"""

import importlib
import importlib.util
import sys
from pathlib import Path

import torch
from torch import Tensor, nn

from sigma_bench.models.code_digest import code_digest
from sigma_bench.models.encoder import Encoder, Features
from sigma_bench.models.frame_encoder import weights_sha256
from sigma_bench.specs.encoder_card import EncoderCard
from sigma_bench.specs.fingerprint import digest
from sigma_bench.specs.strict import parse_spec


class OwnEncoder:
    """A user's torch module as an encoder, in evaluation mode and without gradients."""

    def __init__(self, network: nn.Module, card: EncoderCard, grid: tuple[int, int, int]) -> None:
        self._network, self._grid = network.eval(), grid
        for parameter in network.parameters():  # TorchScript knows no requires_grad_ of a whole module
            parameter.requires_grad_(False)
        self._device = torch.device("cpu")
        self.card = card

    def to(self, device: torch.device | str) -> "OwnEncoder":
        """The same encoder, its weights on ``device``."""
        self._network.to(device)
        self._device = torch.device(device)
        return self

    @torch.inference_mode()
    def encode(self, clip_BCTHW: Tensor) -> Features:
        token_BND = self._network(clip_BCTHW.to(self._device))
        slots = clip_BCTHW.shape[2] * self._grid[0] // self.card.num_frames
        return Features(token_BND, (slots, *self._grid[1:]))


def own_encoder(
    network: nn.Module,
    *,
    model: str,
    num_frames: int,
    image_size: int,
    tubelet_frames: int,
    grid: tuple[int, int, int],
    feature_width: int,
    mean: tuple[float, float, float],
    std: tuple[float, float, float],
    family: str = "own",
    pretraining_data: tuple[str, ...] = (),
    pretraining_epochs: int = 0,
    pretraining_seed: int | None = None,
) -> Encoder:
    """An encoder from a module that maps clips (B, C, T, H, W) to tokens (B, N, D) in order time, row, column.

    Args:
        model: name of the row in tables.  Records and cached features are found by weights, code and configuration of
            the module as well, so that a module that computes something else under the same name is evaluated anew.
        grid: time slots, rows and columns of the tokens of a clip of ``num_frames``.
        mean: of the colours, for values 0 to 1, as the weights were trained; ``std`` likewise.
        pretraining_data: shown in tables and nowhere else used, like epochs and seed.

    Raises:
        ValueError: a number that no encoder can have.
    """
    fields = {
        "model": model,
        "family": family,
        "num_frames": num_frames,
        "image_size": image_size,
        "tubelet_frames": tubelet_frames,
        "mean": mean,
        "std": std,
        "feature_width": feature_width,
        "num_parameters": sum(parameter.numel() for parameter in network.parameters()),
        "pretraining_data": pretraining_data,
        "pretraining_epochs": pretraining_epochs,
        "checkpoint_sha256": weights_sha256(network),
        "code_sha256": code_digest(network.eval()),
        "pretraining_seed": pretraining_seed,
        "recipe_fingerprint": None,
    }
    return OwnEncoder(network, parse_spec(EncoderCard, fields, where=f"own_encoder '{model}'"), grid)


def is_importable(module: str) -> bool:
    """Whether Python finds a module, the current folder included."""
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:  # a package above it
        return False


def imported_encoder(module: str, function: str) -> Encoder:
    """What ``function`` of an importable ``module`` returns.

    Raises:
        ValueError: no such function, or it returns something that is no encoder.
    """
    build = getattr(importlib.import_module(module), function, None)
    if build is None:
        raise ValueError(f"there is no model '{module}:{function}': the module has no '{function}'")
    encoder = build()
    if not (hasattr(encoder, "encode") and isinstance(getattr(encoder, "card", None), EncoderCard)):
        raise ValueError(
            f"{module}:{function} returns a {type(encoder).__name__}, which has no 'card' and 'encode'; make one with "
            "sigma_bench.models.own.own_encoder"
        )
    return encoder if isinstance(encoder, OwnEncoder) else _with_code(encoder)


def _with_code(encoder: Encoder) -> Encoder:
    """An encoder with a card of the user's own making, to which the digest of the code is added."""
    code_sha256 = digest([encoder.card.code_sha256, code_digest(encoder)])
    try:
        encoder.card = encoder.card.model_copy(update={"code_sha256": code_sha256})  # type: ignore[misc]
    except AttributeError as error:
        raise ValueError(
            f"model '{encoder.card.model}': the attribute 'card' of {type(encoder).__name__} cannot be set, and a "
            "digest of its code has to be added to the card; make it a plain attribute"
        ) from error
    return encoder
