"""One DINO step: the student predicts, from one crop, the teacher's output for another (arXiv 2104.14294, alg. 1).

The teacher sees the two global crops.  Its scores are centred, which prevents a collapse to one output, and sharpened,
which prevents a collapse to the uniform distribution.

Shapes: B frames, G = 2 global crops, L local crops, V = G + L crops, C colours, H W pixels, K outputs.
"""

import math

import torch
import torch.distributed as dist
from torch import Tensor

from sigma_bench.dino.model import DinoModel
from sigma_bench.dino.spec import DinoObjective
from sigma_bench.training.step import StepOutput, feature_std


def dino_step(
    model: DinoModel,
    global_BGCHW: Tensor,
    local_BLCHW: Tensor,
    objective: DinoObjective,
    group: dist.ProcessGroup | None = None,
) -> StepOutput:
    """Cross-entropy between the outputs of student and teacher for different crops; updates ``model.centre``.

    Args:
        global_BGCHW: the global crops, normalised; both networks see them.
        local_BLCHW: the local crops, normalised; only the student sees them.
        group: processes that share the batch, over all of which the centre is computed; None means one process.
    """
    with torch.no_grad():
        _, teacher_BGK = model.teacher(global_BGCHW)
        target_BGK = ((teacher_BGK - model.centre) / objective.teacher_temperature).softmax(2)
        move_centre(model.centre, teacher_BGK, objective.centre_momentum, group)
    class_BGD, global_BGK = model.student(global_BGCHW)
    _, local_BLK = model.student(local_BLCHW)
    student_BVK = torch.cat([global_BGK, local_BLK], dim=1) / objective.student_temperature
    entropy = torch.special.entr(target_BGK).sum(2).mean() / math.log(objective.num_outputs)
    monitors = {"feature_std": feature_std(class_BGD), "teacher_entropy": entropy}
    return StepOutput(cross_view_entropy(target_BGK, student_BVK), monitors)


def cross_view_entropy(target_BGK: Tensor, logit_BVK: Tensor) -> Tensor:
    """Mean cross-entropy over frames and pairs of different crops; the first G of the V crops are the global ones."""
    num_global, num_views = target_BGK.shape[1], logit_BVK.shape[1]
    with torch.autocast(logit_BVK.device.type, enabled=False):  # autocast would round the products to half precision
        pair_BGV = -target_BGK @ logit_BVK.log_softmax(2).transpose(1, 2)
    other_GV = ~torch.eye(num_global, num_views, dtype=torch.bool, device=logit_BVK.device)
    return pair_BGV[:, other_GV].mean()


@torch.no_grad()
def move_centre(centre_K: Tensor, teacher_BGK: Tensor, momentum: float, group: dist.ProcessGroup | None) -> None:
    """Running mean of the teacher's scores over the global batch, in place (equation 4)."""
    score_MK = teacher_BGK.flatten(0, 1)
    total = torch.cat([score_MK.sum(0), score_MK.new_tensor([len(score_MK)])])
    if group is not None:
        dist.all_reduce(total, group=group)
    centre_K.lerp_(total[:-1] / total[-1], 1 - momentum)
