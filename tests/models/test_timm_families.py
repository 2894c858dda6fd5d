"""Image models of timm by class: tokens equal to those of timm, sizes, norms, training, and damaged files."""

import copy

import pytest
import torch

from sigma_bench.models.timm_encoder import timm_encoder
from tests.models.timm_folders import FAMILIES, build, write_folder


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    return tmp_path_factory.mktemp("timm")


@pytest.fixture(scope="module", params=FAMILIES)
def family(request, folders):
    """The expectations, a model of timm and the encoder of its folder."""
    tiny = FAMILIES[request.param]
    model = build(tiny)
    folder = write_folder(folders / request.param, tiny, model.state_dict())
    return tiny, model, timm_encoder(f"local-dir:{folder}", num_frames=2)


def images(*size, dtype=torch.float32):
    return torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(0), dtype=torch.float64).to(dtype)


@torch.no_grad()
def reference(model, image):
    """The tokens of timm in order row, column, from its function for features of any depth."""
    can_norm = type(model).__name__ not in ("ConvNeXt", "Hiera", "ResNet", "VisionTransformerSAM")
    map_BDhw = model.forward_intermediates(image, indices=1, norm=can_norm, intermediates_only=True)[-1]
    if type(model).__name__ == "VisionTransformerSAM":
        map_BDhw = model.forward_features(image)
    return map_BDhw.flatten(2).transpose(1, 2)


def dynamic(tiny):
    """The model with positions computed for the size of the image, where its class can."""
    return build(tiny, **({"dynamic_img_size": True} if tiny.is_dynamic else {}))


def test_tokens_are_those_of_timm(family):
    tiny, model, encoder = family
    card = encoder.card
    assert (card.mean, card.std, card.image_size) == ((0.5, 0.4, 0.3), (0.2, 0.3, 0.4), tiny.size)
    image = images(tiny.size, tiny.size)
    clip = torch.stack([image, image.flip(0)], dim=2)
    features = encoder.encode(clip)
    assert features.grid == (2, *tiny.grid)
    assert features.token_BND.shape[2] == card.feature_width
    expected = reference(model, image)
    first, second = features.token_BND.unflatten(1, (2, -1)).unbind(1)
    torch.testing.assert_close(first, expected, rtol=0, atol=2e-5)
    torch.testing.assert_close(second, expected.flip(0), rtol=0, atol=2e-5)


def test_tokens_in_float64(family):
    tiny, _, encoder = family
    image = images(tiny.size, tiny.size, dtype=torch.float64)
    with torch.no_grad():
        token_BND = encoder.tokens(copy.deepcopy(encoder.network).double(), image[:, :, None]).token_BND
    torch.testing.assert_close(token_BND, reference(dynamic(tiny).double(), image), rtol=0, atol=1e-12)


def test_other_sizes(family):
    tiny, _, encoder = family
    cell = tiny.size // tiny.grid[0]
    oblong = images(tiny.size + cell, 2 * tiny.size)
    if tiny.sizes == "one":
        with pytest.raises(ValueError, match=rf"takes no frames of .* px: it was built for {tiny.size} x {tiny.size}"):
            encoder.encode(oblong[:, :, None])
        return
    features = encoder.encode(oblong[:, :, None])
    assert features.grid == (1, tiny.grid[0] + 1, 2 * tiny.grid[1])
    torch.testing.assert_close(features.token_BND, reference(dynamic(tiny), oblong), rtol=0, atol=2e-5)
    if tiny.sizes == "patch":
        with pytest.raises(ValueError, match=rf"not multiples of its patch size of {cell} px"):
            encoder.encode(images(tiny.size + 1, tiny.size)[:, :, None])


def test_class_tokens(family):
    tiny, model, encoder = family
    assert (encoder.class_tokens is not None) == tiny.has_class_token
    if encoder.class_tokens is not None:
        image = images(tiny.size, tiny.size)
        with torch.no_grad():
            features = encoder.class_tokens(encoder.network, image[:, :, None].repeat(1, 1, 3, 1, 1))
            expected = model.forward_features(image)[:, :1]
        assert features.grid == (3, 1, 1)
        torch.testing.assert_close(features.token_BND, expected.expand(-1, 3, -1), rtol=0, atol=2e-5)


def test_fine_tuning(family):
    tiny, _, encoder = family
    if not tiny.is_trainable:
        with pytest.raises(ValueError, match="cannot be fine-tuned"):
            encoder.backbone(0.0)
        return
    assert (encoder.parts.norm, encoder.parts.pooled_norm) == (tiny.norm, tiny.pooled_norm)
    backbone = encoder.backbone(0.3)
    clip = images(tiny.size, tiny.size)[:, :, None].repeat(1, 1, 2, 1, 1)
    token_BND = backbone.eval()(clip)
    if tiny.norm is not None:
        token_BND = encoder.network.get_submodule(tiny.norm)(token_BND)
    torch.testing.assert_close(token_BND, encoder.encode(clip).token_BND, rtol=0, atol=2e-5)
    assert torch.equal(backbone(clip), backbone(clip))
    assert not torch.equal(backbone.train()(clip), backbone(clip))
    depth = len(encoder.network.blocks)
    assert {backbone.layer_of(name) for name, _ in backbone.named_parameters()} == set(range(depth + 1))
    assert backbone.layer_of("network.cls_token") == 0
    backbone.eval()(clip).square().sum().backward()
    trained = {name: weight for name, weight in backbone.named_parameters() if weight.requires_grad}
    assert [name for name, weight in trained.items() if weight.grad is None] == []


def damaged(tensors, change):
    """Tensors with one change to the last but one tensor of the first block."""
    names = [name for name in tensors if ".0." in name and tensors[name].ndim and not name.startswith("head")]
    name, tensors = names[-2], dict(tensors)
    value = tensors.pop(name)
    if change == "renamed":
        tensors[f"{name}_"] = value
    elif change == "doubled":
        tensors |= {name: value, name.replace("0", "9", 1): value}
    elif change == "other shape":
        tensors[name] = value[:-1].clone()
    elif change == "not finite":
        tensors[name] = value * torch.nan
    return tensors


@pytest.mark.parametrize("change", ["dropped", "renamed", "doubled", "other shape", "not finite"])
def test_a_damaged_file_is_refused(family, folders, change):
    tiny, model, _ = family
    folder = write_folder(folders / "damaged", tiny, damaged(model.state_dict(), change))
    with pytest.raises(ValueError, match=r"damaged: .*(missing|unexpected|shape|finite|no place|convert)"):
        timm_encoder(f"local-dir:{folder}")
