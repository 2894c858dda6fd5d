"""A batch of labelled clips in micro-batches: what is mixed stays together, also where a video could not be read."""

import numpy as np
import pytest
import torch

from sigma_bench.models.encoder import require_trainable
from sigma_bench.protocols.finetune.spec import FinetuneProtocol
from sigma_bench.training.accumulation import accumulate_gradients
from sigma_bench.training.mixing import draw_mix
from sigma_bench.training.supervised import SupervisedMethod
from sigma_bench.training.targets import OneClass
from tests.protocols.tiny_training import SMALL, tiny_encoder, tiny_task


@pytest.mark.parametrize("unread", [0, 1, 3, 4, 7])
def test_micro_batches_give_the_gradients_of_the_whole_whichever_clip_is_missing(unread: int) -> None:
    protocol = tiny_task(overrides=SMALL).protocol
    assert isinstance(protocol, FinetuneProtocol) and protocol.mixing is not None
    labels = OneClass(8, smoothing=0.1)
    method = SupervisedMethod(require_trainable(tiny_encoder()), protocol, labels, frozen=False, seed=0).double()
    rng, kept = np.random.default_rng(0), [position for position in range(8) if position != unread]
    repeats = protocol.augmentation.repeats
    clip = rng.standard_normal((8, repeats, 3, 4, 24, 24))
    mix = [[draw_mix(protocol.mixing, rng) for _ in range(repeats)] for _ in range(8)]
    arrays = (clip, np.eye(8), np.arange(8), rng.random((8, repeats, 2)), np.array(mix))
    batch = tuple(torch.from_numpy(part[kept]) for part in arrays)

    def gradients(num_micro_batches: int) -> list[torch.Tensor]:
        method.zero_grad()
        accumulate_gradients(method, method, batch, num_micro_batches=num_micro_batches)
        return [parameter.grad.clone() for parameter in method.parameters() if parameter.grad is not None]

    whole = gradients(1)
    for num_micro_batches in (2, 4):
        for gradient, expected in zip(gradients(num_micro_batches), whole, strict=True):
            torch.testing.assert_close(gradient, expected, rtol=1e-9, atol=1e-12)
