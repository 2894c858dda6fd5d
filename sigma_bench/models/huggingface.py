"""Encoders from Hugging Face folders and repositories: ``hf:<folder or name>``.

config.json names the architecture.  VideoMAE and V-JEPA 2 are networks of this project; others are classes of
transformers.  Code of a repository (``trust_remote_code``) is never run.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sigma_bench.models import external, huggingface_vjepa, transformers_encoder
from sigma_bench.models.encoder import NetworkEncoder
from sigma_bench.models.hub import fetch_model, is_repository_name
from sigma_bench.models.huggingface_preprocessor import read_json
from sigma_bench.models.transformers_families import FAMILIES, TOWERS
from sigma_bench.models.weights_file import has_weights, read_weights

CONFIG = "config.json"


def open_huggingface(name: str, *, num_frames: int | None = None, image_size: int | None = None) -> NetworkEncoder:
    """The encoder of a folder, or of a repository of the hub, which is downloaded unless it is in the cache.

    Args:
        name: path of a folder, or name of a repository such as ``facebook/vjepa2-vitl-fpc64-256``.
        num_frames, image_size: geometry of clips, by default that of the folder.

    Raises:
        ValueError: there is no such model, its architecture is unknown, it is incomplete or does not fit its
            configuration, or it cannot take such clips.
    """
    folder = _folder(name)
    settings = read_json(folder / CONFIG)
    if settings is None:
        raise ValueError(f"{name}: the folder has no {CONFIG}, which names the architecture")
    encoder = _opened(name, folder, settings, num_frames, image_size)
    if folder.resolve().name != Path(name).name:  # a snapshot in the hub's cache
        model = encoder.card.model.replace(folder.resolve().name, Path(name).name)
        encoder.card = encoder.card.model_copy(update={"model": model})
    return encoder


def _opened(
    name: str, folder: Path, settings: Mapping[str, Any], num_frames: int | None, image_size: int | None
) -> NetworkEncoder:
    model_type = settings.get("model_type")
    if not isinstance(model_type, str):
        raise ValueError(f"{name}: its {CONFIG} has no model_type, which names the architecture")
    if _is_videomae(model_type):
        return external.open_file(read_weights(folder), folder, num_frames=num_frames, image_size=image_size)
    if model_type == "vjepa2":
        return huggingface_vjepa.open_folder(folder, settings, num_frames=num_frames, image_size=image_size)
    if model_type in FAMILIES or model_type in TOWERS:
        return transformers_encoder.open_folder(folder, settings, num_frames=num_frames, image_size=image_size)
    if "auto_map" in settings:
        raise ValueError(
            f"{name}: a model of type {_shown(model_type)} whose network is code in its repository, which is never "
            "run here; build it in a module of your own, with a function that returns it by sigma_bench.as_encoder, "
            "and name it as module:function"
        )
    known = ", ".join(sorted(("videomae", "vjepa2", *FAMILIES, *TOWERS)))
    raise ValueError(
        f"{name}: a model of type {_shown(model_type)}; known types are {known}; for another network, write a function "
        "that returns it by sigma_bench.as_encoder, and name it as module:function"
    )


def refuse_plain_folder(path: Path) -> None:
    """ValueError if a path needs ``hf:`` before it."""
    if not is_plain_name(path):
        model_type = str((read_json(path / CONFIG) or {}).get("model_type"))
        raise ValueError(f"{path}: a Hugging Face folder of type {_shown(model_type)}; use hf:{path}")


def _shown(model_type: str) -> str:
    """The type for an error, in quotes; an unusually long one is shortened."""
    return repr(model_type if len(model_type) <= 80 else f"{model_type[:80]}...")


def is_plain_name(path: Path) -> bool:
    """Whether a path is read without ``hf:``; folders whose configuration describes another model than VideoMAE are
    not."""
    settings = read_json(path / CONFIG) if path.is_dir() else None
    return _is_videomae(str((settings or {}).get("model_type", "videomae")))


def _is_videomae(model_type: str) -> bool:
    return model_type == "videomae" or model_type.startswith("VideoMAEv2_")


def _folder(name: str) -> Path:
    folder = Path(name)
    if folder.is_dir():
        return folder
    if folder.exists():
        raise ValueError(f"hf:{name} is a file; name the folder with its {CONFIG}")
    if not is_repository_name(name):
        raise ValueError(f"there is no folder '{name}', and no repository of the hub can have this name")
    return fetch_model(name, is_complete=lambda folder: (folder / CONFIG).is_file() and has_weights(folder))
