"""Image models as encoders of clips: every frame is read on its own, and its tokens keep their frame.

Published models come through timm, from its hub or from a local file; our own image ViT is what DINO trains.

timm's ``forward_features`` has three forms, told apart by rank and by the attribute ``output_fmt``: tokens (B, N, C)
after ``num_prefix_tokens`` class and register tokens, maps (B, C, h, w), and maps (B, h, w, C) of models that say
``output_fmt = 'NHWC'`` (Swin and its kin).

Shapes: B clips or images, C colours, T frames, H W pixels, h w rows and columns of tokens, N tokens, D width.
"""

import copy
import difflib
import hashlib
import math
import re
from pathlib import Path
from typing import Any

import timm
import torch
from timm.data import resolve_model_data_config
from timm.layers import DropPath
from timm.models import VisionTransformer
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from sigma_bench.models.checkpoints import LoadReport, load_strictly
from sigma_bench.models.code_digest import code_digest
from sigma_bench.models.encoder import Backbone, Features
from sigma_bench.models.image_weights import image_tensors_in, resized_positions
from sigma_bench.models.object_content import tensor_bytes
from sigma_bench.models.video_vit import drop_path_rates
from sigma_bench.models.weights_file import read_weights
from sigma_bench.specs.encoder_card import EncoderCard
from sigma_bench.specs.fingerprint import digest
from sigma_bench.specs.recipe import IMAGENET_MEAN, IMAGENET_STD, ImageEncoderSpec
from sigma_bench.specs.strict import suggestion

IMAGES_AT_ONCE = 128
"""Frames of one forward pass: 64 clips of 16 frames in one pass would take tens of gigabytes."""
DEFAULT_FRAMES = 16
"""Number of frames of a clip for a published image model, which does not define one."""
TIMM_FAMILIES = {"dino": "DINO", "dinov2": "DINOv2"}


def frame_tokens(model: Any, image_BCHW: Tensor) -> tuple[Tensor, tuple[int, int]]:
    """Tokens (B, N, D) of images in order row, column, and how many rows and columns there are.

    Args:
        model: any timm image model.

    Raises:
        ValueError: the model's features are not one map of tokens.
    """
    feature = model.forward_features(image_BCHW)
    rank = feature.ndim if isinstance(feature, Tensor) else 0
    if rank == 4:
        channels_last = getattr(model, "output_fmt", None) == "NHWC"
        map_BhwD = feature if channels_last else feature.permute(0, 2, 3, 1)
        return map_BhwD.flatten(1, 2), (map_BhwD.shape[1], map_BhwD.shape[2])
    if rank == 3:
        token_BND = feature[:, getattr(model, "num_prefix_tokens", 0) :]
        reduction = model.feature_info[-1]["reduction"]
        rows, columns = (math.ceil(side / reduction) for side in image_BCHW.shape[-2:])
        if token_BND.shape[1] == rows * columns:
            return token_BND, (rows, columns)
    found = tuple(feature.shape) if rank else type(feature).__name__
    raise ValueError(
        f"{type(model).__name__} gives features of form {found} for images of {tuple(image_BCHW.shape[-2:])} px, "
        "which are neither tokens nor one feature map; choose a model that keeps a token map, such as a ViT or a CNN"
    )


class FrameEncoder:
    """An image model that reads a clip frame by frame, in evaluation mode.

    A still image is a clip of one frame; where it stands in all frames of a clip, it is read once.
    """

    def __init__(self, model: nn.Module, card: EncoderCard, report: LoadReport | None = None) -> None:
        self._model = model.eval().requires_grad_(False)
        self.card = card
        self.report = report
        """What happened to every tensor of its file; None for an encoder without a file."""

    def to(self, device: torch.device | str) -> "FrameEncoder":
        """The same encoder, its weights on ``device``."""
        self._model.to(device)
        return self

    @torch.inference_mode()
    def encode(self, clip_BCTHW: Tensor) -> Features:
        batch, _, frames = clip_BCTHW.shape[:3]
        is_still = bool((clip_BCTHW[:, :, 1:] == clip_BCTHW[:, :, :1]).all())
        read = 1 if is_still else frames
        device = next(self._model.parameters()).device
        parts = clip_BCTHW[:, :, :read].to(device).transpose(1, 2).flatten(0, 1).split(IMAGES_AT_ONCE)
        tokens, grids = zip(*(frame_tokens(self._model, image_BCHW) for image_BCHW in parts), strict=True)
        token_BTND = torch.cat(tokens).reshape(batch, read, tokens[0].shape[1], -1)
        return Features(token_BTND.expand(-1, frames, -1, -1).flatten(1, 2), (frames, *grids[0]))

    def backbone(self, drop_path: float) -> Backbone:
        if not isinstance(self._model, VisionTransformer):
            raise ValueError(
                f"model '{self.card.model}' is a {type(self._model).__name__}; of the image models only ViTs can be "
                "fine-tuned here; choose one, or a frozen protocol such as knn or linear"
            )
        return FrameBackbone(copy.deepcopy(self._model), drop_path)


class FrameBackbone(Backbone):
    """An image ViT without its final norm, frame by frame; class and register tokens are no features."""

    def __init__(self, vit: VisionTransformer, drop_path: float) -> None:
        super().__init__()
        self.vit = vit.requires_grad_(True)
        self.vit.norm = nn.Identity()
        for block, rate in zip(vit.blocks, drop_path_rates(drop_path, len(vit.blocks)), strict=True):
            block.drop_path1, block.drop_path2 = DropPath(rate), DropPath(rate)

    def forward(self, clip_BCTHW: Tensor) -> Tensor:
        token_BND, _ = frame_tokens(self.vit, clip_BCTHW.transpose(1, 2).flatten(0, 1))
        return token_BND.reshape(len(clip_BCTHW), -1, token_BND.shape[-1])


def timm_encoder(
    name: str, *, file: Path | None = None, num_frames: int | None = None, image_size: int | None = None
) -> FrameEncoder:
    """A published image model, such as ``vit_small_patch16_224.dino``.

    Size, mean and std are those that timm states for the name, so a local file also needs the name with its tag.

    Args:
        file: a ViT's weights on this disk; without it they come from the hub (or its cache).
        num_frames: frames of a clip, ``DEFAULT_FRAMES`` unless given.
        image_size: another size than the weights' own; learned position tables are interpolated by timm.

    Raises:
        ValueError: no such model, no such size, the hub cannot be reached, or the file does not fit.
    """
    frames = DEFAULT_FRAMES if num_frames is None else num_frames
    if frames < 1 or (image_size is not None and image_size < 1):
        raise ValueError(f"timm:{name} cannot take clips of {frames} frames x {image_size} px; both must be at least 1")
    model = _timm_model(name, pretrained=file is None, image_size=image_size)
    patch = model.feature_info[-1]["reduction"]
    if image_size and model.pretrained_cfg.get("fixed_input_size") and image_size % patch:
        raise ValueError(f"{image_size} px are no multiple of the {patch} px patches of '{name}'")
    sha256, report = (weights_sha256(model), None) if file is None else _fill(model, file)
    config = resolve_model_data_config(model)
    published = f"{model.pretrained_cfg['architecture']}.{model.pretrained_cfg['tag']}" if file is None else name
    tag = re.search(r"dino(v\d)?", published)
    own_size = config["input_size"][-1]
    size = image_size or own_size
    is_own = (frames, size) == (DEFAULT_FRAMES, own_size)
    card = EncoderCard(
        model=published if is_own else f"{published}@{frames}x{size}",
        family=TIMM_FAMILIES.get(tag.group(), "timm") if tag else "timm",
        num_frames=frames,
        image_size=size,
        tubelet_frames=1,
        mean=tuple(config["mean"]),
        std=tuple(config["std"]),
        feature_width=model.num_features,
        num_parameters=sum(parameter.numel() for parameter in model.parameters()),
        pretraining_data=(),
        pretraining_epochs=0,
        checkpoint_sha256=sha256,
        code_sha256=digest(["timm", model.pretrained_cfg["architecture"], size]),
        pretraining_seed=None,
        recipe_fingerprint=None,
    )
    return FrameEncoder(model, card, report)


def _timm_model(name: str, *, pretrained: bool, image_size: int | None) -> Any:
    """The model without its classifier; ValueError for what timm does not know, cannot build or cannot fetch."""
    published = timm.list_models(pretrained=True)
    if name not in published and name not in timm.list_models():
        near = suggestion(name, difflib.get_close_matches(name, published))
        raise ValueError(
            f"timm has no model '{name}'.{near} Weights are named with their tag, as in 'vit_small_patch16_224.dino'."
        )
    config = timm.get_pretrained_cfg(name)
    if pretrained and not (config and config.has_weights):
        raise ValueError(f"timm has no weights for '{name}'; give them as 'timm:{name}:<file>'")
    # Models of any size know no such argument.
    size: dict[str, Any] = {"img_size": image_size} if image_size and config and config.fixed_input_size else {}
    try:
        return timm.create_model(name, pretrained=pretrained, num_classes=0, **size)
    except OSError as error:
        raise ValueError(
            f"the weights of '{name}' cannot be fetched from the hub ({str(error).partition('. ')[0]}); "
            f"fetch them elsewhere and give the file: 'timm:{name}:<file>'"
        ) from error
    except TypeError as error:
        if not size:
            raise
        raise ValueError(f"timm cannot build '{name}' for images of {image_size} px; leave its own size") from error


def _fill(model: Any, file: Path) -> tuple[str, LoadReport]:
    """Load a local ViT file completely, learned positions interpolated to the model's grid; the file's digest."""
    weights = read_weights(file)
    tensors = image_tensors_in(weights)
    if "pos_embed" in tensors:
        tensors = resized_positions(tensors, model.patch_embed.grid_size, where=str(file))
    return weights.sha256, load_strictly(model, tensors, where=str(file))


def image_vit(spec: ImageEncoderSpec) -> VisionTransformer:
    """A ViT with a class token and no classifier; positions are interpolated for crops of another size."""
    return VisionTransformer(
        img_size=spec.image_size,
        patch_size=spec.patch_size,
        embed_dim=spec.width,
        depth=spec.depth,
        num_heads=spec.num_heads,
        num_classes=0,
        dynamic_img_size=True,
    )


def random_frame_encoder(spec: ImageEncoderSpec, seed: int) -> FrameEncoder:
    """The initial weights of an image ViT for a seed, untrained."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        vit = image_vit(spec)
    untrained: dict[str, Any] = {
        "model": "random_init",
        "family": "random init",
        "pretraining_data": (),
        "pretraining_epochs": 0,
        "pretraining_seed": seed,
        "checkpoint_sha256": weights_sha256(vit),
        "recipe_fingerprint": None,
    }
    return FrameEncoder(vit, image_vit_card(vit, spec, **untrained))


def weights_sha256(module: nn.Module) -> str:
    """Digest of a module's named tensors, of any type, for weights that are not read from a file.

    Raises:
        ValueError: a weight has no values, because it is on the device 'meta' or not initialised.
    """
    weights = hashlib.sha256()
    for name, value in sorted(module.state_dict().items()):
        if isinstance(value, Tensor) and (value.is_meta or is_lazy(value)):
            raise ValueError(f"the weight '{name}' has no values yet; load or initialise the network before")
        content = tensor_bytes(value) if isinstance(value, Tensor) else code_digest(value).encode()
        weights.update(name.encode() + content)
    return weights.hexdigest()


def image_vit_card(vit: nn.Module, spec: ImageEncoderSpec, **origin: Any) -> EncoderCard:
    """The card of our own image ViT; ``origin`` has the fields about its pretraining."""
    return EncoderCard(
        num_frames=spec.num_frames,
        image_size=spec.image_size,
        tubelet_frames=1,
        mean=IMAGENET_MEAN,
        std=IMAGENET_STD,
        feature_width=spec.width,
        num_parameters=sum(parameter.numel() for parameter in vit.parameters()),
        code_sha256=digest(["image_vit", spec.model_dump(mode="json")]),
        **origin,
    )
