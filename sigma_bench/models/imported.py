"""Encoders from other modules: ``module:function``, and names that packages register as ``sigma_bench.encoders``.

The function takes no arguments and returns an encoder.  For example, write in a file ``mine.py`` in the current
folder::

    import torch
    import sigma_bench as sb

    def build():
        network = ...                      # clip (B, C, T, H, W) -> tokens (B, N, D), N = T' x H' x W'
        network.load_state_dict(torch.load("mine.pt", weights_only=True))
        return sb.as_encoder(network, name="mine", num_frames=16, image_size=224, tubelet_frames=2,
                             mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))

and run ``sigma-bench check mine:build``.  A package registers a name for the function in its ``pyproject.toml``::

    [project.entry-points."sigma_bench.encoders"]
    mine = "mine:build"

Then ``mine`` is the name of a model.
"""

import contextlib
import importlib
import importlib.util
import inspect
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from sigma_bench.failures import failure_sentence
from sigma_bench.models.code_digest import code_digest
from sigma_bench.models.custom_encoder import CustomEncoder, with_digests
from sigma_bench.models.encoder import Encoder
from sigma_bench.models.encoder_output import typed
from sigma_bench.specs.encoder_card import EncoderCard
from sigma_bench.specs.fingerprint import digest
from sigma_bench.specs.registry import Registry

ENCODERS = Registry("encoder", "sigma_bench.encoders", {})
"""Encoders that other packages register."""
_BUILT_IN = __name__.partition(".")[0] + "."
_plain_cards: dict[int, tuple[EncoderCard, EncoderCard]] = {}
"""Id of a card that includes the digest of a user's code -> that card, and the card without the digest."""


def is_importable(module: str) -> bool:
    """Whether Python finds a module, also in the current folder, which is added to ``sys.path``.

    Raises:
        ValueError: a parent package cannot be imported, or ``module`` is the name of a file.
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
    return identified_encoder(encoder, f"{name} returns")


def registered_encoder(name: str) -> Encoder:
    """The encoder that a package registered under this name.

    Raises:
        ValueError: two packages registered the name, or as ``imported_encoder``.
    """
    module, _, function = ENCODERS.target(name).partition(":")
    if not function:
        raise ValueError(f"the encoder '{name}' is registered as {module}; its package has to name a function as well")
    return imported_encoder(module, function)


def identified_encoder(encoder: Any, opening: str = "the encoder is") -> Encoder:
    """The encoder, after the digests of weights and code in its card have been updated.

    Weights or attributes may have changed since the encoder was made.

    Args:
        opening: beginning of the error message.

    Raises:
        ValueError: the object is not an encoder, or its attribute ``card`` cannot be set.
    """
    if not (hasattr(encoder, "encode") and isinstance(getattr(encoder, "card", None), EncoderCard)):
        raise ValueError(
            f"{opening} {typed(encoder)}, which has no 'card' and 'encode'; make one with sigma_bench.as_encoder"
        )
    if isinstance(encoder, CustomEncoder):
        return with_digests(encoder)
    is_built_in = type(encoder).__module__.startswith(_BUILT_IN)
    return encoder if is_built_in else _with_code(encoder)


def _with_code(encoder: Encoder) -> Encoder:
    """The encoder, after the digest of its code and weights has been added to its card; a second call changes nothing.

    What the digest of the weights in the card was computed from is known to the user alone, so weights count here too.
    """
    _, plain = _plain_cards.get(id(encoder.card), (None, encoder.card))
    _set_card(encoder, plain)
    code_sha256 = digest([plain.code_sha256, code_digest(encoder, counts_weights=True)])
    card = plain.model_copy(update={"code_sha256": code_sha256})
    _set_card(encoder, card)
    _plain_cards[id(card)] = card, plain
    return encoder


def _set_card(encoder: Encoder, card: EncoderCard) -> None:
    """Set the card of an encoder; ValueError if it cannot be set, or is another one afterwards."""
    model = encoder.card.model
    with contextlib.suppress(AttributeError):
        encoder.card = card  # type: ignore[misc]
    if encoder.card is not card:
        raise ValueError(
            f"model '{model}': the attribute 'card' of {type(encoder).__name__} cannot be set, and a digest of its "
            "code has to be added to the card; make it a plain attribute"
        )


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
    """Context that turns an exception of a user's module, including SystemExit, into one sentence with its line."""
    try:
        yield
    except Exception as error:
        hint = "; install it, or start where it can be found" if isinstance(error, ModuleNotFoundError) else ""
        raise ValueError(f"{what}: {failure_sentence(error)}{hint}") from error
    except SystemExit as error:
        raise ValueError(
            f"{what}: it ends the program ({failure_sentence(error)}); a script belongs below if __name__ == '__main__'"
        ) from error
