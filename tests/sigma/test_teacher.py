"""The frozen teacher: one frame per slot, standardised per clip and channel, on the video model's grid or refused.

Shapes: B clips, N tubes, D teacher width.
"""

import pytest
import torch

from sigma_bench.models.recipe_encoder import random_encoder
from sigma_bench.sigma.model import SigmaDinoModel
from sigma_bench.sigma.objective import assign
from sigma_bench.sigma.spec import SigmaDinoObjective, TeacherSpec
from sigma_bench.sigma.teacher import Teacher
from sigma_bench.specs.masked_video import DecoderSpec
from sigma_bench.specs.recipe import EncoderSpec, ImageEncoderSpec
from sigma_bench.training.step import unit_features

VIDEO = EncoderSpec(
    num_frames=4, image_size=32, patch_size=8, tubelet_frames=2, width=16, depth=1, num_heads=1, drop_path=0.0,
    layer_scale=0.0,
)  # fmt: skip


def teacher(patch_size=8, resize="none", stated_width=24, image_size=32, **colours):
    image = ImageEncoderSpec(num_frames=4, image_size=image_size, patch_size=patch_size, width=24, depth=1, num_heads=2)
    frames = random_encoder(image, 0)
    frames.card = frames.card.model_copy(update=colours)
    return Teacher(frames, TeacherSpec(model="t", width=stated_width, resize=resize), VIDEO)


@pytest.fixture(name="clip_BCTHW")
def clip():
    return torch.randn(2, 3, 4, 32, 32, generator=torch.Generator().manual_seed(0))


def test_tokens_are_standardised_per_clip_and_channel(clip_BCTHW):
    token_BND = teacher().tokens(clip_BCTHW)
    assert token_BND.shape == (2, 2 * 16, 24)
    torch.testing.assert_close(token_BND.mean(1), torch.zeros(2, 24), rtol=0, atol=1e-5)
    torch.testing.assert_close(token_BND.var(1), torch.ones(2, 24), rtol=0, atol=1e-3)


def test_only_the_first_frame_of_a_tubelet_is_seen(clip_BCTHW):
    changed = clip_BCTHW.clone()
    changed[:, :, 1::2] = 0
    before = teacher().tokens(clip_BCTHW)
    assert torch.equal(teacher().tokens(changed), before)
    changed[:, :, 2] = 0
    assert not torch.equal(teacher().tokens(changed), before)


def test_another_map_is_refused_or_resized(clip_BCTHW):
    with pytest.raises(ValueError, match=r"has 2 x 2 patches and the video model 4 x 4; choose a teacher .* 'resize"):
        teacher(patch_size=16).tokens(clip_BCTHW)
    token_BND = teacher(patch_size=16, resize="bilinear").tokens(clip_BCTHW)
    assert token_BND.shape == (2, 2 * 16, 24)
    # Bilinear between two map columns centred at 1/4 and 3/4: the four new columns lie on one line between them.
    row = token_BND.reshape(2, 2, 4, 4, 24)[:, :, 0]
    torch.testing.assert_close(row[:, :, 1] - row[:, :, 0], (row[:, :, 3] - row[:, :, 0]) / 4, rtol=1e-3, atol=1e-4)


def test_another_width_is_refused():
    with pytest.raises(ValueError, match="teacher 't' has width 24, the recipe says 384"):
        teacher(stated_width=384)


def test_another_size_and_other_colours_are_refused():
    with pytest.raises(ValueError, match=r"takes images of 48 px, and those of the recipe have 32 px; .* '...@4x32'"):
        teacher(image_size=48)
    with pytest.raises(ValueError, match=r"'t' needs colours of mean \(0.5, 0.5, 0.5\)"):
        teacher(mean=(0.5, 0.5, 0.5))


def test_targets_are_float32_under_autocast(clip_BCTHW):
    """Pretraining runs its step under bfloat16 autocast; tokens, target features and target codes do not change."""
    frozen = teacher()
    decoder = DecoderSpec(width=16, depth=1, num_heads=1)
    objective = SigmaDinoObjective(
        kind="sigma_dino", num_prototypes=20, epsilon=0.05, sinkhorn_iterations=10, temperature=0.1, codes="hard",
        teacher=TeacherSpec(model="t", width=24, resize="none"),
    )  # fmt: skip
    torch.manual_seed(0)
    model = SigmaDinoModel(VIDEO, decoder, objective, frozen)
    mask_BN = torch.arange(32).expand(2, -1) % 4 > 0

    def targets():
        feature_BMW = model.project(clip_BCTHW, mask_BN)
        score_MK, _ = model.prototypes.scores(feature_BMW, feature_BMW)
        return frozen.tokens(clip_BCTHW), unit_features(feature_BMW), assign(score_MK, objective)

    with torch.no_grad():
        expected = targets()
        with torch.autocast("cpu", torch.bfloat16):
            assert (clip_BCTHW @ clip_BCTHW.mT).dtype == torch.bfloat16
            found = targets()
    assert found[0].dtype == torch.float32
    for under_autocast, plain in zip(found, expected, strict=True):
        assert torch.equal(under_autocast, plain)
