"""The list of model families names every way to load a model, and says truly which of them can be fine-tuned."""

import pytest
import timm

from sigma_bench.models.frame_encoder import FrameEncoder
from sigma_bench.models.model_families import model_families
from sigma_bench.models.transformers_families import FAMILIES, TOWERS
from sigma_bench.models.zoo import load_encoder

IMAGE = load_encoder("random:mini_dino").card


def test_every_type_of_transformers_is_in_the_list() -> None:
    listed = " ".join(family.name for family in model_families())
    assert all(kind in listed for kind in (*FAMILIES, *TOWERS, "vjepa2", "videomae"))


@pytest.mark.parametrize(
    ("name", "says"),
    [("vit_tiny_patch16_224", "yes"), ("swin_tiny_patch4_window7_224", "no"), ("resnet10t", "no")],
)
def test_fine_tuning_is_as_listed_for_classes_of_timm(name: str, says: str) -> None:
    listed = {family.name: family.fine_tuning for family in model_families()}
    rows = {
        "vit": "ViT, DINO, DINOv2, DeiT, CLIP, SigLIP, MAE",
        "swi": "Swin",
        "res": "ConvNeXt, ResNet and other CNNs",
    }
    assert listed[rows[name[:3]]] == says
    encoder = FrameEncoder(timm.create_model(name, num_classes=0), IMAGE)
    if says == "yes":
        assert encoder.backbone(0.0).layer_of("network.blocks.0.norm1.weight") == 1
    else:
        with pytest.raises(ValueError, match="cannot be fine-tuned here"):
            encoder.backbone(0.0)
