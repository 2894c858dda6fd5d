"""The families of models that can be loaded by name, as ``sigma-bench models`` lists them."""

from typing import NamedTuple

from sigma_bench.models.transformers_families import FAMILIES, TOWERS, Family


class ModelFamily(NamedTuple):
    """One line of the list."""

    name: str
    written: str
    """How its models are named on the command line."""
    frames: str
    """Numbers of frames that a clip can have: ``any``, whole ``tubelets``, or ``fixed``."""
    sizes: str
    """Heights and widths of a clip: ``any``, whole ``patches``, or ``fixed``."""
    fine_tuning: str


_TUBES = ("tubelets", "patches", "yes")
_IMAGES = ("any", "patches", "yes")
_BUILT_IN = (
    ModelFamily("SIGMA, VideoMAE (this project)", "<run folder>", *_TUBES),
    ModelFamily("DINO (this project)", "<run folder>", *_IMAGES),
    ModelFamily("SIGMA, VideoMAE, VideoMAE v2, MVD, UMT (released files)", "<file>.pth[@<heads>heads]", *_TUBES),
    ModelFamily("V-JEPA 2, V-JEPA 2.1 (released files)", "vitl.pt or vjepa2:<file>", *_TUBES),
    ModelFamily("V-JEPA (released files)", "vitl16.pth.tar or vjepa1:<file>", *_TUBES),
    ModelFamily("TimeSformer, SVT (released files)", "<file>.pyth or <file>.pth[@<heads>heads]", *_IMAGES),
    ModelFamily("V-JEPA 2 (vjepa2)", "hf:<folder or id>", *_TUBES),
    ModelFamily("VideoMAE, VideoMAE v2 (videomae, VideoMAEv2_*)", "hf:<folder or id>", *_TUBES),
)
_TIMM = (
    ModelFamily("ViT, DINO, DINOv2, DeiT, CLIP, SigLIP, MAE", "timm:<name>[:<file>]", *_IMAGES),
    ModelFamily("DINOv3, EVA-02, PE", "timm:<name>[:<file>]", *_IMAGES),
    ModelFamily("BEiT, Hiera", "timm:<name>[:<file>]", "any", "fixed", "yes"),
    ModelFamily("SAM", "timm:<name>[:<file>]", "any", "patches", "no"),
    ModelFamily("ConvNeXt, ResNet and other CNNs", "timm:<name>[:<file>]", "any", "any", "no"),
    ModelFamily("Swin", "timm:<name>[:<file>]", "any", "fixed", "no"),
    ModelFamily("any model of timm on the hub", "timm:hf-hub:<owner>/<model>", "any", "as its class", "as its class"),
)
_OTHER = (
    ModelFamily("custom encoder", "<module>:<function>", "as its code", "as its code", "if its blocks are named"),
    ModelFamily("initial weights (control)", "random:<recipe>[@seed<n>]", *_TUBES),
    ModelFamily("mean colours (control)", "statistics:<recipe>", "any", "any", "head only"),
)
_ONE_SIZE = ("pe_video_encoder",)
FAMILY_NOTES = (
    "frames and size: any, whole tubelets or patches, or fixed to those of the model.",
    "@<frames>x<size> after a name sets the clips, as in hf:facebook/vjepa2-vitl-fpc64-256@16x256.",
    "hf: needs the extra 'hf' (pip install 'sigma-bench[hf]'), except for videomae, VideoMAEv2_* and vjepa2.",
    "--model-args of evaluate and check chooses layer, norm, class tokens and precision.",
)
"""Sentences that explain the list."""


def model_families() -> tuple[ModelFamily, ...]:
    """All families: files and folders first, then timm, then custom encoders and controls."""
    towers = {inner: outer for outer, (_, inner) in TOWERS.items()}
    ours = tuple(_of_transformers(kind, family, towers.get(kind)) for kind, family in FAMILIES.items())
    return (*_BUILT_IN, *ours, *_TIMM, *_OTHER)


def _of_transformers(kind: str, family: Family, tower: str | None) -> ModelFamily:
    types = f"{tower}, {kind}" if tower else kind
    frames, sizes = "any", "patches"
    if family.is_fixed:
        frames = "fixed"
    if family.is_fixed or kind in _ONE_SIZE:
        sizes = "fixed"
    return ModelFamily(f"{family.name} ({types})", "hf:<folder or id>", frames, sizes, "yes")
