"""External weight files, read without running any code in them.

Pickles are read by ``torch.load(weights_only=True)``.  Besides tensors and plain containers, only
``argparse.Namespace`` is allowed, because released SIGMA and VideoMAE files store their arguments in one.
"""

import argparse
import hashlib
import pickle
import re
import struct
import warnings
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from sigma_bench.models.pickle_limits import require_bounded
from sigma_bench.specs.fingerprint import digest
from sigma_bench.specs.untrusted import parse_json, read_bounded

WEIGHT_NAMES = ("model.safetensors", "pytorch_model.bin")
"""File names of weights in a model folder, in order of preference."""
INDEX_SUFFIX = ".index.json"
"""End of the name of the file that lists in which of several files a tensor is."""
MAX_INDEX_BYTES = 64 << 20
PICKLE_SUFFIXES = (".pth", ".pt", ".bin", ".pyth", ".ckpt", ".tar")
WRAPPERS = ("module.", "_orig_mod.", "model.", "backbone.")
"""Prefixes that DDP, DeepSpeed, torch.compile, Lightning, exports of Hugging Face and forks put before every name."""
CONTAINERS = (
    "model", "module", "state_dict", "model_state", "encoder", "target_encoder", "ema_encoder", "teacher", "student",
    "ema",
)  # fmt: skip
"""Keys under which training code stores weights."""
GENERIC_NAMES = {"checkpoint", *(Path(name).stem for name in WEIGHT_NAMES)}
"""File names that do not identify a model; the model then has the name of the folder."""
MAX_DEPTH = 3
"""Greatest number of levels of nested containers."""
_BROKEN_PICKLE = (
    pickle.UnpicklingError, RuntimeError, EOFError, OSError, ValueError, LookupError, TypeError, AttributeError,
    AssertionError, OverflowError, MemoryError, struct.error,
)  # fmt: skip
"""Exceptions of torch's restricted unpickler on damaged bytes."""


@dataclass(frozen=True)
class WeightsFile:
    """Content of a weight file at the top level: tensors by name, or containers of tensors and plain values."""

    path: Path
    content: Mapping[str, Any]
    metadata: Mapping[str, str]
    """The text metadata of a safetensors file."""
    sha256: str


def weights_in(path: Path) -> Path:
    """The weight file at a path, which may be a model folder; for weights in several files, their index.

    Raises:
        ValueError: there is no file, or the folder has no weights.
    """
    if not path.is_dir():
        if not path.is_file():
            raise ValueError(f"{path}: there is no such checkpoint")
        return path
    for name in (*WEIGHT_NAMES, *(f"{name}{INDEX_SUFFIX}" for name in WEIGHT_NAMES)):
        if (path / name).is_file():
            return path / name
    raise ValueError(f"{path}: a folder without {' or '.join(WEIGHT_NAMES)}; name the weight file itself")


def has_weights(folder: Path) -> bool:
    """Whether a model folder holds a weight file, or an index and all of its files."""
    try:
        file = weights_in(folder)
        return not file.name.endswith(INDEX_SUFFIX) or bool(_shards(file))
    except ValueError:
        return False


def model_name(path: Path) -> str:
    """Name of a model in tables: that of its folder, or that of its file without the suffix."""
    resolved = path.resolve()
    if resolved.is_dir():
        return resolved.name
    stem = resolved.name.removesuffix(".tar").rsplit(".", 1)[0]
    return resolved.parent.name if stem in GENERIC_NAMES else stem


def read_weights(path: Path) -> WeightsFile:
    """Read a .safetensors or PyTorch file, or that of a model folder, or the files of an index.

    Raises:
        ValueError: the file cannot be read, is of another kind or damaged, or is a pickle that would run code; or the
            files of an index do not hold exactly the tensors that it lists.
    """
    path = weights_in(path)
    if path.name.endswith(INDEX_SUFFIX):
        return _read_shards(path)
    if path.exists() and not path.is_file():
        raise ValueError(f"{path}: not a regular file; a pipe or a device cannot be read as weights")
    content: Mapping[str, Any]
    if path.suffix == ".safetensors":
        content, metadata = _read_safetensors(path)
    elif path.suffix in PICKLE_SUFFIXES:
        content, metadata = _read_pickle(path), {}
    else:
        known = ", ".join((".safetensors", *PICKLE_SUFFIXES))
        raise ValueError(f"{path}: not a weight file; weight files end in {known}")
    with path.open("rb") as stream:
        sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
    return WeightsFile(path, content, metadata, sha256)


def _read_shards(index: Path) -> WeightsFile:
    """The tensors of all files of an index; the digest is that of the digests of the files."""
    names_in = _shards(index)
    content: dict[str, Any] = {}
    digests = []
    for shard, names in names_in.items():
        file = read_weights(index.parent / shard)
        if astray := sorted(names ^ file.content.keys(), key=str):
            problem = "lacks" if astray[0] in names else "holds"
            raise ValueError(
                f"{index}: {shard} {problem} '{astray[0]}', in contradiction to the index; fetch all files again"
            )
        content |= file.content
        digests.append(file.sha256)
    return WeightsFile(index, content, {}, digest(digests))


def _shards(index: Path) -> dict[str, set[str]]:
    """The names of the tensors of every file that an index lists, by the name of the file.

    Raises:
        ValueError: the index is damaged, or a file is missing or not in its folder.
    """
    try:
        found = parse_json(read_bounded(index, MAX_INDEX_BYTES))
    except ValueError as error:
        raise ValueError(f"{index}: not an index of weight files ({error})") from error
    places = found.get("weight_map") if isinstance(found, dict) else None
    if not isinstance(places, dict) or not places or not all(isinstance(place, str) for place in places.values()):
        raise ValueError(f"{index}: not an index of weight files; 'weight_map' must map each tensor to a file")
    names_in: dict[str, set[str]] = {place: set() for place in sorted(places.values())}
    for name, place in places.items():
        names_in[place].add(name)
    if outside := next(
        (place for place in names_in if Path(place).name != place or place.endswith(INDEX_SUFFIX)), None
    ):
        raise ValueError(f"{index}: lists '{outside}', which is not a weight file of its folder")
    if missing := [place for place in names_in if not (index.parent / place).is_file()]:
        raise ValueError(
            f"{index}: incomplete: {len(missing)} of {len(names_in)} files are missing, such as {missing[0]}"
        )
    return names_in


def state_dict_in(file: WeightsFile, preferred: Sequence[str], *, beside: tuple[str, ...] = ()) -> dict[str, Tensor]:
    """The model's tensors, at the top level of a file or in a container, without the prefixes of wrappers.

    Args:
        preferred: containers to choose if a file holds several, in order of preference.
        beside: beginnings of names, such as those of heads, that do not carry a wrapper's prefix.

    Raises:
        ValueError: there are no tensors or several containers of them, a value is not a tensor, or only some of the
            names carry a prefix.
    """
    found, where = file.content, str(file.path)
    for _ in range(MAX_DEPTH):
        if (inner := _container(found, preferred, where=where)) is None:
            break
        found = inner
    if not found or not all(isinstance(name, str) for name in found):
        raise ValueError(f"{where}: holds no tensors by name")
    strange = [name for name, value in found.items() if not isinstance(value, Tensor)]
    if empty := next((name for name in found if name not in strange and not has_values(found[name])), None):
        raise ValueError(
            f"{where}: '{empty}' is not stored as plain values but sparse, quantised or on a device 'meta'"
        )
    if strange:
        raise ValueError(
            f"{where}: not a model's weights: '{strange[0]}' is of type {type(found[strange[0]]).__name__}, not a "
            f"tensor; found {_some(found)}; weights are looked for at the top level and in {', '.join(CONTAINERS)}"
        )
    return _unwrapped(found, beside, where=where)


def has_values(tensor: Tensor) -> bool:
    """Whether a tensor of a file holds plain numbers, and is not sparse, quantised, or without content."""
    return tensor.layout == torch.strided and not tensor.is_meta and not tensor.is_quantized


def _container(content: Mapping[str, Any], preferred: Sequence[str], *, where: str) -> Mapping[str, Any] | None:
    """The container of weights in a mapping; None if there is none."""
    present = [key for key in CONTAINERS if isinstance(content.get(key), Mapping) and content[key]]
    chosen = next((key for key in preferred if key in present), None)
    if chosen is None and len(present) > 1:
        raise ValueError(
            f"{where}: holds several sets of weights ({', '.join(present)}); save one of them in a separate file"
        )
    chosen = chosen or (present[0] if present else None)
    return None if chosen is None else content[chosen]


def _unwrapped(tensors: Mapping[str, Tensor], beside: tuple[str, ...], *, where: str) -> dict[str, Tensor]:
    """Tensors without the prefixes that all names carry, apart from names in ``beside``."""
    plain = {name: tensor.detach() for name, tensor in tensors.items()}
    while prefix := next((one for one in WRAPPERS if _wraps(one, plain, beside)), None):
        shortened: dict[str, Tensor] = {}
        for name, tensor in plain.items():
            short = name.removeprefix(prefix)
            if short in shortened:
                raise ValueError(f"{where}: two tensors are called '{short}' without the prefix '{prefix}'")
            shortened[short] = tensor
        plain = shortened
    for prefix in WRAPPERS:
        without = [name for name in plain if not name.startswith(prefix)]
        if 0 < len(without) < len(plain):
            raise ValueError(
                f"{where}: '{prefix}' stands before {len(plain) - len(without)} of {len(plain)} names and not before "
                f"{_some(without)}; save the tensors of the encoder alone"
            )
    return plain


def _wraps(prefix: str, names: Collection[str], beside: tuple[str, ...]) -> bool:
    wrapped = [name for name in names if name.startswith(prefix)]
    return bool(wrapped) and all(name.startswith((prefix, *beside)) for name in names)


def _some(names: Collection[str]) -> str:
    """The first three names, for an error."""
    first = ", ".join(f"'{name}'" for name in list(names)[:3])
    return f"{first} and {len(names) - 3} more" if len(names) > 3 else first


def _read_safetensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    try:
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise ValueError(f"{path}: not a safetensors checkpoint ({error})") from error


def _read_pickle(path: Path) -> Mapping[str, Any]:
    require_bounded(path)
    try:
        with torch.serialization.safe_globals([argparse.Namespace]), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about old formats, which can still be read
            content = torch.load(path, map_location="cpu", weights_only=True)
    except _BROKEN_PICKLE as error:
        wanted = re.search(r"GLOBAL (\S+)", str(error))
        if wanted:
            raise ValueError(
                f"{path}: refused, since reading it would run code: it asks for '{wanted[1]}'; if you trust its "
                "source, open it there and save only its tensors"
            ) from error
        reason = " ".join(str(error).split("WeightsUnpickler error:")[-1].split("Please")[0].split())[:120]
        raise ValueError(f"{path}: not a PyTorch weight file, or a damaged one ({reason})") from error
    if not isinstance(content, Mapping):
        raise ValueError(f"{path}: holds a {type(content).__name__}, not weights by name")
    return content
