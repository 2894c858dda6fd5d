"""DINO's networks: the teacher's running mean, its schedule, and the head's unit lengths."""

import math

import pytest
import torch

from sigma_bench.dino.model import DinoModel, teacher_momentum, update_teacher
from tests.dino.recipes import tiny_dino


@pytest.fixture
def model():
    torch.manual_seed(0)
    return DinoModel(tiny_dino())


def test_the_teacher_starts_as_a_copy_of_the_student(model):
    student, teacher = model.student.state_dict(), model.teacher.state_dict()
    assert student.keys() == teacher.keys()
    assert all(torch.equal(student[name], teacher[name]) for name in student)
    shared = {weight.data_ptr() for weight in student.values()} & {weight.data_ptr() for weight in teacher.values()}
    assert shared == set()


def test_update_by_hand(model):
    with torch.no_grad():
        for weight in model.student.parameters():
            weight.fill_(1.0)
        for weight in model.teacher.parameters():
            weight.fill_(3.0)
    update_teacher(model, 0.75)
    assert all(torch.all(weight == 2.5) for weight in model.teacher.parameters())
    assert all(torch.all(weight == 1.0) for weight in model.student.parameters())
    update_teacher(model, 1.0)
    assert all(torch.all(weight == 2.5) for weight in model.teacher.parameters())


def test_momentum_goes_to_one_by_a_cosine():
    objective = tiny_dino(teacher_momentum=0.996).objective
    momenta = [teacher_momentum(objective, step, 101) for step in range(101)]
    assert momenta[0] == pytest.approx(0.996, abs=1e-15)
    assert momenta[50] == pytest.approx(0.998, abs=1e-15)
    assert momenta[25] == pytest.approx(1 - 0.004 * (1 + math.sqrt(0.5)) / 2, abs=1e-15)
    assert momenta[100] == 1
    assert momenta == sorted(momenta)
    assert teacher_momentum(objective, 0, 1) == pytest.approx(0.996)


def test_scores_are_cosines_whatever_the_lengths(model):
    crop = torch.randn(2, 3, 3, 16, 16)
    with torch.no_grad():
        feature, score = model.student(crop)
        model.student.head.last.weight.mul_(torch.rand(10, 1) * 5 + 0.1)
        model.student.head.mlp[2].weight.mul_(7)
        again = model.student(crop)[1]
    assert feature.shape == (2, 3, 24)
    assert score.shape == (2, 3, 10)
    assert score.abs().max() <= 1 + 1e-6
    torch.testing.assert_close(again, score, rtol=0, atol=1e-6)


def test_crops_are_read_one_by_one(model):
    crop = torch.randn(2, 3, 3, 32, 32)
    feature, score = model.student(crop)
    alone = model.student(crop[1:, 2:])
    torch.testing.assert_close(alone[0][0, 0], feature[1, 2], rtol=0, atol=1e-5)
    torch.testing.assert_close(alone[1][0, 0], score[1, 2], rtol=0, atol=1e-5)


def test_names_of_the_tensors_that_a_checkpoint_keeps(model):
    names = set(model.state_dict())
    assert {"centre", "teacher.backbone.cls_token", "student.head.mlp.0.weight", "student.head.last.weight"} <= names
    assert all(name == "centre" or name.startswith(("student.", "teacher.")) for name in names)
