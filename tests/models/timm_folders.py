"""Tiny image models of timm with random weights, in folders as timm writes them for the hub."""

import json
from typing import NamedTuple

import timm
import torch
from safetensors.torch import save_file


class Tiny(NamedTuple):
    """A tiny variant of an architecture, and what is expected of it."""

    architecture: str
    arguments: dict
    size: int
    grid: tuple[int, int]
    sizes: str
    """``any``, ``patch`` (multiples of the patch size) or ``one``."""
    norm: str | None = None
    """The norm of the tokens, for models that can be fine-tuned."""
    pooled_norm: str | None = None
    is_trainable: bool = True
    has_class_token: bool = True

    @property
    def is_dynamic(self) -> bool:
        """Whether the class has an argument for images of any size."""
        return self.sizes == "patch" and self.is_trainable


_SMALL = {"depth": 2, "embed_dim": 48, "num_heads": 4}
_VIT64 = _SMALL | {"img_size": 64}
_SWIN = {"depths": (1, 1, 1, 1), "embed_dim": 24, "num_heads": (1, 2, 4, 4), "img_size": 64}
_STAGES = {"depths": (1, 1, 1, 1), "dims": (8, 16, 24, 32)}
FAMILIES = {
    "ViT": Tiny("vit_tiny_patch16_224", _VIT64, 64, (4, 4), "patch", "norm"),
    "DINOv2": Tiny("vit_small_patch14_reg4_dinov2", _SMALL | {"img_size": 56}, 56, (4, 4), "patch", "norm"),
    "SigLIP": Tiny("vit_base_patch16_siglip_224", _VIT64, 64, (4, 4), "patch", "norm", has_class_token=False),
    "CLIP": Tiny("vit_base_patch16_clip_224", _VIT64, 64, (4, 4), "patch", "norm"),
    "DeiT III": Tiny("deit3_small_patch16_224", _VIT64, 64, (4, 4), "patch", "norm"),
    "DeiT distilled": Tiny("deit_tiny_distilled_patch16_224", _VIT64, 64, (4, 4), "patch", "norm"),
    "EVA02": Tiny("eva02_tiny_patch14_224", _SMALL | {"img_size": 56}, 56, (4, 4), "patch", None, "fc_norm"),
    "DINOv3": Tiny("vit_small_patch16_dinov3", _VIT64, 64, (4, 4), "patch", "norm"),
    "DINOv3 gated": Tiny("vit_huge_plus_patch16_dinov3", _VIT64, 64, (4, 4), "patch", "norm"),
    "PE core": Tiny("vit_pe_core_tiny_patch16_384", _VIT64, 64, (4, 4), "patch", "norm"),
    "PE spatial": Tiny("vit_pe_spatial_tiny_patch16_512", _VIT64, 64, (4, 4), "patch"),
    "BEiT": Tiny("beit_base_patch16_224", _VIT64, 64, (4, 4), "one", None, "fc_norm"),
    "BEiT v2": Tiny("beitv2_base_patch16_224", _VIT64, 64, (4, 4), "one", None, "fc_norm"),
    "Hiera": Tiny(
        "hiera_tiny_224", {"embed_dim": 24, "num_heads": 1, "stages": (1, 1, 2, 1), "img_size": (64, 64)}, 64, (2, 2),
        "one", None, "head.norm", has_class_token=False,
    ),
    "SAM": Tiny(
        "samvit_base_patch16", _VIT64 | {"global_attn_indexes": (1,), "window_size": 2, "neck_chans": 32}, 64, (4, 4),
        "patch", is_trainable=False, has_class_token=False,
    ),
    "Swin": Tiny("swin_tiny_patch4_window7_224", _SWIN, 64, (2, 2), "one", is_trainable=False, has_class_token=False),
    "Swin v2": Tiny("swinv2_tiny_window8_256", _SWIN, 64, (2, 2), "one", is_trainable=False, has_class_token=False),
    "ConvNeXt": Tiny("convnext_atto", _STAGES, 64, (2, 2), "any", is_trainable=False, has_class_token=False),
    "DINOv3 ConvNeXt": Tiny("convnext_tiny", _STAGES, 64, (2, 2), "any", is_trainable=False, has_class_token=False),
    "ResNet": Tiny("resnet10t", {}, 64, (2, 2), "any", is_trainable=False, has_class_token=False),
}  # fmt: skip


def build(tiny: Tiny, **changes):
    """The model of timm with weights whose gains and biases are not those of initialisation."""
    torch.manual_seed(0)
    model = timm.create_model(tiny.architecture, num_classes=3, **tiny.arguments | changes).eval()
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(0.02 * torch.randn_like(weight))
    return model


def write_folder(folder, tiny: Tiny, tensors):
    """``config.json`` and ``model.safetensors`` as timm writes them."""
    colours = {"mean": [0.5, 0.4, 0.3], "std": [0.2, 0.3, 0.4]}
    config = {
        "architecture": tiny.architecture,
        "num_classes": 3,
        "model_args": tiny.arguments,
        "pretrained_cfg": {**timm.get_pretrained_cfg(tiny.architecture).to_dict(), "tag": "made", **colours}
        | {"input_size": [3, tiny.size, tiny.size], "num_classes": 3},
    }
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config))
    save_file(
        {name: tensor.detach().clone().contiguous() for name, tensor in tensors.items()}, folder / "model.safetensors"
    )
    return folder
