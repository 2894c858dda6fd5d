"""Tube masks: the right share, the same places in every slot, from the generator only."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sigma_bench.sigma.masking import tube_mask


def masked(batch_size=4, grid=(8, 14, 14), ratio=0.9, seed=0):
    return tube_mask(batch_size, grid, ratio, torch.Generator().manual_seed(seed))


def test_the_recipe_hides_176_of_196_places():
    mask_BN = masked()
    assert mask_BN.shape == (4, 1568)
    assert mask_BN.dtype == torch.bool
    assert (mask_BN.sum(1) == 1408).all()


@settings(deadline=None)
@given(
    grid=st.tuples(st.integers(1, 4), st.integers(2, 6), st.integers(2, 6)),
    ratio=st.floats(0.3, 0.95),
    seed=st.integers(0, 2**31),
)
def test_every_slot_hides_the_same_places(grid, ratio, seed):
    slots, rows, columns = grid
    mask_BTP = masked(3, grid, ratio, seed).reshape(3, slots, rows * columns)
    assert (mask_BTP == mask_BTP[:, :1]).all()
    assert (mask_BTP[:, 0].sum(1) == int(ratio * rows * columns)).all()


def test_clips_of_a_batch_are_masked_apart():
    mask_BN = masked()
    assert len({tuple(row.tolist()) for row in mask_BN}) == 4


def test_only_the_generator_decides():
    torch.manual_seed(1)
    first = masked(seed=5)
    torch.manual_seed(2)
    state = torch.get_rng_state()
    assert torch.equal(masked(seed=5), first)
    assert torch.equal(torch.get_rng_state(), state)
    assert not torch.equal(masked(seed=6), first)


def test_every_place_is_hidden_equally_often():
    share_P = masked(4000, (1, 4, 4), 0.75).float().mean(0)
    torch.testing.assert_close(share_P, torch.full((16,), 0.75), rtol=0, atol=0.035)  # 5 standard errors


@pytest.mark.parametrize(("grid", "ratio"), [((8, 2, 2), 0.2), ((8, 1, 1), 0.9), ((8, 4, 4), 1.0), ((8, 4, 4), 0.0)])
def test_a_ratio_that_hides_nothing_or_everything_is_refused(grid, ratio):
    with pytest.raises(ValueError, match="strictly between"):
        masked(grid=grid, ratio=ratio)
