"""Summary of a model: format, family, geometry, clips, what loads it, and what loading does with each tensor."""

import re
import shlex
from collections.abc import Mapping

from torch import Tensor

from sigma_bench.models import timesformer
from sigma_bench.models.accepted_clips import accepted_frames, accepted_sizes, fine_tuning, geometry
from sigma_bench.models.checkpoints import FORMAT, LoadReport
from sigma_bench.models.encoder import Encoder
from sigma_bench.models.huggingface import is_plain_name
from sigma_bench.models.timm_encoder import image_tensors_in
from sigma_bench.models.weights_file import WeightsFile, read_weights
from sigma_bench.models.zoo import HUGGINGFACE, checkpoint_in, load_encoder, open_weights, split_name


def inspect_model(name: str) -> tuple[dict[str, str], LoadReport | None]:
    """Facts about the model of a name, and what loading did with its tensors (None without a file of tensors).

    A plain folder of Hugging Face is described as ``hf:<folder>``.  An image ViT is described without being loaded,
    because its file does not say which architecture of timm it is.

    Raises:
        ValueError: there is no such model, or its file cannot be read, is incomplete or of a kind that is not
            supported, which the message names.
    """
    path, frames, size, heads = split_name(name)
    if not path.exists():
        return _described(name, load_encoder(name))
    if checkpoint_in(path) is not None:
        return _described(name, load_encoder(name))
    if not is_plain_name(path):
        return _described(f"{HUGGINGFACE}:{name}", load_encoder(f"{HUGGINGFACE}:{name}"))
    file = read_weights(path)
    if (image := _image_facts(file)) is not None:
        return image, None
    return _described(name, open_weights(file, path, num_frames=frames, image_size=size, num_heads=heads))


def _described(name: str, encoder: Encoder) -> tuple[dict[str, str], LoadReport | None]:
    card, report = encoder.card, getattr(encoder, "report", None)
    facts = {
        "file": name,
        "format": report.layout if report else "no file of its own",
        "family": card.family,
        "geometry": geometry(encoder),
        "clip": f"{card.num_frames} frames x {card.image_size} px",
        "accepted": f"frames: {accepted_frames(encoder)}; height and width: {accepted_sizes(encoder)}",
        "fine-tuning": fine_tuning(encoder),
        "load as": f"{name}, as in: sigma-bench check {shlex.quote(name)}",
        "parameters": f"{card.num_parameters:,} in the encoder",
        "pretrained on": ", ".join(card.pretraining_data) or "unknown",
        "length": pretraining_length(encoder),
        "seed": "unknown" if card.pretraining_seed is None else str(card.pretraining_seed),
        "sha256": card.checkpoint_sha256,
    }
    return facts, report


def pretraining_length(encoder: Encoder) -> str:
    """Length of the pretraining of an encoder, such as ``800 epochs`` or ``60 steps``, or ``unknown``."""
    report: LoadReport | None = getattr(encoder, "report", None)
    optim = report.metadata.get("optim") if report is not None and report.layout == FORMAT else None
    if encoder.card.pretraining_epochs:
        return f"{encoder.card.pretraining_epochs:,} epochs"
    return f"{optim['steps']:,} steps" if optim and optim.get("steps") else "unknown"


def _image_facts(file: WeightsFile) -> dict[str, str] | None:
    """Facts about an image ViT; None for any other file."""
    if timesformer.recognises(file):
        return None
    try:
        tensors = image_tensors_in(file)
    except ValueError:
        return None
    width, _, patch, _ = tensors["patch_embed.proj.weight"].shape
    depth = len({found[1] for key in tensors if (found := re.match(r"blocks\.(\d+)\.", key))})
    return {
        "file": str(file.path),
        "format": "image ViT (names of timm and DINO)",
        "family": "image model",
        "accepted": "frames: any number; height and width: as the architecture in timm allows",
        "fine-tuning": "yes",
        "load as": f"timm:<name>:{file.path}, with the name that timm has for its architecture",
        "geometry": f"{depth} blocks, {width} wide, patches of {patch} px, {_positions(tensors)}",
        "parameters": f"{sum(tensor.numel() for tensor in tensors.values()):,} in the trunk",
        "sha256": file.sha256,
    }


def _positions(tensors: Mapping[str, Tensor]) -> str:
    stored = tensors.get("pos_embed")
    return "no learned positions" if stored is None else f"{stored.shape[1]} learned positions"
