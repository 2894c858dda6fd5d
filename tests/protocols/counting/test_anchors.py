"""Anchors and loss against golden values, by hand, and against a plain loop."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from sigma_bench.data.annotations import CycleBounds, neighbour_offsets
from sigma_bench.protocols.counting.anchors import IGNORED, anchor_targets, counting_loss, cycle_lengths

ANCHORS = (0.5, 0.67, 0.8, 1.0, 1.25, 1.5, 2.0)


def test_labels_29_and_9_on_a_current_length_of_24_as_released() -> None:
    """A label of 29 frames to the same phase is a cycle of 30."""
    class_S2A, box_S2A = anchor_targets(np.array([[30, 10]]), np.array([[10, 33, 57]]), ANCHORS, 0.5)
    assert class_S2A[0].tolist() == [[0, 1, 1, 1, 1, 1, 1], [1, 1, 1, 0, 0, 0, 0]]
    left, right = [math.nan, 0.6236, 0.4463, 0.2231, 0, -0.1823, -0.47], [-0.1823, -0.475, -0.6523] + 4 * [math.nan]
    assert box_S2A[0] == pytest.approx(np.array([left, right]), abs=5e-5, nan_ok=True)


def test_lengths_come_from_the_labels_beside_the_middle() -> None:
    """Cycles 0..10..20..30: at frame 15 the previous same phase is 10 frames away, at 16 also the next one."""
    offsets = neighbour_offsets(CycleBounds((0, 10, 20, 30)))
    state_S3 = np.array([[5, 15, 25], [0, 4, 9], [21, 30, 39], [20, 40, 60], [10, 25, 40]])
    assert cycle_lengths(state_S3, [offsets] * 5).tolist() == [[11, 11], [0, 11], [11, 0], [0, 0], [11, 0]]


def test_an_unknown_length_has_no_loss() -> None:
    class_S2A, box_S2A = anchor_targets(np.array([[0, 30]]), np.array([[10, 33, 57]]), ANCHORS, 0.5)
    assert (class_S2A[0, 0] == IGNORED).all() and np.isnan(box_S2A[0, 0]).all()
    assert (class_S2A[0, 1] != IGNORED).all()


def outputs(rows: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    logit = torch.randn(rows, 2, 7, 2, generator=generator, dtype=torch.float64)
    return logit.requires_grad_(), torch.randn(rows, 2, 7, generator=generator, dtype=torch.float64).requires_grad_()


def test_loss_against_a_plain_loop() -> None:
    state_S3 = np.array([[10, 33, 57], [0, 9, 30], [5, 20, 33]])
    class_S2A, box_S2A = anchor_targets(np.array([[30, 10], [0, 18], [16, 0]]), state_S3, ANCHORS, 0.5)
    logit, box = outputs(3)
    expected = 0.0
    for side in range(2):
        entropies, errors = [], []
        for row in range(3):
            for anchor in range(7):
                label, target = class_S2A[row, side, anchor], box_S2A[row, side, anchor]
                if label != IGNORED:
                    entropies.append(-logit[row, side, anchor].log_softmax(0)[label].item())
                distance = 0.0 if math.isnan(target) else abs(box[row, side, anchor].item() - target)
                errors.append(distance - 0.5 if distance > 1 else 0.5 * distance**2)
        expected += np.mean(entropies) + 50 * np.mean(errors)
    assert counting_loss(logit, box, class_S2A, box_S2A, 50.0).item() == pytest.approx(expected, rel=1e-12)


def test_a_batch_without_labels_has_no_loss_and_no_gradient() -> None:
    """Released: not a number, which ends the training."""
    logit, box = outputs(2)
    class_S2A, box_S2A = anchor_targets(np.zeros((2, 2)), np.array([[10, 33, 57]] * 2), ANCHORS, 0.5)
    loss = counting_loss(logit, box, class_S2A, box_S2A, 50.0)
    loss.backward()
    assert loss.item() == 0
    assert logit.grad is not None and box.grad is not None
    assert not logit.grad.any() and not box.grad.any()
    assert torch.isnan(F.cross_entropy(logit[:, 0].flatten(0, 1), torch.full((14,), IGNORED), ignore_index=IGNORED))
