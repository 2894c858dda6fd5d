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

import contextlib
import importlib
import importlib.util
import inspect
import math
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from sigma_bench.failures import failure_sentence
from sigma_bench.models.code_digest import code_digest
from sigma_bench.models.contract import token_mistake, typed
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
        """Tokens of clips.

        Raises:
            ValueError: the network does not return float32 tokens (B, N, D) with the card's width and the grid's number
                of tokens on the encoder's device.  Exceptions of the network itself are passed on.
        """
        try:
            token_BND = self._network(clip_BCTHW.to(self._device))
        except Exception as error:
            self._add_circumstances(error, clip_BCTHW)
            raise
        slots = clip_BCTHW.shape[2] * self._grid[0] // self.card.num_frames
        grid = (slots, *self._grid[1:])
        mistake = token_mistake(token_BND, len(clip_BCTHW), grid, self.card.feature_width)
        if mistake is None and not _same_device(token_BND.device, self._device):
            mistake = (
                f"tokens on {token_BND.device} while the encoder is on {self._device}; do not move them in forward"
            )
        if mistake is not None:
            raise ValueError(f"model '{self.card.model}': the network returns {mistake}")
        return Features(token_BND, grid)

    def _add_circumstances(self, error: Exception, clip_BCTHW: Tensor) -> None:
        """Add notes to an exception of the network; ``failure_sentence`` shows them."""
        error.add_note(f"for clips (B, C, T, H, W) of shape {tuple(clip_BCTHW.shape)}")
        others = {str(p.dtype) for p in self._network.parameters() if p.is_floating_point()} - {str(torch.float32)}
        if others:
            error.add_note(f"its weights are {', '.join(sorted(others))} and clips float32: call network.float()")


def _same_device(one: torch.device, other: torch.device) -> bool:
    return one.type == other.type and (other.index is None or one.index == other.index)


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
        mean, std: normalisation of colours from 0 to 1 that the weights were trained with.
        pretraining_data: shown in tables only, like epochs and seed.

    Raises:
        ValueError: a number is impossible for an encoder, or weights have no values.
    """
    where = f"own_encoder '{model}'"
    if not isinstance(network, nn.Module):
        raise ValueError(f"{where}: the network is {typed(network)}, not a torch.nn.Module; wrap it in one")
    _require_geometry(where, num_frames, tubelet_frames, grid)
    _require_colours(where, mean, std)
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
        "checkpoint_sha256": "",
        "code_sha256": "",
        "pretraining_seed": pretraining_seed,
        "recipe_fingerprint": None,
    }
    return _identified(OwnEncoder(network, parse_spec(EncoderCard, fields, where=where), (grid[0], grid[1], grid[2])))


def _identified(encoder: OwnEncoder) -> OwnEncoder:
    """The encoder, its card with the digests of what it computes now."""
    network = encoder._network
    rest = {name: value for name, value in vars(encoder).items() if name not in ("card", "_device", "_network")}
    digests = {
        "checkpoint_sha256": weights_sha256(network),
        "code_sha256": code_digest(network, type(encoder), rest),
    }
    encoder.card = encoder.card.model_copy(update=digests)
    return encoder


def _require_geometry(where: str, num_frames: int, tubelet_frames: int, grid: tuple[int, int, int]) -> None:
    """ValueError unless the grid is three whole numbers whose time slots fit frames and tubelets."""
    if not (
        isinstance(grid, tuple | list) and len(grid) == 3 and all(type(cells) is int and cells > 0 for cells in grid)
    ):
        raise ValueError(f"{where}: the grid is {grid!r}; give three whole numbers: time slots, rows and columns")
    counts = (num_frames, tubelet_frames)
    if all(type(count) is int and count > 0 for count in counts) and grid[0] * tubelet_frames != num_frames:
        raise ValueError(
            f"{where}: the grid {tuple(grid)} has {grid[0]} time slots, but {num_frames} frames in tubelets of "
            f"{tubelet_frames} make {num_frames / tubelet_frames:g}; its order is time slots, rows, columns"
        )


def _require_colours(where: str, mean: object, std: object) -> None:
    """ValueError unless the values are three numbers for colours from 0 to 1."""
    for name, values in (("mean", mean), ("std", std)):
        if not (isinstance(values, tuple | list) and len(values) == 3):
            raise ValueError(f"{where}: {name} is {values!r}; give three numbers, one each for red, green and blue")
        numbers = [value for value in values if isinstance(value, int | float)]
        least = 0 if name == "mean" else math.ulp(0)
        if len(numbers) < 3 or not all(least <= value <= 1 for value in numbers):
            raise ValueError(
                f"{where}: {name} is {values!r}; give values for colours from 0 to 1 "
                "(divide values for 0 to 255 by 255)"
            )


def is_importable(module: str) -> bool:
    """Whether Python finds a module, the current folder included.

    Raises:
        ValueError: a package above it cannot be imported, or ``module`` is the name of a file.
    """
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    if module.endswith(".py") and Path(module).exists():
        raise ValueError(f"'{module}' is a file; name its module, as in '{module.removesuffix('.py')}:build'")
    package = module.rpartition(".")[0]
    if package and not is_importable(package):
        return False
    with _users_code(f"the package '{package}' cannot be imported"):
        try:
            return importlib.util.find_spec(module) is not None
        except ModuleNotFoundError as error:
            if error.name == package or f"{package} is not a package" in str(error) or error.name == module:
                return False  # the parent is a module, not a package
            raise


def imported_encoder(module: str, function: str) -> Encoder:
    """The encoder that ``function`` of an importable ``module`` returns.

    Raises:
        ValueError: the module cannot be imported; the function does not exist, needs arguments or fails; or its result
            is not an encoder.
    """
    name = f"{module}:{function}"
    with _users_code(f"the module '{module}' cannot be imported"):
        build = getattr(importlib.import_module(module), function, None)
    if build is None:
        raise ValueError(f"there is no model '{name}': the module has no '{function}'")
    if not callable(build):
        raise ValueError(f"{name} is {typed(build)}, not a function; write a function that returns the encoder")
    _require_no_arguments(name, build)
    with _users_code(f"{name} fails"):
        encoder = build()
    if inspect.isgenerator(encoder) or inspect.iscoroutine(encoder):
        raise ValueError(f"{name} is a generator or async function; write a plain one that returns the encoder")
    if not (hasattr(encoder, "encode") and isinstance(getattr(encoder, "card", None), EncoderCard)):
        raise ValueError(
            f"{name} returns {typed(encoder)}, which has no 'card' and 'encode'; make one with "
            "sigma_bench.models.own.own_encoder"
        )
    if isinstance(encoder, OwnEncoder):  # again, as its weights may have been loaded after own_encoder
        return _identified(encoder)
    return _with_code(encoder)


def _with_code(encoder: Encoder) -> Encoder:
    """Add the digest of the code to the card of an encoder that the user wrote."""
    code_sha256 = digest([encoder.card.code_sha256, code_digest(encoder)])
    try:
        encoder.card = encoder.card.model_copy(update={"code_sha256": code_sha256})  # type: ignore[misc]
    except AttributeError as error:
        raise ValueError(
            f"model '{encoder.card.model}': the attribute 'card' of {type(encoder).__name__} cannot be set, and a "
            "digest of its code has to be added to the card; make it a plain attribute"
        ) from error
    return encoder


def _require_no_arguments(name: str, build: Callable[..., Any]) -> None:
    try:
        signature = inspect.signature(build)
    except ValueError:  # unknown for some functions written in C
        return
    try:
        signature.bind()
    except TypeError as error:
        raise ValueError(f"{name} is called without arguments ({error}); give each of them a default") from error


@contextlib.contextmanager
def _users_code(what: str) -> Iterator[None]:
    """Turn any exception of a user's module, including SystemExit, into one sentence with its line."""
    try:
        yield
    except Exception as error:
        hint = "; install it, or start where it can be found" if isinstance(error, ModuleNotFoundError) else ""
        raise ValueError(f"{what}: {failure_sentence(error)}{hint}") from error
    except SystemExit as error:
        raise ValueError(
            f"{what}: it ends the program ({failure_sentence(error)}); a script belongs below if __name__ == '__main__'"
        ) from error
