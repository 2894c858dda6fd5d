"""Mean colours: values computed by hand, clips of any length, and fine-tuning."""

import pytest
import torch

from sigma_bench.models.image_statistics import CELLS_PER_SIDE, MeanColours
from sigma_bench.models.zoo import load_encoder
from sigma_bench.training.classifier import Classifier

CELLS = CELLS_PER_SIDE**2


def painted(colour_TC: torch.Tensor) -> torch.Tensor:
    """A clip of one colour per frame, (1, C, T, 9, 9)."""
    return colour_TC.T[None, :, :, None, None].expand(-1, -1, -1, 9, 9)


@pytest.mark.parametrize(("frames", "slots"), [(4, 4), (2, 2), (8, 4)])
def test_a_token_is_its_colour_and_those_of_the_clip(frames: int, slots: int) -> None:
    colour_TC = torch.rand(frames, 3)
    (token_ND,) = MeanColours(num_frames=4)(painted(colour_TC))
    assert token_ND.shape == (frames * CELLS, 3 + 3 * 4 * CELLS)
    own_TRC, whole_ND = token_ND[:, :3].unflatten(0, (frames, CELLS)), token_ND[:, 3:]
    torch.testing.assert_close(own_TRC, colour_TC[:, None].expand(-1, CELLS, -1))
    assert torch.equal(whole_ND, whole_ND[:1].expand_as(whole_ND))
    whole_SRC = whole_ND[0, : slots * CELLS * 3].reshape(slots, CELLS, 3)
    torch.testing.assert_close(whole_SRC, colour_TC.reshape(slots, -1, 3).mean(1)[:, None].expand(-1, CELLS, -1))
    assert not whole_ND[0, slots * CELLS * 3 :].any()


def test_only_the_head_learns_on_them() -> None:
    encoder = load_encoder("statistics:mini_videomae")
    classifier = Classifier(encoder.backbone(0.1), encoder.card.feature_width, 5, head_init_scale=1.0, frozen=False)
    assert classifier.num_blocks == 0
    assert [name for name, _ in classifier.named_parameters()] == [
        "fc_norm.weight",
        "fc_norm.bias",
        "head.weight",
        "head.bias",
    ]
    clip_BCTHW = torch.rand(2, 3, 8, 48, 48)
    assert torch.equal(classifier.backbone(clip_BCTHW), encoder.encode(clip_BCTHW).token_BND)
