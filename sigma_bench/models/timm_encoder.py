"""Published image models of timm as encoders, with weights from its hub, from a folder or from a file.

Models that compute positions for any grid (ViTs, and the class EVA with its relatives DINOv3 and PE) take frames of any
size that the patch divides, and timm interpolates learned positions in the forward pass.  Others are built for one
size.
"""

import difflib
import re
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, NamedTuple

import timm
from huggingface_hub import try_to_load_from_cache
from timm.data import resolve_model_data_config
from timm.models import PretrainedCfg, is_model_in_modules
from torch import Tensor

from sigma_bench.models.code_digest import weights_sha256
from sigma_bench.models.frame_encoder import FrameEncoder
from sigma_bench.models.hub import TIMM_FILES, fetch_model, is_repository_name, require_reachable
from sigma_bench.models.timm_weights import CONTAINERS, HEADS, fill
from sigma_bench.models.weights_file import WeightsFile, state_dict_in
from sigma_bench.specs.encoder_card import EncoderCard
from sigma_bench.specs.fingerprint import digest
from sigma_bench.specs.strict import suggestion
from sigma_bench.specs.untrusted import parse_json

DEFAULT_FRAMES = 16
"""Number of frames of a clip for a published image model, which does not define one."""
TIMM_FAMILIES = {"dino": "DINO", "dinov2": "DINOv2", "dinov3": "DINOv3"}
HUB, FOLDER = "hf-hub:", "local-dir:"
"""What timm writes before the name of a repository of the hub, and before a folder with the files of one."""
DYNAMIC_MODULES = ("vision_transformer", "deit", "eva")
"""Modules of timm whose models have the argument ``dynamic_img_size`` and keep their tokens with it."""


class Source(NamedTuple):
    """A model that timm can build, and where its weights are."""

    name: str
    """Name for ``timm.create_model``."""
    architecture: str
    shown: str
    """Name of the model in tables."""
    config: Mapping[str, Any]
    """What timm states of the weights: image size, hub, and others."""
    arguments: Mapping[str, Any]
    """Arguments of the constructor that come with the weights."""
    overlay: Mapping[str, Any]
    """What differs from the configuration that timm has for the name."""
    file: Path | None
    """Local weights; None if timm fetches them."""


def timm_encoder(
    name: str, *, file: Path | None = None, num_frames: int | None = None, image_size: int | None = None
) -> FrameEncoder:
    """A published image model, such as ``vit_small_patch16_224.dino`` or ``hf-hub:timm/vit_small_patch16_224.dino``.

    Size, mean and std are those that timm states for the name, so the full name is also needed for a local file.

    Args:
        file: local file with the weights; by default they come from the hub or its cache.
        num_frames: frames of a clip, ``DEFAULT_FRAMES`` unless given.
        image_size: by default the size of the weights; timm interpolates learned positions for another one.

    Raises:
        ValueError: timm has no such model, the model cannot have this size, the hub cannot be reached, or the file does
            not fit.
    """
    frames = DEFAULT_FRAMES if num_frames is None else num_frames
    if frames < 1 or (image_size is not None and image_size < 1):
        raise ValueError(f"timm:{name} cannot take clips of {frames} frames x {image_size} px; both must be at least 1")
    source = _in_folder(name, file) if name.startswith((HUB, FOLDER)) else _published(name, file)
    model = _built(source, image_size)
    own_size = source.config["input_size"][-1]
    size = image_size or own_size
    patch = model.feature_info[-1]["reduction"]
    if source.config.get("fixed_input_size") and size % patch:
        raise ValueError(f"{size} px is not a multiple of the patch size of {patch} px of '{name}'")
    sha256, report = (weights_sha256(model), None) if source.file is None else fill(model, source.file)
    if getattr(model, "attn_pool", None) is not None:
        model.attn_pool = None  # tokens do not depend on it
    return FrameEncoder(model, _card(source, model, frames, size, own_size, sha256), report)


def split_timm_name(text: str) -> tuple[str, Path | None]:
    """The name of a model and the file of its weights, from ``<name>[:<file>]``; the name may begin with a source."""
    start = next((source for source in (HUB, FOLDER) if text.startswith(source)), "")
    name, _, file = text.removeprefix(start).partition(":")
    return start + name, Path(file) if file else None


def _card(source: Source, model: Any, frames: int, size: int, own_size: int, sha256: str) -> EncoderCard:
    colours = resolve_model_data_config(model)
    tag = re.search(r"dino(v\d)?", source.shown)
    is_own = (frames, size) == (DEFAULT_FRAMES, own_size)
    return EncoderCard(
        model=source.shown if is_own else f"{source.shown}@{frames}x{size}",
        family=TIMM_FAMILIES.get(tag.group(), "timm") if tag else "timm",
        num_frames=frames,
        image_size=size,
        tubelet_frames=1,
        mean=tuple(colours["mean"]),
        std=tuple(colours["std"]),
        feature_width=model.num_features,
        num_parameters=sum(parameter.numel() for parameter in model.parameters()),
        checkpoint_sha256=sha256,
        code_sha256=digest(["timm", source.architecture, size, dict(source.arguments)]),
    )


def _published(name: str, file: Path | None) -> Source:
    """A model that timm lists; ValueError if it does not, or has no weights for it and none are given."""
    published = timm.list_models(pretrained=True)
    if name not in published and name not in timm.list_models():
        near = suggestion(name, difflib.get_close_matches(name, published))
        raise ValueError(
            f"timm has no model '{name}'.{near} Weights are named with their tag, as in 'vit_small_patch16_224.dino'."
        )
    config = timm.get_pretrained_cfg(name)
    if file is None and not (config and config.has_weights):
        raise ValueError(f"timm has no weights for '{name}'; give them as 'timm:{name}:<file>'")
    stated: dict[str, Any] = config.to_dict() if config else {"input_size": (3, 224, 224)}
    architecture = name.partition(".")[0]
    shown = name if file is not None else f"{architecture}.{stated['tag']}"
    overlay = _cached_weights(name, stated["hf_hub_id"]) if file is None else {}
    return Source(name, architecture, shown, stated, {}, overlay, file)


def _in_folder(name: str, file: Path | None) -> Source:
    """A model with a configuration of timm, in a folder or in a repository of the hub."""
    place = name.partition(":")[2]
    if name.startswith(FOLDER):
        folder = Path(place)
    elif is_repository_name(place):
        folder = fetch_model(place, lambda path: _has_weights(path) and (path / "config.json").is_file())
    else:
        raise ValueError(f"'{place}' is no name of a repository of the hub; write {HUB}<owner>/<model>")
    try:
        stated = parse_json((folder / "config.json").read_text())
        config, arguments = stated.get("pretrained_cfg", stated), stated.get("model_args") or {}
        architecture, known = stated["architecture"], {field.name for field in fields(PretrainedCfg)}
        overlay = {key: value for key, value in config.items() if key in known}
        is_known = timm.is_model(architecture) and len(config["input_size"]) == 3
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise ValueError(
            f"{place}: no model of timm, whose config.json has the keys architecture and pretrained_cfg ({error!r})"
        ) from error
    if not is_known:
        raise ValueError(f"{place}: timm has no architecture '{architecture}'")
    return Source(architecture, architecture, Path(place).name, config, arguments, overlay, file or folder)


def _has_weights(folder: Path) -> bool:
    return any((folder / name).is_file() for name in TIMM_FILES)


def _built(source: Source, image_size: int | None) -> Any:
    """The model without its classifier; ValueError if timm cannot build or fetch it."""
    settings: dict[str, Any] = {**source.arguments, "num_classes": 0, "pretrained_cfg_overlay": source.overlay}
    if is_model_in_modules(source.architecture, DYNAMIC_MODULES):
        settings["dynamic_img_size"] = True
    elif image_size and source.config.get("fixed_input_size") and "samvit" not in source.architecture:
        settings["img_size"] = image_size
    try:
        return timm.create_model(source.name, pretrained=source.file is None, **settings)
    except OSError as error:
        raise ValueError(
            f"the weights of '{source.name}' cannot be fetched from the hub ({str(error).partition('. ')[0]}); "
            f"fetch them elsewhere and give the file: 'timm:{source.name}:<file>'"
        ) from error
    except (TypeError, ValueError, AssertionError, LookupError, RuntimeError) as error:
        if not source.arguments and "img_size" not in settings:
            raise
        raise ValueError(
            f"timm cannot build '{source.name}' for images of {image_size or source.config['input_size'][-1]} px"
            f"{f' with {dict(source.arguments)}' if source.arguments else ''} ({type(error).__name__}: {error})"
        ) from error


def _cached_weights(name: str, repository: str | None) -> dict[str, Any]:
    """Where timm finds weights in the hub's cache; ValueError if they are not there and the hub is out of reach."""
    if not repository:
        return {}  # a web address
    for file in TIMM_FILES:
        if isinstance(found := try_to_load_from_cache(repository, file), str):
            return {"file": found, "custom_load": False}
    try:
        require_reachable(repository)
    except ValueError as error:
        raise ValueError(f"{error}, as in 'timm:{name}:<file>'") from error
    return {}


def image_tensors_in(file: WeightsFile) -> dict[str, Tensor]:
    """The tensors of an image ViT under the names of timm or DINO, without heads and mask token.

    Raises:
        ValueError: the file does not hold an image ViT.
    """
    found = state_dict_in(file, CONTAINERS, beside=HEADS)
    tensors = {name: tensor for name, tensor in found.items() if not name.startswith((*HEADS, "mask_token"))}
    weight = tensors.get("patch_embed.proj.weight")
    if weight is None or weight.ndim != 4 or "blocks.0.norm1.weight" not in tensors:
        some = ", ".join(f"'{name}'" for name in list(found)[:3])
        raise ValueError(f"{file.path}: not an image ViT under the names of timm or DINO; holds {some}")
    return tensors
