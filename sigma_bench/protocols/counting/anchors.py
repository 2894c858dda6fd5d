"""Targets of the four heads for a state, and the loss.

Differs from the released code: a batch in which no anchor has a label contributes 0 to the loss, not NaN.

Shapes: S states, A anchors; the axis of 2 is left and right.
"""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from sigma_bench.data.annotations import UNKNOWN
from sigma_bench.protocols.counting.frames import half_lengths

IGNORED = -1
"""Class of an anchor without a label."""


def cycle_lengths(state_S3: np.ndarray, offset_S: list[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    """True lengths of the cycles left and right of the middle, (S, 2); 0 if a length is not known.

    Args:
        offset_S: labels of the segment of each state: the number of frames from every frame to the same phase of the
            next and of the previous cycle, (N,) each.
    """
    length_S2 = np.zeros((len(state_S3), 2), np.int64)
    for row, (middle, (next_N, previous_N)) in enumerate(zip(state_S3[:, 1].astype(int), offset_S, strict=True)):
        for side, (place, label_N) in enumerate(((middle, previous_N), (middle + 1, next_N))):
            if place < len(label_N) and label_N[place] != UNKNOWN:
                length_S2[row, side] = label_N[place] + 1
    return length_S2


def anchor_targets(
    length_S2: np.ndarray, state_S3: np.ndarray, anchors: tuple[float, ...], positive_overlap: float
) -> tuple[np.ndarray, np.ndarray]:
    """Class of every anchor (1 positive, 0 negative, IGNORED) and its box (NaN if it has none), each (S, 2, A)."""
    anchor_S2A = half_lengths(state_S3)[..., None] * np.array(anchors)
    known_S21 = length_S2[..., None] > 0
    true_S2A = np.where(known_S21, length_S2[..., None], anchor_S2A)
    overlap_S2A = np.minimum(true_S2A, anchor_S2A) / np.maximum(true_S2A, anchor_S2A)
    positive_S2A = known_S21 & (overlap_S2A >= positive_overlap)
    class_S2A = np.where(known_S21, positive_S2A, IGNORED).astype(np.int64)
    return class_S2A, np.where(positive_S2A, np.log(true_S2A / anchor_S2A), np.nan)


def counting_loss(
    logit_S2A2: Tensor, box_S2A: Tensor, class_S2A: np.ndarray, target_S2A: np.ndarray, box_weight: float
) -> Tensor:
    """Cross-entropy over labelled anchors plus weighted smooth L1 loss of the boxes, summed over both sides.

    Anchors without a box are errors of 0 in the mean of the smooth L1 loss, as in the released code.
    """
    label_S2A = torch.from_numpy(class_S2A).to(logit_S2A2.device)
    target = torch.from_numpy(target_S2A).to(box_S2A)
    target = torch.where(target.isnan(), box_S2A.detach(), target)
    total = logit_S2A2.new_zeros(())
    for side in range(2):
        label = label_S2A[:, side].flatten()
        error = F.cross_entropy(logit_S2A2[:, side].flatten(0, 1), label, ignore_index=IGNORED, reduction="sum")
        total = total + error / max(1, int((class_S2A[:, side] != IGNORED).sum()))
        total = total + box_weight * F.smooth_l1_loss(box_S2A[:, side], target[:, side])
    return total
