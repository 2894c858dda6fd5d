"""Image models as encoders of clips: forms of features of timm, and the image ViT of recipes."""

import numpy as np
import pytest
import timm
import torch

from sigma_bench.dino.model import DinoModel
from sigma_bench.models.checkpoints import save_checkpoint
from sigma_bench.models.frame_encoder import IMAGES_AT_ONCE, frame_tokens, image_vit
from sigma_bench.models.image_statistics import ImageStatistics
from sigma_bench.models.recipe_encoder import pretrained_encoder, random_encoder
from tests.dino.recipes import tiny_dino


@pytest.fixture
def encoder():
    return random_encoder(tiny_dino().encoder, 3)


@pytest.fixture
def clip():
    return torch.randn(2, 3, 4, 32, 32, generator=torch.Generator().manual_seed(0))


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
