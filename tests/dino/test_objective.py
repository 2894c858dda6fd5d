"""DINO's step against plain loops in float64, its centre, and what must get no gradient."""

import math

import pytest
import torch

from sigma_bench.dino.model import DinoModel
from sigma_bench.dino.objective import cross_view_entropy, dino_step, move_centre
from sigma_bench.training.distribution import joined_processes
from tests.dino.recipes import tiny_dino
from tests.two_processes import in_two_processes


@pytest.fixture
def model():
    torch.manual_seed(0)
    built = DinoModel(tiny_dino()).double()
    built.centre.copy_(torch.randn(10).double() * 0.1)
    with torch.no_grad():  # a teacher that is not the student
        for weight in built.teacher.parameters():
            weight += 0.05 * torch.randn_like(weight)
    return built


@pytest.fixture
def crops():
    noise = torch.Generator().manual_seed(1)
    wide = torch.randn(4, 2, 3, 32, 32, generator=noise, dtype=torch.float64)
    return wide, torch.randn(4, 3, 3, 16, 16, generator=noise, dtype=torch.float64)


def scores(branch, image_CHW):
    """One crop at a time, the head written out."""
    feature = branch.backbone(image_CHW[None])[0]
    first, second = branch.head.mlp[0], branch.head.mlp[2]
    hidden = torch.nn.functional.gelu(first.weight @ feature + first.bias)
    bottleneck = second.weight @ hidden + second.bias
    rows = branch.head.last.weight
    return torch.stack([row @ bottleneck / (row.norm() * bottleneck.norm()) for row in rows]), feature


def plain_loss(model, wide, small, objective):
    total, pairs = 0.0, 0
    for frame in range(len(wide)):
        crops = [*wide[frame], *small[frame]]
        for teacher_view in range(2):
            logit = (scores(model.teacher, crops[teacher_view])[0] - model.centre) / objective.teacher_temperature
            target = logit.exp() / logit.exp().sum()
            for student_view in range(len(crops)):
                if student_view == teacher_view:
                    continue
                logit = scores(model.student, crops[student_view])[0] / objective.student_temperature
                total = total - (target * (logit - logit.exp().sum().log())).sum()
                pairs += 1
    assert pairs == 4 * (2 * 5 - 2)
    return total / pairs


def test_loss_and_gradients_equal_a_plain_loop_over_pairs(model, crops):
    objective = tiny_dino().objective
    expected = plain_loss(model, *crops, objective)
    expected.backward()
    gradients = {name: weight.grad.clone() for name, weight in model.student.named_parameters()}
    model.zero_grad()
    output = dino_step(model, *crops, objective)
    assert output.loss.item() == pytest.approx(expected.item(), rel=1e-12)
    output.loss.backward()
    for name, weight in model.student.named_parameters():
        # timm interpolates positions for the small crops in float32, whatever the model's type.
        exact = {"rtol": 1e-9, "atol": 1e-13} if name != "backbone.pos_embed" else {"rtol": 1e-5, "atol": 1e-8}
        torch.testing.assert_close(weight.grad, gradients[name], **exact, msg=name)


def test_the_teacher_gets_no_gradient(model, crops):
    dino_step(model, *crops, tiny_dino().objective).loss.backward()
    assert all(weight.grad is None and not weight.requires_grad for weight in model.teacher.parameters())
    assert all(weight.grad is not None for weight in model.student.parameters())


def test_a_crop_is_not_compared_with_itself():
    target = torch.tensor([[[1.0, 0.0], [0.0, 1.0]]])
    # The student agrees with the teacher on the same crop and is sure of the opposite on the other one.
    logit = torch.tensor([[[20.0, 0.0], [0.0, 20.0]]])
    assert cross_view_entropy(target, logit).item() == pytest.approx(20)
    with_local = torch.cat([logit, torch.zeros(1, 1, 2)], 1)
    assert cross_view_entropy(target, with_local).item() == pytest.approx((20 + 20 + 2 * math.log(2)) / 4)


def test_the_centre_moves_to_the_mean_of_the_teachers_scores(model, crops):
    before = model.centre.clone()
    mean = torch.stack([scores(model.teacher, crop)[0] for frame in crops[0] for crop in frame]).mean(0)
    dino_step(model, *crops, tiny_dino().objective)
    torch.testing.assert_close(model.centre, 0.8 * before + 0.2 * mean, rtol=0, atol=1e-14)


def test_the_loss_uses_the_centre_from_before_the_step(model, crops):
    objective = tiny_dino(centre_momentum=0.01).objective
    expected = plain_loss(model, *crops, objective)
    assert dino_step(model, *crops, objective).loss.item() == pytest.approx(expected.item(), rel=1e-12)
    assert plain_loss(model, *crops, objective).item() != pytest.approx(expected.item(), rel=1e-3)


def test_monitors_by_hand(model, crops):
    output = dino_step(model, *crops, tiny_dino().objective)
    feature = torch.stack([scores(model.student, crop)[1] for frame in crops[0] for crop in frame])
    unit = feature / feature.norm(dim=1, keepdim=True)
    assert output.monitors["feature_std"].item() == pytest.approx(unit.std(0).mean().item() * math.sqrt(24), rel=1e-5)
    assert 0 < output.monitors["teacher_entropy"].item() < 1
    assert not any(value.requires_grad for value in output.monitors.values())


def test_entropy_is_one_where_the_teacher_says_nothing(model, crops):
    even = tiny_dino(teacher_temperature=1e6).objective
    assert dino_step(model, *crops, even).monitors["teacher_entropy"].item() == pytest.approx(1)


def test_half_precision_autocast_leaves_the_loss_in_float32(crops):
    torch.manual_seed(0)
    model = DinoModel(tiny_dino())
    with torch.autocast("cpu", torch.bfloat16):
        loss = dino_step(model, *(crop.float() for crop in crops), tiny_dino().objective).loss
    assert loss.dtype == torch.float32
    assert model.centre.dtype == torch.float32


def test_entropy_of_half_precision_scores_is_not_rounded():
    target, logit = torch.rand(4, 2, 50).softmax(2), 10 * torch.rand(4, 5, 50)
    exact = cross_view_entropy(target.double(), logit.double()).item()
    with torch.autocast("cpu", torch.bfloat16):
        assert cross_view_entropy(target, logit).item() == pytest.approx(exact, rel=1e-6)


def move_with_a_share(score, folder):
    """What each of two processes does; the shares are unequal, so a mean of the means would be wrong."""
    with joined_processes("cpu") as processes:
        centre = torch.ones(3)
        move_centre(centre, score[:1] if processes.rank == 0 else score[1:], 0.5, processes.group)
        torch.save(centre, folder / f"{processes.rank}.pt")


@pytest.mark.slow
def test_the_centre_is_a_mean_over_all_processes(tmp_path):
    score = torch.arange(18.0).reshape(3, 2, 3)
    in_two_processes(move_with_a_share, score, tmp_path)
    results = torch.stack([torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in range(2)])
    expected = 0.5 + 0.5 * score.reshape(6, 3).mean(0)
    torch.testing.assert_close(results, expected.expand(2, 3))
