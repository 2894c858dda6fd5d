"""Image models as encoders of clips: forms of features of timm, local files, and the image ViT of recipes."""

import hashlib

import numpy as np
import pytest
import timm
import torch
from timm.layers import resample_abs_pos_embed

from sigma_bench.dino.model import DinoModel
from sigma_bench.models.checkpoints import save_checkpoint
from sigma_bench.models.frame_encoder import IMAGES_AT_ONCE, frame_tokens, image_vit
from sigma_bench.models.image_statistics import ImageStatistics
from sigma_bench.models.recipe_encoder import pretrained_encoder, random_encoder
from sigma_bench.models.timm_encoder import timm_encoder
from sigma_bench.specs.recipe import IMAGENET_MEAN
from tests.dino.recipes import tiny_dino

NAME = "vit_tiny_patch16_224.augreg_in21k"


@pytest.fixture
def encoder():
    return random_encoder(tiny_dino().encoder, 3)


@pytest.fixture
def clip():
    return torch.randn(2, 3, 4, 32, 32, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """A small ViT of timm with random weights, and its file."""
    torch.manual_seed(0)
    model = timm.create_model(NAME, num_classes=7).eval()
    path = tmp_path_factory.mktemp("weights") / "vit.pth"
    torch.save(model.state_dict(), path)
    return model, path


def build(name, **changes):
    torch.manual_seed(0)
    return timm.create_model(name, num_classes=0, **changes).eval()


def test_tokens_are_those_of_the_single_frames_in_order(encoder, clip):
    features = encoder.encode(clip)
    assert features.grid == (4, 4, 4)
    assert features.token_BND.shape == (2, 64, 24)
    vit = encoder.network
    with torch.no_grad():
        for video, frame in ((0, 0), (1, 2), (1, 3)):
            alone = vit.forward_features(clip[video, :, frame][None])[0, 1:]
            at = features.token_BND[video, frame * 16 : (frame + 1) * 16]
            torch.testing.assert_close(at, alone, rtol=0, atol=1e-5)


def test_permuted_frames_give_permuted_tokens(encoder, clip):
    order = [2, 0, 3, 1]
    token = encoder.encode(clip).token_BND.unflatten(1, (4, 16))
    permuted = encoder.encode(clip[:, :, order]).token_BND.unflatten(1, (4, 16))
    torch.testing.assert_close(permuted, token[:, order], rtol=0, atol=1e-5)
    assert not torch.allclose(permuted, token, atol=1e-2)


def test_a_still_and_a_shorter_clip(encoder, clip):
    still = encoder.encode(clip[:, :, 1:2])
    assert still.grid == (1, 4, 4)
    whole = encoder.encode(clip).token_BND
    torch.testing.assert_close(still.token_BND, whole[:, 16:32], rtol=0, atol=1e-5)


def test_more_frames_than_go_through_at_once(encoder):
    clip = torch.randn(3, 3, IMAGES_AT_ONCE // 2, 32, 32)
    whole = encoder.encode(clip)
    assert whole.grid == (IMAGES_AT_ONCE // 2, 4, 4)
    alone = encoder.encode(clip[2:, :, -1:]).token_BND
    torch.testing.assert_close(whole.token_BND[2:, -16:], alone, rtol=0, atol=1e-5)


def test_rows_and_columns_of_an_oblong_image():
    vit = image_vit(tiny_dino().encoder).eval()
    image = torch.randn(1, 3, 32, 16)
    _, grid = frame_tokens(vit, image)
    assert grid == (4, 2)
    # Pixels of the third row, second column of patches reach that patch's token most.
    image.requires_grad_()
    frame_tokens(vit, image)[0][0, 2 * 2 + 1].pow(2).sum().backward()
    strength = image.grad.abs().sum((0, 1)).reshape(4, 8, 2, 8).sum((1, 3))
    assert np.unravel_index(int(strength.argmax()), (4, 2)) == (2, 1)


@pytest.mark.parametrize(
    ("name", "changes", "grid"),
    [
        ("resnet10t", {}, (7, 7)),
        ("vit_tiny_patch16_224", {}, (14, 14)),
        ("deit_tiny_distilled_patch16_224", {}, (14, 14)),
        ("vit_small_patch14_reg4_dinov2", {"img_size": 224, "depth": 1}, (16, 16)),
        ("swin_tiny_patch4_window7_224", {"depths": (1, 1, 1, 1), "embed_dim": 48}, (7, 7)),
        ("levit_128s", {}, (4, 4)),
    ],
)
def test_forms_of_features(name, changes, grid):
    model = build(name, **changes)
    image = torch.randn(2, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        token, found = frame_tokens(model, image)
        feature = model.forward_features(image)
    assert found == grid
    assert token.shape == (2, grid[0] * grid[1], model.num_features)
    if feature.ndim == 3:
        prefix = feature.shape[1] - grid[0] * grid[1]
        assert prefix == {"vit_tiny_patch16_224": 1, "levit_128s": 0}.get(name, 5 if "reg4" in name else 2)
        assert torch.equal(token, feature[:, prefix:])
    elif name.startswith("swin"):
        assert torch.equal(token[:, 1 * grid[1] + 3], feature[:, 1, 3])
    else:
        assert torch.equal(token[:, 1 * grid[1] + 3], feature[:, :, 1, 3])


def test_a_model_without_one_token_map_is_refused():
    class Pyramid(torch.nn.Module):
        def forward_features(self, image):
            return [image, image]

    class Vector(torch.nn.Module):
        def forward_features(self, image):
            return image.mean((2, 3))

    for model, form in ((Pyramid(), "list"), (Vector(), r"\(1, 3\)")):
        with pytest.raises(ValueError, match=rf"{type(model).__name__} gives features of form {form}.*a ViT or a CNN"):
            frame_tokens(model, torch.zeros(1, 3, 32, 32))


def test_tokens_that_fill_no_grid_are_refused():
    model = build("vit_tiny_patch16_224", depth=1)
    model.num_prefix_tokens = 2
    with pytest.raises(ValueError, match=r"\(1, 197, 192\) for images of \(224, 224\) px"):
        frame_tokens(model, torch.zeros(1, 3, 224, 224))


def test_a_local_file_is_loaded_whole(published):
    model, path = published
    encoder = timm_encoder(NAME, file=path, num_frames=3)
    card = encoder.card
    assert (card.model, card.family, card.num_frames, card.image_size) == (f"{NAME}@3x224", "timm", 3, 224)
    assert (card.mean, card.feature_width, card.tubelet_frames) == ((0.5, 0.5, 0.5), 192, 1)
    assert card.checkpoint_sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert encoder.report is not None and len(encoder.report.matched) == len(model.state_dict()) - 2
    image = torch.randn(1, 3, 1, 224, 224)
    with torch.no_grad():
        expected = model.forward_features(image[:, :, 0])[:, 1:]
    torch.testing.assert_close(encoder.encode(image).token_BND, expected, rtol=0, atol=1e-5)


def test_positions_are_interpolated_for_another_size(published):
    model, path = published
    encoder = timm_encoder(NAME, file=path, image_size=64)
    assert encoder.card.image_size == 64
    assert encoder.encode(torch.randn(1, 3, 2, 64, 64)).grid == (2, 4, 4)
    expected = resample_abs_pos_embed(model.pos_embed, [4, 4])
    torch.testing.assert_close(encoder.network.pos_embed, expected.detach(), rtol=0, atol=0)
    assert torch.equal(encoder.network.pos_embed[:, :1], model.pos_embed[:, :1])


def test_a_convolutional_model_takes_any_size(monkeypatch):
    made = build("resnet10t")

    def create(name, *, pretrained, num_classes):
        return made

    monkeypatch.setattr(timm, "create_model", create)
    encoder = timm_encoder("resnet10t.c3_in1k", image_size=96)
    assert encoder.card.image_size == 96
    assert encoder.encode(torch.randn(1, 3, 2, 96, 96)).grid == (2, 3, 3)


def test_a_file_for_another_patch_size_is_refused(tmp_path):
    """timm would resample the kernel without a warning."""
    path = tmp_path / "vit.pth"
    torch.save(build("vit_tiny_patch16_224", patch_size=32, depth=12).state_dict(), path)
    with pytest.raises(ValueError, match=r"'patch_embed.proj.weight' has shape .*32, 32\), the model needs .*16, 16\)"):
        timm_encoder(NAME, file=path)


def test_an_incomplete_file_is_refused(published, tmp_path):
    model, _ = published
    tensors = dict(model.state_dict())
    del tensors["blocks.3.attn.qkv.bias"]
    torch.save(tensors, tmp_path / "vit.pth")
    with pytest.raises(ValueError, match=r"1 keys missing \('blocks.3.attn.qkv.bias'\)"):
        timm_encoder(NAME, file=tmp_path / "vit.pth")


@pytest.mark.parametrize(
    ("name", "family", "size"),
    [
        ("vit_small_patch16_224.dino", "DINO", 224),
        ("vit_small_patch14_reg4_dinov2.lvd142m", "DINOv2", 518),
        ("vit_small_patch14_reg4_dinov2", "DINOv2", 518),
        ("vit_small_patch16_dinov3.lvd1689m", "timm", 256),
    ],
)
def test_the_card_says_what_timm_says_of_the_weights(name, family, size, monkeypatch):
    create = timm.create_model
    monkeypatch.setattr(timm, "create_model", lambda name, **settings: create(name, **settings | {"pretrained": False}))
    card = timm_encoder(name).card
    assert (card.family, card.image_size, card.mean) == (family, size, IMAGENET_MEAN)
    assert card.model.startswith(name) and "." in card.model
    assert len(card.checkpoint_sha256) == 64


def test_a_mistyped_name_gets_near_ones():
    with pytest.raises(
        ValueError, match=r"no model 'vit_smal_patch16_224.dino'.*Did you mean .*'vit_small_patch16_224"
    ):
        timm_encoder("vit_smal_patch16_224.dino")
    with pytest.raises(ValueError, match=r"no model 'zzz'\. Weights are named with their tag") as caught:
        timm_encoder("zzz")
    assert len(str(caught.value)) < 200


def test_a_name_without_weights_and_a_hub_out_of_reach(monkeypatch):
    with pytest.raises(ValueError, match="no weights for 'vit_base_patch32_plus_256'; give them as"):
        timm_encoder("vit_base_patch32_plus_256")

    def unreachable(*_, **__):
        raise OSError("Cannot connect. And a long story")

    monkeypatch.setattr(timm, "create_model", unreachable)
    with pytest.raises(ValueError, match=r"\(Cannot connect\).*'timm:vit_small_patch16_224.dino:<file>'"):
        timm_encoder("vit_small_patch16_224.dino")


def test_a_size_that_cannot_be_built(published, monkeypatch):
    with pytest.raises(
        ValueError, match="100 px is not a multiple of the patch size of 16 px of 'vit_tiny_patch16_224"
    ):
        timm_encoder(NAME, file=published[1], image_size=100)

    def older_timm(name, **settings):
        raise TypeError("__init__() got an unexpected keyword argument 'img_size'")

    monkeypatch.setattr(timm, "create_model", older_timm)
    with pytest.raises(ValueError, match=r"cannot build 'vit_tiny_.*' for images of 96 px"):
        timm_encoder(NAME, file=published[1], image_size=96)
    with pytest.raises(TypeError):
        timm_encoder(NAME, file=published[1])


def save(path, tensors):
    save_checkpoint(path, tensors, tiny_dino(), seed=4, identity="x")
    return path


def test_our_own_checkpoint_gives_the_teachers_backbone(tmp_path, clip):
    torch.manual_seed(1)
    model = DinoModel(tiny_dino())
    with torch.no_grad():
        for weight in model.student.parameters():
            weight.add_(1.0)
    encoder = pretrained_encoder(save(tmp_path / "model.safetensors", model.state_dict()))
    with torch.no_grad():
        expected = model.teacher.backbone.forward_features(clip[:, :, 1])[:, 1:]
    torch.testing.assert_close(encoder.encode(clip).token_BND[:, 16:32], expected, rtol=0, atol=1e-5)
    card = encoder.card
    assert (card.family, card.model, card.pretraining_seed, card.pretraining_epochs) == ("DINO", "tiny_dino", 4, 1)
    assert (card.num_frames, card.image_size, card.tubelet_frames, card.feature_width) == (4, 32, 1, 24)
    assert card.pretraining_data == ("ssv2",)


@pytest.mark.parametrize("change", ["teacher.backbone.extra", "blocks.9", None])
def test_our_own_checkpoint_is_loaded_strictly(tmp_path, change):
    tensors = dict(DinoModel(tiny_dino()).state_dict())
    if change:
        tensors[change] = torch.zeros(2)
    else:
        del tensors["teacher.backbone.norm.bias"]
    path = save(tmp_path / "model.safetensors", tensors)
    with pytest.raises(ValueError, match="1 keys missing" if change is None else "1 unexpected"):
        pretrained_encoder(path)


def test_random_weights_follow_their_seed_and_leave_the_global_stream_alone(encoder):
    state = torch.random.get_rng_state()
    again, other = (random_encoder(tiny_dino().encoder, seed) for seed in (3, 4))
    assert torch.equal(state, torch.random.get_rng_state())
    assert again.card == encoder.card
    assert other.card.checkpoint_sha256 != encoder.card.checkpoint_sha256
    assert encoder.card.family == "random init"


def test_image_statistics_of_a_frame_models_geometry(clip):
    statistics = ImageStatistics(tiny_dino().encoder)
    assert statistics.encode(clip).token_BND.shape == (2, 4 * 9, statistics.card.feature_width)
