"""Encoders from Hugging Face folders by transformers, loaded completely or not at all.

transformers renames, splits and joins tensors when it reads a file, and gives random values to those that it does not
find.  Therefore the names and shapes in the file are compared with those that the class, with the configuration of the
folder, would write; and after reading, the values that it would write are compared with those in the file.
"""

import contextlib
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sigma_bench.models.checkpoints import LoadReport, require_tensors
from sigma_bench.models.encoder import NetworkEncoder
from sigma_bench.models.huggingface_preprocessor import Preprocessing, read_preprocessing
from sigma_bench.models.timm_encoder import DEFAULT_FRAMES
from sigma_bench.models.transformers_families import FAMILIES, TOWERS, Family
from sigma_bench.models.transformers_tokens import cells, image_side
from sigma_bench.models.weights_file import WeightsFile, has_values, read_weights
from sigma_bench.specs.encoder_card import EncoderCard
from sigma_bench.specs.fingerprint import digest

_NEUTRAL = {
    "transformers_version", "_name_or_path", "_commit_hash", "architectures", "auto_map", "torch_dtype", "dtype",
    "id2label", "label2id", "initializer_range", "initializer_factor", "attn_implementation", "_attn_implementation",
}  # fmt: skip
"""Keys of a configuration that do not change the tokens."""


def open_folder(
    folder: Path, settings: Mapping[str, Any], *, num_frames: int | None = None, image_size: int | None = None
) -> NetworkEncoder:
    """The encoder of a folder with a model of transformers.

    Args:
        settings: content of its config.json, whose ``model_type`` is in ``FAMILIES`` or ``TOWERS``.
        num_frames, image_size: geometry of clips, by default that of the configuration and the preprocessor.

    Raises:
        ValueError: transformers is not installed, the weights do not fit the configuration, or the model cannot take
            such clips.
    """
    _, family = _family(settings)
    file = read_weights(folder)
    return open_tensors(
        _tensors_of(file, where=str(folder)),
        settings,
        read_preprocessing(folder, mean=family.mean, std=family.std, has_offset=family.has_offset),
        where=str(folder),
        num_frames=num_frames,
        image_size=image_size,
        model=folder.resolve().name,
        checkpoint_sha256=file.sha256,
    )


def open_tensors(
    tensors: Mapping[str, Tensor],
    settings: Mapping[str, Any],
    preprocessing: Preprocessing,
    *,
    where: str,
    num_frames: int | None,
    image_size: int | None,
    model: str,
    **origin: Any,
) -> NetworkEncoder:
    """The encoder of tensors under the names that transformers writes into files.

    Args:
        settings: a configuration as in config.json.
        preprocessing: normalisation of clips, and their size if it is not that of the configuration.
        where: beginning of error messages.
        num_frames, image_size: geometry of clips; None means that of the configuration.
        model: name in tables, to which another geometry is added.
        origin: other fields of the card.

    Raises:
        ValueError: as in ``open_folder``.
    """
    key, family = _family(settings)
    if (num_blocks := _num_blocks(settings)) > len(tensors):  # before a damaged number takes all memory
        raise ValueError(f"{where}: config.json states {num_blocks} blocks, but there are {len(tensors)} tensors")
    model_class, config = _class_and_configuration(family, settings, key, where=where)
    family.adapt(config, tensors)
    loaded, report = _loaded(model_class, config, family, tensors, where=where)
    network: Any = family.prepare(loaded.eval())
    own_frames, own_size = getattr(config, "num_frames", DEFAULT_FRAMES), preprocessing.size or _published_side(network)
    frames = own_frames if num_frames is None else num_frames
    size = own_size if image_size is None else image_size
    _require_geometry(family, network, frames, size, where=where)
    described = settings.get(key, {}) if key else settings
    card = EncoderCard(
        model=model + ("" if (frames, size) == (own_frames, own_size) else f"@{frames}x{size}"),
        num_frames=frames,
        image_size=size,
        tubelet_frames=config.tubelet_size[0] if hasattr(config, "tubelet_size") else 1,
        min_frames=frames if family.is_fixed else None,
        mean=preprocessing.mean,
        std=preprocessing.std,
        feature_width=network.num_features if hasattr(network, "num_features") else config.hidden_size,
        num_parameters=sum(parameter.numel() for parameter in network.parameters()),
        code_sha256=digest(
            ["transformers", family.model, {name: value for name, value in described.items() if name not in _NEUTRAL}]
        ),
        **{"family": family.name, **origin},
    )
    report = replace(report, layout=f"Hugging Face {settings['model_type']}", metadata=dict(settings))
    return NetworkEncoder(
        network,
        card,
        family.tokens,
        parts=family.parts(network),
        class_tokens=family.class_tokens,
        report=report,
    )


def _family(settings: Mapping[str, Any]) -> tuple[str, Family]:
    """Key of the vision model in a configuration of several models ('' for a vision model alone), and its family."""
    key, model_type = TOWERS.get(settings["model_type"], ("", settings["model_type"]))
    return key, FAMILIES[model_type]


def _class_and_configuration(
    family: Family, settings: Mapping[str, Any], key: str, *, where: str
) -> tuple[type[Any], Any]:
    """The class of transformers and its configuration; ValueError if one of the two is not possible."""
    try:
        import transformers  # takes seconds to import, and is an optional dependency
        from transformers.core_model_loading import revert_weight_conversion  # noqa: F401
    except ImportError as error:
        raise ValueError(
            f"{where}: models of type '{settings['model_type']}' are read by transformers (version 5 or later), which "
            "is not installed; install it by pip install 'sigma-bench[hf]'"
        ) from error
    model_class = getattr(transformers, family.model, None)
    if model_class is None:
        raise ValueError(f"{where}: transformers {transformers.__version__} has no {family.model}; install a later one")
    if settings.get("quantization_config"):
        raise ValueError(f"{where}: the weights are quantised; use the original ones")
    if key and not isinstance(settings.get(key, settings.get(f"{key}_dict")), Mapping):
        raise ValueError(f"{where}: config.json has no {key}, which describes the vision model")
    try:
        with _quiet():
            whole = transformers.CONFIG_MAPPING[settings["model_type"]].from_dict(dict(settings))
        config = getattr(whole, key) if key else whole
        for name, value in {**family.settings, "output_hidden_states": False, "return_dict": True}.items():
            setattr(config, name, value)
    except Exception as error:  # of several libraries, for values of a wrong type
        raise ValueError(f"{where}: config.json does not fit {family.model} ({_line(error)})") from error
    heads, width = (getattr(config, name, 1) for name in ("num_attention_heads", "hidden_size"))
    if heads < 1 or width < 1 or width % heads:
        raise ValueError(f"{where}: config.json states {heads} attention heads, which do not divide the width {width}")
    return model_class, config


def _tensors_of(file: WeightsFile, *, where: str) -> dict[str, Tensor]:
    content = file.content
    strange = [name for name, value in content.items() if not isinstance(value, Tensor) or not has_values(value)]
    if strange or not content:
        found = f"'{strange[0]}' is not a tensor of plain values" if strange else "it is empty"
        raise ValueError(f"{where}: {file.path.name} does not hold tensors by name ({found})")
    return dict(content)


def _num_blocks(settings: Mapping[str, Any]) -> int:
    """Greatest number of blocks that a configuration states for one of its models."""
    counts = [value for name, value in settings.items() if name.endswith(("_layers", "depth", "depths"))]
    flat = [count for value in counts for count in (value if isinstance(value, list) else [value])]
    inner = [_num_blocks(value) for value in settings.values() if isinstance(value, Mapping)]
    return max(sum(count for count in flat if isinstance(count, int)), *inner, 0)


def _loaded(
    model_class: Any, config: Any, family: Family, tensors: Mapping[str, Tensor], *, where: str
) -> tuple[Any, LoadReport]:
    """A model with exactly the values of a file; ValueError if the file does not hold exactly its tensors."""
    from transformers.core_model_loading import revert_weight_conversion

    arguments = family.arguments(tensors)
    wanted = _outline(model_class, config, arguments, where=where)
    prefix = max(("", *family.prefixes), key=lambda prefix: sum(prefix + name in tensors for name in wanted))
    own = {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
    stray = [name for name in tensors if not name.startswith((prefix, *family.heads))]
    if stray:
        raise ValueError(f"{where}: unexpected tensor '{stray[0]}'; those of the model begin with '{prefix}'")
    report = require_tensors(wanted, own, may_be_unexpected=family.heads, where=where)
    own = {name: own[name] for name in report.matched}
    with _quiet():
        model, _ = model_class.from_pretrained(
            None,
            config=config,
            state_dict=dict(own),
            dtype=torch.float32,
            attn_implementation="sdpa" if model_class._supports_sdpa else "eager",
            output_loading_info=True,
            **arguments,
        )
    written = revert_weight_conversion(model, model.state_dict())
    changed = [name for name in own if name not in written or not torch.equal(written[name], own[name].float())]
    if changed or len(written) != len(own):
        raise ValueError(
            f"{where}: this version of transformers does not keep the value of '{(changed or [prefix])[0]}'"
        )
    matched = {prefix + name for name in own}
    return model, LoadReport(tuple(sorted(matched)), (), tuple(sorted(tensors.keys() - matched)))


def _outline(model_class: Any, config: Any, arguments: dict[str, Any], *, where: str) -> dict[str, Any]:
    """The tensors that a class would write, by their names in files, without memory for their values."""
    from transformers.core_model_loading import revert_weight_conversion

    try:
        with torch.device("meta"), _quiet(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about tensors without elements, whose shapes are then refused
            model = model_class(config, **arguments)
            return revert_weight_conversion(model, model.state_dict())
    except Exception as error:  # of several libraries, for values that cannot be
        raise ValueError(f"{where}: {model_class.__name__} cannot have this config.json ({_line(error)})") from error


def _published_side(network: Any) -> int:
    if hasattr(network, "embedder"):  # PE-video: the side of the image model inside
        return network.embedder.vision_model.timm_model.patch_embed.img_size[0]
    return image_side(network.config)


def _require_geometry(family: Family, network: Any, frames: int, size: int, *, where: str) -> None:
    config, side = network.config, _published_side(network)
    cannot = f"{where}: cannot take clips of {frames} frames x {size} px"
    if frames < 1 or size < 1:
        raise ValueError(f"{cannot}; both must be at least 1")
    if family.is_fixed and (frames, size) != (config.num_frames, side):
        raise ValueError(f"{cannot}; {family.name} has positions for {config.num_frames} frames x {side} px only")
    if family.is_fixed and frames % config.tubelet_size[0]:
        raise ValueError(f"{cannot}, since its tubelets have {config.tubelet_size[0]} frames")
    if hasattr(network, "embedder"):
        if size != side:
            raise ValueError(f"{cannot}; its image model takes images of {side} px only")
        return
    try:
        cells(config, size, size)
    except ValueError as error:
        raise ValueError(f"{cannot}: {error}") from error


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Context without the progress bars and remarks of transformers, whose loading is checked here."""
    from transformers.utils import logging

    verbosity, has_bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if has_bars:
            logging.enable_progress_bar()


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:160] or type(error).__name__
