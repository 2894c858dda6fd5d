"""Checkpoints of this project: safetensors files, loaded completely or not at all.

The metadata of a file hold the recipe, the seed and the length of the training, so that the weights are identified.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import torch
from pydantic import Field
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from sigma_bench.records.store import write_atomically
from sigma_bench.specs.recipe import MAX_SEED, Count, Recipe, parse_recipe
from sigma_bench.specs.strict import Label, LeanSpec, Spec, parse_spec
from sigma_bench.specs.untrusted import parse_json

FORMAT = "sigma-bench/1"
CUSTOM_VIDEOS = " custom videos)"
"""End of the name of custom videos in the pretraining data of a card."""


@dataclass(frozen=True)
class Checkpoint:
    """Content of a checkpoint file: tensors by name and a description of the run."""

    path: Path
    tensors: Mapping[str, Tensor]
    recipe: Recipe
    seed: int
    epochs: int
    """Number of epochs; 0 if the recipe states steps instead."""
    identity: str
    """Digest of the recipe, the seed, the data and the start of the run that wrote the file."""
    sha256: str
    origin: "RunOrigin"


class CustomVideos(Spec):
    """Custom videos that a model was pretrained on."""

    name: Label
    num_videos: Count
    """Number of listed videos, including those that do not decode."""

    def __str__(self) -> str:
        return f"{self.name} ({self.num_videos:,}{CUSTOM_VIDEOS}"


class InitialWeights(Spec):
    """The checkpoint that a run started from."""

    model: Label
    sha256: Annotated[str, Field(max_length=200)]
    """Digest of its weights."""
    pretraining_data: tuple[Label, ...]
    """Data that it was pretrained on; empty if it does not state them."""
    loaded: tuple[Label, ...]
    """Parts of the model that its weights were loaded into."""
    initialised: tuple[Label, ...]
    """Parts of the model that started from new random weights."""

    def __str__(self) -> str:
        new = f"; new weights: {', '.join(self.initialised)}" if self.initialised else ""
        return f"{self.model} (loaded: {', '.join(self.loaded)}{new})"


class RunOrigin(LeanSpec):
    """What a run was given besides its recipe and seed; empty for a run on datasets of the catalogue."""

    videos: CustomVideos | None = None
    init: InitialWeights | None = None

    def pretraining_data(self, datasets: tuple[str, ...]) -> tuple[str, ...]:
        """All data that the weights have seen: those of the checkpoint that the run started from come first."""
        own = datasets if self.videos is None else (str(self.videos),)
        if self.init is None:
            return own
        before = self.init.pretraining_data or (f"that of {self.init.model}, not stated",)
        return tuple(dict.fromkeys((*before, *own)))


class CheckpointMetadata(RunOrigin):
    """Metadata of a checkpoint; the recipe is validated by the class of its method."""

    recipe: dict[str, Any]
    seed: Annotated[int, Field(ge=0, le=MAX_SEED)]
    epochs: Annotated[int, Field(ge=0, le=2**31 - 1)]
    identity: Annotated[str, Field(max_length=200)]


@dataclass(frozen=True)
class LoadReport:
    """Result of loading for every tensor of a file and of a model, and other facts about the file."""

    matched: tuple[str, ...]
    missing: tuple[str, ...]
    unexpected: tuple[str, ...]
    layout: str = ""
    """Name of the layout of an external checkpoint."""
    warnings: tuple[str, ...] = ()
    """Warnings about content that is allowed but unusual."""
    metadata: Mapping[str, Any] = field(default_factory=dict)
    """Arguments, configuration or metadata in the file."""


def save_checkpoint(
    path: Path,
    tensors: Mapping[str, Tensor],
    recipe: Recipe,
    *,
    seed: int,
    identity: str,
    origin: RunOrigin | None = None,
) -> None:
    """Write weights with their recipe and origin, atomically."""
    content = {
        "recipe": recipe.model_dump(mode="json"),
        "seed": seed,
        "epochs": recipe.optim.epochs or 0,
        "identity": identity,
        **(origin.model_dump(mode="json") if origin else {}),
    }
    # One key only: safetensors does not keep the order of several, and the same run must give the same bytes.
    metadata = {FORMAT: json.dumps(content)}
    plain = {name: tensor.detach().contiguous().cpu() for name, tensor in tensors.items()}
    write_atomically(path, save(plain, metadata))


def read_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint file.

    Raises:
        ValueError: the file does not exist, is not in the format of safetensors, or lacks the metadata of this project.
    """
    if not path.is_file():
        raise ValueError(f"{path}: there is no such checkpoint")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise ValueError(f"{path}: not a safetensors checkpoint ({error})") from error
    if FORMAT not in metadata:
        raise ValueError(f"{path}: a safetensors file, but not a checkpoint of sigma-bench (no '{FORMAT}' metadata)")
    about, recipe = _described(metadata[FORMAT], path)
    with path.open("rb") as stream:
        sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
    origin = RunOrigin(videos=about.videos, init=about.init)
    return Checkpoint(path, tensors, recipe, about.seed, about.epochs, about.identity, sha256, origin)


def _described(text: str, path: Path) -> tuple[CheckpointMetadata, Recipe]:
    """The validated metadata of a file; ValueError unless this project wrote them."""
    try:
        content = parse_json(text)
    except ValueError as error:
        raise ValueError(f"{path}: the metadata of this checkpoint are not JSON ({error})") from error
    if not isinstance(content, dict):
        raise ValueError(f"{path}: the metadata of this checkpoint are not a JSON object")
    about = parse_spec(CheckpointMetadata, content, where=f"{path} (metadata)")
    return about, parse_recipe(content["recipe"], where=f"{path} (recipe)")


def is_checkpoint(path: Path) -> bool:
    """Whether a file is a checkpoint of this project."""
    if not path.is_file():
        return False
    try:
        with safe_open(path, framework="pt") as file:
            return FORMAT in (file.metadata() or {})
    except (SafetensorError, OSError):
        return False


def require_shapes(
    outline: Callable[[], nn.Module],
    tensors: Mapping[str, Tensor],
    *,
    may_be_unexpected: tuple[str, ...] = (),
    where: str,
) -> None:
    """Check names and shapes of tensors against a module before any memory is taken for it.

    The description of the model in a file may be damaged or forged; the tensors of the file limit its size.

    Args:
        outline: builds the module; it is called on the device ``meta``, where tensors have shapes and no content.
        may_be_unexpected, where: as in ``load_strictly``.

    Raises:
        ValueError: as in ``load_strictly``.
    """
    with torch.device("meta"):
        wanted = outline().state_dict()
    _names(wanted, tensors, (), may_be_unexpected, where)
    for name in wanted.keys() & tensors.keys():
        _require_shape(tensors[name], wanted[name], name=name, where=where)


def load_strictly(
    module: nn.Module,
    tensors: Mapping[str, Tensor],
    *,
    may_be_missing: tuple[str, ...] = (),
    may_be_unexpected: tuple[str, ...] = (),
    where: str,
) -> LoadReport:
    """Load tensors into a module; each of its tensors must be in the file, of the right shape and finite.

    Args:
        may_be_missing: prefixes of keys of the module that the file may lack; these tensors keep their values.
        may_be_unexpected: prefixes of keys of the file that the module may lack.
        where: beginning of the error message.

    Raises:
        ValueError: a tensor is missing, unexpected, of another shape or kind of number, or not finite; in this case
            nothing is loaded.
    """
    report = require_tensors(
        module.state_dict(),
        tensors,
        may_be_missing=may_be_missing,
        may_be_unexpected=may_be_unexpected,
        where=where,
    )
    module.load_state_dict({name: tensors[name] for name in report.matched}, strict=False)
    return report


def require_tensors(
    wanted: Mapping[str, Tensor],
    tensors: Mapping[str, Tensor],
    *,
    may_be_missing: tuple[str, ...] = (),
    may_be_unexpected: tuple[str, ...] = (),
    where: str,
) -> LoadReport:
    """Compare tensors of a file with those that a model needs, which may be on the device ``meta``.

    Raises:
        ValueError: as in ``load_strictly``.
    """
    absent, surplus = _names(wanted, tensors, may_be_missing, may_be_unexpected, where)
    matched = sorted(wanted.keys() & tensors.keys())
    for name in matched:
        _require_fit(tensors[name], wanted[name], name=name, where=where)
    return LoadReport(tuple(matched), tuple(absent), tuple(surplus))


def _names(
    wanted: Mapping[str, Tensor],
    tensors: Mapping[str, Tensor],
    may_be_missing: tuple[str, ...],
    may_be_unexpected: tuple[str, ...],
    where: str,
) -> tuple[list[str], list[str]]:
    """Names that the file lacks and that the module does not have; ValueError if one of them is not allowed."""
    absent = sorted(set(wanted) - set(tensors))
    missing = tuple(name for name in absent if not name.startswith(may_be_missing))
    surplus = sorted(set(tensors) - set(wanted))
    unexpected = tuple(name for name in surplus if not name.startswith(may_be_unexpected))
    if missing or unexpected:
        raise ValueError(
            f"{where}: does not fit the model: {len(missing)} keys missing{_first(missing)}, "
            f"{len(unexpected)} unexpected{_first(unexpected)}"
        )
    return absent, surplus


def _require_shape(found: Tensor, wanted: Tensor, *, name: str, where: str) -> None:
    if found.shape != wanted.shape:
        raise ValueError(f"{where}: '{name}' has shape {tuple(found.shape)}, the model needs {tuple(wanted.shape)}")


def _require_fit(found: Tensor, wanted: Tensor, *, name: str, where: str) -> None:
    _require_shape(found, wanted, name=name, where=where)
    is_eight_bit = found.is_floating_point() and found.dtype.itemsize == 1
    if found.is_floating_point() != wanted.is_floating_point() or is_eight_bit:
        raise ValueError(f"{where}: '{name}' holds {found.dtype}, the model needs {wanted.dtype}; quantised weights?")
    if not torch.isfinite(found.to(wanted.dtype)).all():
        raise ValueError(f"{where}: '{name}' holds values that are not finite")


def _first(names: tuple[str, ...]) -> str:
    return f" ('{names[0]}'{', ...' if len(names) > 1 else ''})" if names else ""
