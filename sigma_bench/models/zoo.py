"""Encoders by the model names of the command line.

``path/to/model.safetensors`` or the run folder that holds it; a released file of a video model (``.pth``, ``.pt``,
``.bin``, ``.safetensors``) or a Hugging Face folder; ``timm:<name>`` for a published image model, or
``timm:<name>:<file>`` for its weights on this disk, and ``timm:hf-hub:<owner>/<model>`` or ``timm:local-dir:<folder>``
for a model of timm with its own configuration; ``hf:<folder>`` or ``hf:<name>`` for a folder or repository of Hugging
Face; ``random:<recipe>`` and ``statistics:<recipe>`` for the controls with the geometry of that recipe;
``module:function`` for a custom encoder, or the name that a package registered for it (``models/imported.py``).  A
file, ``timm:`` or ``hf:`` name may be followed by ``@<frames>x<size>`` for clips of another geometry, as in
``vit.pth@8x112``, and a file by ``@<heads>heads`` if it does not determine its number of heads.  The weights of
``random:<recipe>`` are drawn from the seed of the evaluation, those of ``random:<recipe>@seed<seed>`` from the given
seed.
"""

import re
from pathlib import Path

import torch

from sigma_bench.models import external, jepa, timesformer
from sigma_bench.models.checkpoints import is_checkpoint
from sigma_bench.models.encoder import Encoder, NetworkEncoder
from sigma_bench.models.huggingface import CONFIG, open_huggingface, refuse_plain_folder
from sigma_bench.models.image_statistics import ImageStatistics
from sigma_bench.models.imported import ENCODERS, imported_encoder, is_importable, registered_encoder
from sigma_bench.models.model_arguments import with_arguments
from sigma_bench.models.recipe_encoder import pretrained_encoder, random_encoder
from sigma_bench.models.timm_encoder import split_timm_name, timm_encoder
from sigma_bench.models.weights_file import WeightsFile, read_weights
from sigma_bench.specs.catalogue import load_recipe
from sigma_bench.specs.model_arguments import ModelArguments
from sigma_bench.specs.strict import suggestion

CHECKPOINT_NAME = "model.safetensors"
CONTROLS = ("random", "statistics")
PUBLISHED = "timm"
HUGGINGFACE = "hf"
MAX_FRAMES, MAX_PIXELS = 4096, 8192
"""Greatest geometry of clips, as in recipes; far larger clips take all memory."""
FAMILIES = (jepa, timesformer, external)
"""Modules that read the weight files of other projects; the first one that recognises a file opens it.

Such a module defines ``recognises(file)`` and ``open_file(file, path, num_frames=..., image_size=..., num_heads=...)``,
which returns an encoder with a ``LoadReport`` as its attribute ``report``, and raises ``ValueError`` for an incomplete
file or unsuitable clips.
"""
_FUNCTION = re.compile(r"(?P<module>[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*):(?P<function>[A-Za-z_]\w*)")
_FILE_NAME = re.compile(
    r"(?P<path>.+?)(?:@(?P<frames>\d{1,18})x(?P<size>\d{1,18}))?(?:@(?P<heads>\d{1,18})heads)?", re.DOTALL
)
_RECIPE_NAME = re.compile(r"(?P<recipe>.+?)(?:@seed(?P<seed>\d{1,18}))?", re.DOTALL)


def load_encoder(
    name: str,
    *,
    seed: int = 0,
    device: torch.device | str = "cpu",
    arguments: ModelArguments = ModelArguments(),
) -> Encoder:
    """The encoder of a name.

    Args:
        seed: seed of the weights of ``random:<recipe>`` if the name has none.
        device: device of the weights.
        arguments: layer, norm, class tokens and precision.

    Raises:
        ValueError: there is no such file or control, the file is not a complete encoder, or the network does not have
            the part that an argument names.
    """
    encoder = with_arguments(_named(name, seed), arguments)
    return encoder.to(device) if hasattr(encoder, "to") else encoder


def _named(name: str, seed: int) -> Encoder:
    kind, colon, recipe = name.partition(":")
    if colon and kind in CONTROLS:
        return _control(kind, recipe, seed)
    if colon and kind in (PUBLISHED, *jepa.STATED) and not recipe:
        named = "<name>, as in timm:vit_small_patch16_224.dino" if kind == PUBLISHED else "<file>"
        raise ValueError(f"{kind}: names no model; write {kind}:{named}")
    if colon and kind == PUBLISHED:
        return _published(recipe)
    if colon and kind == HUGGINGFACE:
        return _huggingface(recipe)
    if colon and kind in jepa.STATED:
        return open_stated(kind, recipe)
    path, frames, size, heads = split_name(name)
    if name in ENCODERS.names():
        if path.exists():
            raise ValueError(
                f"'{name}' is a file or folder here and an encoder of a package ({ENCODERS.target(name)}); write "
                f"./{name} for the file, or {ENCODERS.target(name)} for the encoder"
            )
        return registered_encoder(name)
    custom = _FUNCTION.fullmatch(name)
    if custom and not path.exists() and is_importable(custom["module"]):
        return imported_encoder(custom["module"], custom["function"])
    if not path.exists() or (path.is_dir() and not any(path.iterdir())):
        raise ValueError(f"there is no model '{name}': no such checkpoint file or run folder.{_hint(name)}")
    if (ours := checkpoint_in(path)) is None:
        return open_weights(read_weights(path), path, num_frames=frames, image_size=size, num_heads=heads)
    if heads is not None:
        raise ValueError(f"{ours}: its recipe states the number of heads; leave '@{heads}heads' out")
    return pretrained_encoder(ours, num_frames=frames, image_size=size)


def open_weights(
    file: WeightsFile, path: Path, *, num_frames: int | None, image_size: int | None, num_heads: int | None
) -> NetworkEncoder:
    """The encoder of a weight file of another project.

    Args:
        path: name of the file in error messages.
        num_frames, image_size: geometry of clips; by default that of the file.
        num_heads: number of attention heads, for a file that does not state it.

    Raises:
        ValueError: no family recognises the file, or its family cannot open it.
    """
    refuse_plain_folder(path)
    family = next((each for each in FAMILIES if each.recognises(file)), external)  # its error describes the file
    return family.open_file(file, path, num_frames=num_frames, image_size=image_size, num_heads=num_heads)


def open_stated(kind: str, rest: str) -> NetworkEncoder:
    """The encoder of a V-JEPA file whose variant is stated: ``vjepa1:<file>[@<frames>x<size>][@<heads>heads]``."""
    variant = next(each for each in jepa.STATED if each == kind)
    path, frames, size, heads = split_name(rest)
    file = read_weights(path)
    if not jepa.recognises(file):
        raise ValueError(f"{path}: does not hold a V-JEPA encoder; leave '{kind}:' out")
    return jepa.open_file(file, path, num_frames=frames, image_size=size, num_heads=heads, variant=variant)


def _control(kind: str, rest: str, seed: int) -> Encoder:
    """A control with the geometry of a recipe: ``<recipe>``, for random weights also ``<recipe>@seed<seed>``."""
    parts = _RECIPE_NAME.fullmatch(rest)
    recipe, own_seed = (parts["recipe"], parts["seed"]) if parts else (rest, None)
    spec = load_recipe(recipe).encoder
    if kind == "random":
        return random_encoder(spec, seed if own_seed is None else int(own_seed))
    if own_seed is not None:
        raise ValueError(f"statistics:{rest}: image statistics have no weights to draw; leave '@seed{own_seed}' out")
    return ImageStatistics(spec)


def _published(rest: str) -> Encoder:
    """An image model of timm, from its hub or a file: ``<name>[:<file>][@<frames>x<size>]``."""
    path, frames, size, heads = split_name(rest)
    if heads is not None:
        raise ValueError(f"timm:{rest}: timm defines the number of heads of its models; leave '@{heads}heads' out")
    model, file = split_timm_name(str(path))
    return timm_encoder(model, file=file, num_frames=frames, image_size=size)


def _huggingface(rest: str) -> Encoder:
    """A folder or a repository of Hugging Face: ``<folder or name>[@<frames>x<size>]``."""
    if not rest:
        raise ValueError("hf: names no model; write hf:<folder>, or hf:<name> for a repository of Hugging Face")
    path, frames, size, heads = split_name(rest)
    if heads is not None:
        raise ValueError(f"hf:{rest}: its {CONFIG} states the number of heads; leave '@{heads}heads' out")
    return open_huggingface(str(path), num_frames=frames, image_size=size)


def split_name(name: str) -> tuple[Path, int | None, int | None, int | None]:
    """The path in a name, and the frames, image size and heads of its suffixes (None if absent)."""
    try:
        if Path(name).exists():
            return Path(name), None, None, None
    except OSError as error:
        raise ValueError(f"{name[:200]}: no model can have this name ({error.strerror})") from error
    parts = _FILE_NAME.fullmatch(name)
    if parts is None:
        return Path(name), None, None, None
    frames, size, heads = (int(parts[key]) if parts[key] else None for key in ("frames", "size", "heads"))
    if (frames or 0) > MAX_FRAMES or (size or 0) > MAX_PIXELS:
        raise ValueError(f"{name}: clips have at most {MAX_FRAMES} frames of {MAX_PIXELS} px")
    return Path(parts["path"]), frames, size, heads


def checkpoint_in(path: Path) -> Path | None:
    """The checkpoint of this project at a path, a file or a run folder; None if there is none."""
    file = path / CHECKPOINT_NAME if path.is_dir() else path
    return file if is_checkpoint(file) else None


def _hint(name: str) -> str:
    kind, colon, _ = name.partition(":")
    if colon:
        known = suggestion(kind, (*CONTROLS, PUBLISHED, HUGGINGFACE, *jepa.STATED))
        return f" No module '{kind}' can be imported from here either.{known}"
    controls = " and ".join(f"{control}:<recipe>" for control in CONTROLS)
    suffix = " Clips of another geometry are written as @<frames>x<size>, as in vit.pth@8x112." if "@" in name else ""
    return f"{suggestion(name, ENCODERS.names())} Controls are {controls}.{suffix}"
