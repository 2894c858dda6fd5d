"""The step of SIGMA against its formula, its micro-batches against the whole batch, and its monitors by hand.

Shapes: B clips, N tubes, M masked tubes, W width, K prototypes.
"""

import math

import pytest
import torch
import torch.nn.functional as F

from sigma_bench.sigma.model import SigmaMlpModel
from sigma_bench.sigma.objective import Codes, batch_codes, monitors, sigma_step
from sigma_bench.sigma.spec import SigmaMlpObjective
from sigma_bench.specs.masked_video import DecoderSpec
from sigma_bench.specs.recipe import EncoderSpec

PROTOTYPES = 12
ENCODER = EncoderSpec(
    num_frames=4, image_size=16, patch_size=8, tubelet_frames=2, width=16, depth=1, num_heads=2, drop_path=0.0,
    layer_scale=0.0,
)  # fmt: skip
DECODER = DecoderSpec(width=8, depth=1, num_heads=1)


def objective(codes):
    return SigmaMlpObjective(
        kind="sigma_mlp", num_prototypes=PROTOTYPES, epsilon=0.05, sinkhorn_iterations=10, temperature=0.1, codes=codes,
        projector_widths=(12, 6),
    )  # fmt: skip


def inputs(num_clips=5):
    """A model in float64, clips and masks; a quarter of the tubes is visible."""
    torch.manual_seed(0)
    model = SigmaMlpModel(ENCODER, DECODER, objective("hard")).double()
    clip_BCTHW = torch.randn(num_clips, 3, 4, 16, 16, dtype=torch.float64)
    mask_BN = torch.stack([torch.arange(8).roll(clip) % 4 > 0 for clip in range(num_clips)])
    return model, clip_BCTHW, mask_BN


def released_codes(score_MK):
    """Sinkhorn as published (SwAV, listing 1): the whole matrix is rescaled twice per iteration."""
    mass_KM = (score_MK.detach() / 0.05).exp().T
    for _ in range(10):
        mass_KM = mass_KM / mass_KM.sum(1, keepdim=True) / len(mass_KM)
        mass_KM = mass_KM / mass_KM.sum(0, keepdim=True)
    return mass_KM.T


def by_formula(model, clip_BCTHW, mask_BN, codes):
    """Equations 3 to 6 in other words: cross-entropy as a sum over all prototypes."""
    target = F.normalize(model.project(clip_BCTHW, mask_BN).flatten(0, 1), dim=1)
    guess = F.normalize(model.decode(model.encode(clip_BCTHW, ~mask_BN), mask_BN).flatten(0, 1), dim=1)
    prototype = model.prototypes.weight
    target_score, guess_score = target @ prototype.T, guess @ prototype.detach().T
    target_code, guess_code = released_codes(target_score), released_codes(guess_score)
    if codes == "hard":
        target_code, guess_code = (F.one_hot(code.argmax(1), PROTOTYPES) for code in (target_code, guess_code))
    terms = target_code * (guess_score / 0.1).log_softmax(1) + guess_code * (target_score / 0.1).log_softmax(1)
    return -terms.sum(1).mean()


@pytest.mark.parametrize("codes", ["hard", "soft"])
def test_loss_and_gradients_are_those_of_the_formula(codes):
    model, *batch = inputs()
    loss = sigma_step(model, *batch, objective(codes)).loss
    expected = by_formula(model, *batch, codes)
    torch.testing.assert_close(loss, expected, rtol=1e-12, atol=0)
    leaves = list(model.parameters())
    for found, wanted in zip(torch.autograd.grad(loss, leaves), torch.autograd.grad(expected, leaves), strict=True):
        torch.testing.assert_close(found, wanted, rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize("codes", ["hard", "soft"])
def test_micro_batches_with_the_codes_of_the_whole_batch_give_its_loss(codes):
    model, clip_BCTHW, mask_BN = inputs()
    parts = [(clip_BCTHW[:2], mask_BN[:2]), (clip_BCTHW[2:], mask_BN[2:])]
    losses = [
        sigma_step(model, *part, objective(codes), codes=code).loss * len(part[0]) / 5
        for part, code in zip(parts, batch_codes(model, parts, objective(codes)), strict=True)
    ]
    whole = sigma_step(model, clip_BCTHW, mask_BN, objective(codes)).loss
    torch.testing.assert_close(sum(losses), whole, rtol=1e-12, atol=0)
    alone = [sigma_step(model, *part, objective(codes)).loss * len(part[0]) / 5 for part in parts]
    assert (sum(alone) - whole).abs() > 1e-6, "codes that are balanced over each part only are another method"


def test_prototypes_have_unit_length_after_a_step():
    model, *batch = inputs()
    with torch.no_grad():
        model.prototypes.weight.mul_(7)
    sigma_step(model, *batch, objective("hard"))
    torch.testing.assert_close(model.prototypes.weight.norm(dim=1), torch.ones(PROTOTYPES).double())


def test_scores_are_float32_under_autocast():
    model, *_ = inputs()
    model.float()
    features = torch.randn(2, 5, 6).bfloat16(), torch.randn(2, 5, 6).bfloat16()
    expected = model.prototypes.scores(*(feature.float() for feature in features))
    with torch.autocast("cpu", torch.bfloat16):
        found = model.prototypes.scores(*features)
    for score, wanted in zip(found, expected, strict=True):
        assert score.dtype == torch.float32
        torch.testing.assert_close(score, wanted, rtol=0, atol=1e-6)  # an error of bfloat16 is about 1e-3


@pytest.mark.parametrize(
    ("target", "guess", "entropy", "agreement"),
    [
        ((0, 1, 2, 3), (0, 1, 3, 2), 1.0, 0.5),
        ((2, 2, 2, 2), (2, 2, 2, 2), 0.0, 1.0),
        ((0, 0, 1, 1), (1, 1, 0, 0), 0.5, 0.0),
    ],
)
@pytest.mark.parametrize("soft", [False, True])
def test_monitors_by_hand(target, guess, entropy, agreement, soft):
    codes = Codes(torch.tensor(target), torch.tensor(guess))
    if soft:
        codes = Codes(*(F.one_hot(code, 4) * 0.4 + 0.1 for code in codes))
    four = objective("hard").model_copy(update={"num_prototypes": 4})
    found = monitors(codes, four)
    assert float(found["usage_entropy"]) == pytest.approx(entropy, abs=1e-6)
    assert float(found["code_agreement"]) == agreement


def test_equal_features_cost_twice_the_logarithm_of_the_number_of_prototypes():
    """Outputs of zero have equal scores for all prototypes, which is the highest plateau of the loss."""
    model, *batch = inputs()
    with torch.no_grad():
        for parameter in (*model.projector[-1].parameters(), *model.decoder.head.parameters()):
            parameter.zero_()
    assert sigma_step(model, *batch, objective("hard")).loss.item() == pytest.approx(2 * math.log(PROTOTYPES))
