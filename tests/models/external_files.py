"""Small random models in the layouts of external checkpoints, under the published names of tensors."""

from pathlib import Path

import torch
from torch import nn

from sigma_bench.models.encoder import Encoder, Features, NetworkEncoder
from sigma_bench.models.external import ExternalCheckpoint, open_file, read_external
from sigma_bench.models.masked_autoencoder import MaskedAutoencoder, tube_width
from sigma_bench.models.video_vit import VideoViT
from sigma_bench.models.weights_file import read_weights
from sigma_bench.specs.masked_video import DecoderSpec
from sigma_bench.specs.recipe import EncoderSpec

SPEC = EncoderSpec(
    num_frames=16, image_size=224, patch_size=16, tubelet_frames=2, width=384, depth=1, num_heads=6, drop_path=0.0,
    layer_scale=0.0,
)  # fmt: skip
"""Geometry of the released ViT-S except for the depth, so that heads, frames and size have default values."""
SMALL = SPEC.model_copy(
    update={"image_size": 32, "num_frames": 8, "patch_size": 8, "width": 24, "depth": 2, "num_heads": 3}
)
HF_CONFIG = {
    "model_type": "videomae", "hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 3, "patch_size": 8,
    "tubelet_size": 2, "image_size": 32, "num_frames": 8, "qkv_bias": True, "use_mean_pooling": False,
    "layer_norm_eps": 1e-6,
}  # fmt: skip


def randomised(module: nn.Module, seed: int = 0) -> nn.Module:
    """Random values for all parameters, including biases and norms, so that all of them differ."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(0.1 * torch.randn(parameter.shape, generator=generator))
    return module.eval()


def pretraining_model(spec: EncoderSpec = SMALL) -> MaskedAutoencoder:
    return randomised(MaskedAutoencoder(spec, DecoderSpec(width=12, depth=1, num_heads=2), tube_width(spec)))


def pretraining_file(model: MaskedAutoencoder, *, prototypes: bool = False, projection: bool = False) -> dict:
    """The weights under the names of a released pretraining checkpoint."""
    weights = dict(model.state_dict())
    if prototypes:
        weights["prototypes"] = torch.randn(5, 4)
    if projection:
        weights |= {"head.0.weight": torch.randn(4, 4), "head.0.bias": torch.randn(4)}
    return weights


def finetuned_file(vit: VideoViT, prefix: str = "") -> dict:
    """The weights under the names of a released classifier: no final norm, but fc_norm and head."""
    width = vit.spec.width
    weights = {name: value for name, value in vit.state_dict().items() if not name.startswith("norm.")}
    weights |= {f"fc_norm.{kind}": torch.randn(width) for kind in ("weight", "bias")}
    weights |= {"head.weight": torch.randn(5, width), "head.bias": torch.randn(5)}
    return {prefix + name: value for name, value in weights.items()}


def huggingface_block(weights: dict, ours: str, theirs: str) -> dict:
    """One block under the names of transformers, with separate query, key and value."""
    named = {}
    query, key, value = weights[f"{ours}.attn.qkv.weight"].chunk(3)
    for kind, part in (("query", query), ("key", key), ("value", value)):
        named[f"{theirs}.attention.attention.{kind}.weight"] = part.clone()
    for bias in ("q_bias", "v_bias"):
        named[f"{theirs}.attention.attention.{bias}"] = weights[f"{ours}.attn.{bias}"]
    for mine, yours in (
        ("attn.proj", "attention.output.dense"),
        ("mlp.fc1", "intermediate.dense"),
        ("mlp.fc2", "output.dense"),
        ("norm1", "layernorm_before"),
        ("norm2", "layernorm_after"),
    ):
        for kind in ("weight", "bias"):
            named[f"{theirs}.{yours}.{kind}"] = weights[f"{ours}.{mine}.{kind}"]
    return named


def huggingface_file(model: MaskedAutoencoder) -> dict:
    """The weights under the names of VideoMAEForPreTraining."""
    weights = model.state_dict()
    named = {name: weights[name] for name in ("mask_token", "encoder_to_decoder.weight")}
    for kind in ("weight", "bias"):
        projection = f"videomae.embeddings.patch_embeddings.projection.{kind}"
        named[projection] = weights[f"encoder.patch_embed.proj.{kind}"]
        named[f"videomae.layernorm.{kind}"] = weights[f"encoder.norm.{kind}"]
        named |= {f"decoder.{part}.{kind}": weights[f"decoder.{part}.{kind}"] for part in ("norm", "head")}
    for index in range(model.encoder.spec.depth):
        named |= huggingface_block(weights, f"encoder.blocks.{index}", f"videomae.encoder.layer.{index}")
    return named | huggingface_block(weights, "decoder.blocks.0", "decoder.decoder_layers.0")


def external_encoder(path: Path, **clip: int) -> NetworkEncoder:
    """The encoder of an external checkpoint; ``clip`` states frames, size or heads."""
    return open_file(read_weights(path), path, **clip)


def external_checkpoint(path: Path) -> ExternalCheckpoint:
    return read_external(read_weights(path), path)


class FeaturesOnly:
    """An encoder that returns tokens but has no accessible network, such as a remote service."""

    def __init__(self, encoder: Encoder) -> None:
        self._encoder, self.card = encoder, encoder.card

    def encode(self, clip_BCTHW: torch.Tensor) -> Features:
        return self._encoder.encode(clip_BCTHW)
