"""The encoder of a V-JEPA network, whether it comes from a released file or from a folder of Hugging Face."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from sigma_bench.models.checkpoints import LoadReport, load_strictly, require_shapes
from sigma_bench.models.encoder import Features, NetworkEncoder, Parts
from sigma_bench.models.jepa_vit import JepaSpec, JepaViT, Variant
from sigma_bench.specs.encoder_card import EncoderCard
from sigma_bench.specs.fingerprint import digest
from sigma_bench.specs.recipe import IMAGENET_MEAN, IMAGENET_STD
from sigma_bench.specs.strict import parse_spec

FAMILY: dict[Variant, str] = {
    "vjepa1": "V-JEPA",
    "vjepa2": "V-JEPA 2",
    "vjepa2-sincos": "V-JEPA 2",
    "vjepa2.1": "V-JEPA 2.1",
}
"""Names of the methods in tables."""
JEPA_PARTS = Parts(blocks="blocks", norm="norm")


def jepa_tokens(network: nn.Module, clip_BCTHW: Tensor) -> Features:
    """Tokens of a ``JepaViT``."""
    spec: JepaSpec = network.spec  # type: ignore[assignment]
    frames, height, width = clip_BCTHW.shape[2:]
    return Features(network(clip_BCTHW), spec.grid(frames, height, width))


def jepa_encoder(network: JepaViT, report: LoadReport, **origin: Any) -> NetworkEncoder:
    """A network as an encoder.

    Args:
        origin: fields of the card about the model and its normalisation.
    """
    spec = network.spec
    is_image = spec.num_frames == 1
    card = EncoderCard(
        num_frames=spec.num_frames,
        image_size=spec.image_size,
        tubelet_frames=1 if is_image else spec.tubelet_frames,
        min_frames=1 if is_image else None,
        feature_width=spec.width,
        num_parameters=sum(parameter.numel() for parameter in network.parameters()),
        code_sha256=digest(["jepa_vit", spec.model_dump(mode="json")]),
        **{"family": FAMILY[spec.variant], "mean": IMAGENET_MEAN, "std": IMAGENET_STD, **origin},
    )
    other = ("patch_embed", "video_mod_embed") if is_image else ("patch_embed_img", "img_mod_embed")
    parts = JEPA_PARTS._replace(unused=other if spec.takes_images else ())
    return NetworkEncoder(network, card, jepa_tokens, parts=parts, report=report)


def load_network(
    spec: JepaSpec, tensors: Mapping[str, Tensor], *, may_be_unexpected: tuple[str, ...], where: str
) -> tuple[JepaViT, LoadReport]:
    """A network with these tensors; ValueError unless they fit exactly, except for prefixes that may be unexpected."""
    require_shapes(lambda: JepaViT(spec), tensors, may_be_unexpected=may_be_unexpected, where=where)
    network = JepaViT(spec)
    return network, load_strictly(network, tensors, may_be_unexpected=may_be_unexpected, where=where)


def resized(spec: JepaSpec, num_frames: int | None, image_size: int | None, *, where: str) -> JepaSpec:
    """The geometry for clips of another length or size; ValueError if the network cannot take such clips."""
    frames = spec.num_frames if num_frames is None else num_frames
    size = spec.image_size if image_size is None else image_size
    try:
        spec.grid(frames, size, size)
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from error
    return parse_spec(JepaSpec, {**spec.model_dump(), "num_frames": frames, "image_size": size}, where=where)
