"""Small random models in the layouts of V-JEPA, VideoMAE v2, MVD and UMT, under the published names of tensors."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from sigma_bench.models.jepa_vit import JepaSpec, JepaViT, Variant
from sigma_bench.models.position_tables import mvd_table, vjepa_table
from sigma_bench.models.video_vit import VideoViT, VitOptions
from tests.models.external_files import (
    HF_CONFIG,
    SMALL,
    finetuned_file,
    huggingface_file,
    pretraining_model,
    randomised,
)

Tensors = dict[str, Tensor]
GRID = (4, 2, 2)
FILE_NAMES = {"vjepa1": "vitl16.pth.tar", "vjepa2": "vitl.pt", "vjepa2-sincos": "latest.pt", "vjepa2.1": "vitb_384.pt"}


def jepa_spec(variant: Variant, **changes: Any) -> JepaSpec:
    has_table = variant in ("vjepa1", "vjepa2-sincos")
    geometry = {
        "variant": variant, "num_frames": 8, "image_size": 16, "patch_size": 8, "tubelet_frames": 2, "width": 24,
        "depth": 12 if variant == "vjepa2.1" else 2, "num_heads": 2, "mlp_width": 40,
        "table_grid": GRID if has_table else None,
    }  # fmt: skip
    return JepaSpec(**{**geometry, **changes})


def jepa_network(variant: Variant, **changes: Any) -> JepaViT:
    """A network with random values, and the fixed table if it has one."""
    network = randomised(JepaViT(jepa_spec(variant, **changes)))
    assert isinstance(network, JepaViT)
    if network.spec.table_grid is not None:
        network.pos_embed.copy_(vjepa_table(network.spec.table_grid, network.spec.width, uniform_power=True))
    return network


def jepa_tensors(network: JepaViT) -> Tensors:
    """The tensors of a network under the names of the released files."""
    tensors = {name: value.clone() for name, value in network.state_dict().items()}
    if network.spec.variant == "vjepa2.1":
        tensors = {name.replace("norm.", "norms_block.3.", name.startswith("norm.")): t for name, t in tensors.items()}
        width = network.spec.width
        tensors |= {
            f"norms_block.{level}.{kind}": torch.randn(width) for level in range(3) for kind in ("weight", "bias")
        }
    return tensors


def wrapped(tensors: Tensors) -> Tensors:
    """The tensors with the prefixes of distributed training."""
    return {f"module.backbone.{name}": value for name, value in tensors.items()}


class Layout(NamedTuple):
    """A layout of files: the tensors that an encoder needs, others, and how both are written."""

    needed: Tensors
    others: Tensors
    write: Callable[[Path, Tensors], str]
    """Writes tensors into a folder and returns the name of the model."""


def jepa_layout(variant: Variant) -> Layout:
    tensors = jepa_tensors(jepa_network(variant))

    def write(path: Path, tensors: Tensors) -> str:
        torch.save({"target_encoder": wrapped(tensors), "opt": None}, path / FILE_NAMES[variant])
        stated = "vjepa2-sincos:" if variant == "vjepa2-sincos" else ""
        return f"{stated}{path / FILE_NAMES[variant]}@8x16@2heads"

    return Layout(tensors, {}, write)


def vjepa2_folder_layout() -> Layout:
    tensors = huggingface_jepa(jepa_tensors(jepa_network("vjepa2")))
    others = {"predictor.layernorm.weight": torch.ones(3)}

    def write(path: Path, tensors: Tensors) -> str:
        return f"hf:{write_folder(path, tensors, VJEPA2_CONFIG)}"

    return Layout(tensors, others, write)


VJEPA2_CONFIG = {
    "model_type": "vjepa2", "patch_size": 8, "tubelet_size": 2, "crop_size": 16, "frames_per_clip": 8,
    "hidden_size": 24, "num_attention_heads": 2, "num_hidden_layers": 2, "mlp_ratio": 5 / 3, "layer_norm_eps": 1e-6,
}  # fmt: skip


def huggingface_jepa(tensors: Tensors, prefix: str = "") -> Tensors:
    """The tensors of V-JEPA 2 under the names of transformers, with separate query, key and value."""
    named: Tensors = {}
    for name, value in tensors.items():
        theirs = name.replace("blocks.", "encoder.layer.").replace("attn.", "attention.")
        theirs = theirs.replace("patch_embed.", "encoder.embeddings.patch_embeddings.")
        if name.startswith("norm."):
            theirs = f"encoder.layernorm.{name.removeprefix('norm.')}"
        if "qkv" not in theirs:
            named[prefix + theirs] = value
            continue
        for part, tensor in zip(("query", "key", "value"), value.chunk(3), strict=True):
            named[prefix + theirs.replace("qkv", part)] = tensor.clone()
    return named


def write_folder(path: Path, tensors: Tensors, config: dict[str, Any]) -> Path:
    path.mkdir(exist_ok=True)
    save_file({name: value.detach().contiguous() for name, value in tensors.items()}, path / "model.safetensors")
    (path / "config.json").write_text(json.dumps(config))
    return path


def giant_like(**changes: Any) -> VideoViT:
    """A small network with properties of VideoMAE v2's giant."""
    options = VitOptions(**{"mlp_width": 104, **changes})
    vit = randomised(VideoViT(SMALL, options))
    assert isinstance(vit, VideoViT)
    return vit


VIDEOMAEV2_CONFIG = {
    "img_size": 32, "patch_size": 8, "in_chans": 3, "num_classes": 0, "embed_dim": 24, "depth": 2, "num_heads": 3,
    "mlp_ratio": 104 / 24, "qkv_bias": True, "qk_scale": None, "drop_rate": 0.0, "attn_drop_rate": 0.0,
    "drop_path_rate": 0.0, "norm_layer": "nn.LayerNorm", "layer_norm_eps": 1e-6, "init_values": 0.0,
    "use_learnable_pos_emb": False, "tubelet_size": 2, "use_mean_pooling": True, "with_cp": False, "num_frames": 8,
    "cos_attn": False,
}  # fmt: skip


def videomaev2_folder(path: Path, tensors: Tensors, **changes: Any) -> Path:
    """A folder as on the hub, with the prefix ``model.`` before all names."""
    config = {key: value for key, value in (VIDEOMAEV2_CONFIG | changes).items() if value != "absent"}
    content = {"model_type": "VideoMAEv2_Base", "auto_map": {"AutoModel": "x.VideoMAEv2"}, "model_config": config}
    return write_folder(path, {f"model.{name}": value for name, value in tensors.items()}, content)


def without_head(tensors: Tensors) -> Tensors:
    return {name: value for name, value in tensors.items() if not name.startswith("head.")}


def saved_as_model(path: Path, tensors: Tensors) -> str:
    torch.save({"model": tensors}, path / "vit.pth")
    return f"{path / 'vit.pth'}@8x32@3heads"


def _divided(tensors: Tensors, others: tuple[str, ...]) -> tuple[Tensors, Tensors]:
    needed = {name: value.detach() for name, value in tensors.items() if not name.startswith(others)}
    return needed, {name: value.detach() for name, value in tensors.items() if name.startswith(others)}


def finetuned_layout(**options: Any) -> Layout:
    return Layout(*_divided(finetuned_file(giant_like(**options)), ("head.",)), saved_as_model)


def videomaev2_folder_layout() -> Layout:
    tensors = without_head(finetuned_file(giant_like()))
    return Layout(tensors, {}, lambda path, tensors: str(videomaev2_folder(path / "hub", tensors)))


MVD_SPEC = SMALL.model_copy(update={"width": 48})


def mvd_network() -> VideoViT:
    vit = randomised(VideoViT(MVD_SPEC, VitOptions(positions="mvd")))
    assert isinstance(vit, VideoViT)
    return vit


def mvd_tensors(vit: nn.Module) -> Tensors:
    """A pretraining file of MVD: the trunk, its table of positions, and two decoders."""
    tensors = {name: value.clone() for name, value in vit.state_dict().items()}
    tensors["pos_embed"] = mvd_table((4, 4, 4), MVD_SPEC.width)[None]
    for kind in ("img", "vid"):
        tensors |= {f"mask_token_{kind}": torch.zeros(1, 1, 4), f"decoder_{kind}.norm.weight": torch.ones(4)}
        tensors |= {f"down_{kind}.weight": torch.ones(4, 48), f"pos_embed_{kind}": torch.zeros(1, 64, 4)}
    return tensors


def mvd_layout() -> Layout:
    others = ("pos_embed", "mask_token", "decoder", "down")
    return Layout(*_divided(mvd_tensors(mvd_network()), others), saved_as_model)


def umt_layout() -> Layout:
    vit = randomised(VideoViT(SMALL.model_copy(update={"tubelet_frames": 1})))
    tensors = {f"encoder.{name}": value for name, value in vit.state_dict().items()}
    return Layout(tensors, {"clip_decoder.0.head.weight": torch.ones(3, 24)}, saved_as_model)


def videomae_folder_layout() -> Layout:
    tensors = _divided(huggingface_file(pretraining_model()), ("decoder.", "mask_token", "encoder_to_decoder."))
    return Layout(*tensors, lambda path, tensors: str(write_folder(path / "hub", tensors, HF_CONFIG)))


TIMESFORMER_WIDTH, TIMESFORMER_HEADS = 24, 2


def timesformer_tensors(*, divided: bool = True, frames: int = 4, depth: int = 2) -> Tensors:
    """Random tensors of a small TimeSformer for 32 px and patches of 8 px, under the original names."""
    width, hidden, generator = TIMESFORMER_WIDTH, 40, torch.Generator().manual_seed(3)
    shapes: dict[str, tuple[int, ...]] = {
        "cls_token": (1, 1, width), "pos_embed": (1, 17, width), "time_embed": (1, frames, width),
        "patch_embed.proj.weight": (width, 3, 8, 8), "patch_embed.proj.bias": (width,),
        "norm.weight": (width,), "norm.bias": (width,),
    }  # fmt: skip
    linear = {"attn.qkv": (3 * width, width), "attn.proj": (width, width), "mlp.fc1": (hidden, width)}
    linear |= {"mlp.fc2": (width, hidden)}
    norms = ["norm1", "norm2"]
    if divided:
        linear |= {"temporal_attn.qkv": (3 * width, width), "temporal_attn.proj": (width, width)}
        linear["temporal_fc"] = (width, width)
        norms.append("temporal_norm1")
    for block in range(depth):
        for name, shape in linear.items():
            shapes |= {f"blocks.{block}.{name}.weight": shape, f"blocks.{block}.{name}.bias": shape[:1]}
        for name in norms:
            shapes |= {f"blocks.{block}.{name}.weight": (width,), f"blocks.{block}.{name}.bias": (width,)}
    return {name: 0.3 * torch.randn(shape, generator=generator) for name, shape in shapes.items()}


def svt_layout() -> Layout:
    others = {"head.mlp.0.weight": torch.ones(3, TIMESFORMER_WIDTH), "head.last_layer.weight_g": torch.ones(3, 1)}

    def write(path: Path, tensors: Tensors) -> str:
        def prefixed(prefix: str, factor: float) -> Tensors:
            return {
                prefix + ("" if name.startswith("head.") else "backbone.") + name: (factor * value).to(value.dtype)
                for name, value in tensors.items()
            }

        content = {"student": prefixed("module.", 2.0), "teacher": prefixed("", 1.0), "motion_student": 0}
        torch.save(content | {"epoch": 20, "dino_loss": {"center": torch.zeros(1, 3)}}, path / "svt.pth")
        return f"{path / 'svt.pth'}@{TIMESFORMER_HEADS}heads"

    return Layout(timesformer_tensors(), others, write)


def timesformer_layout(*, divided: bool = True) -> Layout:
    others = {"head.weight": torch.ones(5, TIMESFORMER_WIDTH), "head.bias": torch.ones(5)}

    def write(path: Path, tensors: Tensors) -> str:
        content = {"model_state": {f"model.{name}": value for name, value in tensors.items()}, "epoch": 3}
        torch.save(content | {"optimizer_state": {"state": {}}}, path / "k600.pyth")
        return f"{path / 'k600.pyth'}@{TIMESFORMER_HEADS}heads"

    return Layout(timesformer_tensors(divided=divided), others, write)


LAYOUTS: dict[str, Callable[[], Layout]] = {
    "V-JEPA": lambda: jepa_layout("vjepa1"),
    "V-JEPA 2": lambda: jepa_layout("vjepa2"),
    "V-JEPA 2 without RoPE": lambda: jepa_layout("vjepa2-sincos"),
    "V-JEPA 2.1": lambda: jepa_layout("vjepa2.1"),
    "V-JEPA 2 folder": vjepa2_folder_layout,
    "VideoMAE v2": finetuned_layout,
    "VideoMAE v2 with cosine attention": lambda: finetuned_layout(cosine_attention=True),
    "VideoMAE v2 folder": videomaev2_folder_layout,
    "VideoMAE folder": videomae_folder_layout,
    "MVD": mvd_layout,
    "UMT": umt_layout,
    "SVT": svt_layout,
    "TimeSformer": timesformer_layout,
    "TimeSformer with joint attention": lambda: timesformer_layout(divided=False),
}
