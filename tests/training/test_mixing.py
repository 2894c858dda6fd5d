"""Mixing of neighbours by hand: shares, boxes, targets; and branches dropped by example."""

import numpy as np
import pytest
import torch

from sigma_bench.specs.training_protocol import Mixing
from sigma_bench.training.drop_path import Chances, ExampleDropPath
from sigma_bench.training.mixing import draw_mix, mixed, neighbours

MIXING = Mixing(mixup_alpha=0.8, cutmix_alpha=1.0, cutmix_probability=0.5)


def test_neighbours_are_the_even_place_and_the_odd_one_after_it() -> None:
    def of(*positions: int) -> list[int]:
        return neighbours(torch.tensor(positions)).tolist()

    assert of(4, 5, 6, 7) == [1, 0, 3, 2]
    assert of(5, 6, 7) == [0, 2, 1]  # the clip at place 4 could not be read
    assert of(4, 7) == [0, 1]
    assert of(0) == [0]


def test_mixup_blends_pixels_and_targets_with_the_first_ones_share() -> None:
    clip = torch.tensor([1.0, 3.0]).view(2, 1, 1, 1, 1).expand(2, 3, 2, 4, 4)
    numbers = torch.tensor([[0.75, 0, 0, 0], [0.1, 1, 0.5, 0.5]])
    both, target = mixed(clip, torch.eye(2), numbers, torch.tensor([0, 1]))
    assert torch.equal(both[:, 0, 0, 0, 0], torch.tensor([1.5, 2.5]))
    assert torch.equal(target, torch.tensor([[0.75, 0.25], [0.25, 0.75]]))


def test_cutmix_pastes_a_box_and_counts_what_it_really_covers() -> None:
    """LocalBatch 0.75 of 8 x 8: a box of side 4; around pixel (4, 0) it covers rows 2 to 5 and columns 0 and 1."""
    clip = torch.tensor([1.0, 3.0]).view(2, 1, 1, 1, 1).expand(2, 3, 2, 8, 8)
    numbers = torch.tensor([[0.75, 1, 0.5, 0.0], [0, 0, 0, 0]])
    both, target = mixed(clip, torch.eye(2), numbers, torch.tensor([0, 1]))
    expected = torch.ones(8, 8)
    expected[2:6, 0:2] = 3
    assert torch.equal(both[0], expected.expand(3, 2, 8, 8))
    assert torch.equal(both[1], (4 - expected).expand(3, 2, 8, 8))
    assert torch.equal(target, torch.tensor([[0.875, 0.125], [0.125, 0.875]]))


def test_targets_still_sum_to_one_and_lonely_clips_stay() -> None:
    rng = np.random.default_rng(0)
    numbers = torch.from_numpy(np.stack([draw_mix(MIXING, rng) for _ in range(7)])).float()
    clip, target = torch.rand(7, 3, 2, 16, 16), torch.eye(7)
    both, blended = mixed(clip, target, numbers, torch.arange(7))
    torch.testing.assert_close(blended.sum(1), torch.ones(7))
    torch.testing.assert_close(both[6], clip[6])
    assert 0 < float(blended[0, 0]) < 1
    pair = both[:2].sum(0)
    torch.testing.assert_close(pair, clip[:2].sum(0))  # what one gives, the other gets


def test_half_of_the_pairs_are_cut_and_shares_follow_their_distribution() -> None:
    rng = np.random.default_rng(0)
    drawn = np.stack([draw_mix(MIXING, rng) for _ in range(4000)])
    assert drawn[:, 1].mean() == pytest.approx(0.5, abs=0.03)
    assert drawn[drawn[:, 1] == 1, 0].var() == pytest.approx(1 / 12, rel=0.1)  # Beta(1, 1)
    assert drawn[drawn[:, 1] == 0, 0].var() == pytest.approx(1 / 4 / 2.6, rel=0.1)  # Beta(0.8, 0.8)


def test_a_branch_is_dropped_by_the_chance_of_its_example() -> None:
    chances = Chances()
    first, second = ExampleDropPath(0.5, chances).train(), ExampleDropPath(0.2, chances).train()
    chances.start(torch.tensor([[0.4, 0.4], [0.6, 0.1]]))
    assert first(torch.ones(2, 3)).tolist() == [[0, 0, 0], [2, 2, 2]]
    assert second(torch.ones(4, 1)).flatten().tolist() == [1.25, 1.25, 0, 0]  # two frames of each
    assert torch.equal(second.eval()(torch.ones(2, 1)), torch.ones(2, 1))
