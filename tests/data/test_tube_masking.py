"""Masks: the declared ratio in every slot, determined by the generator, and following motion.

Shapes: P places of a slot.
"""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sigma_bench.data.tube_masking import draw_mask, standardised_motion
from sigma_bench.specs.masked_video import MotionMask, RandomMask, TubeMask

RECIPE_GRID = (8, 14, 14)
SPECS = {
    "tube": lambda ratio: TubeMask(kind="tube", ratio=ratio),
    "random": lambda ratio: RandomMask(kind="random", ratio=ratio),
    "motion": lambda ratio: MotionMask(kind="motion", ratio=ratio, strength=1.0),
}
STILL = torch.full((16, 3, 56, 56), 90, dtype=torch.uint8)


def moving_square(frames=16, size=56):
    """A bright square of 16 px that walks to the right along the upper edge, 2 px a frame."""
    clip = torch.zeros(frames, 3, size, size, dtype=torch.uint8)
    for frame in range(frames):
        clip[frame, :, :16, 2 * frame : 2 * frame + 16] = 255
    return clip


def masked(kind="tube", grid=RECIPE_GRID, ratio=0.9, seed=0, clip=STILL):
    return draw_mask(SPECS[kind](ratio), clip, grid, torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("kind", SPECS)
def test_the_recipe_hides_176_of_196_places_of_every_slot(kind):
    mask_N = masked(kind, clip=moving_square())
    assert mask_N.shape == (1568,)
    assert mask_N.dtype == torch.bool
    assert mask_N.reshape(8, 196).sum(1).tolist() == [176] * 8


@settings(deadline=None)
@given(
    grid=st.tuples(st.integers(1, 4), st.integers(2, 6), st.integers(2, 6)),
    ratio=st.floats(0.3, 0.95),
    seed=st.integers(0, 2**31),
)
def test_a_tube_hides_the_same_places_in_every_slot(grid, ratio, seed):
    slots, rows, columns = grid
    mask_TP = masked("tube", grid, ratio, seed).reshape(slots, rows * columns)
    assert (mask_TP == mask_TP[:1]).all()
    assert mask_TP[0].sum() == int(ratio * rows * columns)


def test_random_slots_are_drawn_apart():
    mask_TP = masked("random").reshape(8, 196)
    assert len({tuple(row.tolist()) for row in mask_TP}) == 8


@pytest.mark.parametrize("kind", SPECS)
def test_only_the_generator_decides(kind):
    torch.manual_seed(1)
    first = masked(kind, seed=5)
    torch.manual_seed(2)
    state = torch.get_rng_state()
    assert torch.equal(masked(kind, seed=5), first)
    assert torch.equal(torch.get_rng_state(), state)
    assert not torch.equal(masked(kind, seed=6), first)


@pytest.mark.parametrize("kind", SPECS)
def test_every_place_of_a_still_clip_is_hidden_equally_often(kind):
    masks = [masked(kind, (1, 4, 4), 0.75, seed).float() for seed in range(4000)]
    share_P = torch.stack(masks).mean(0)
    torch.testing.assert_close(share_P, torch.full((16,), 0.75), rtol=0, atol=0.035)  # 5 standard errors


def test_a_still_clip_gets_a_tube_mask_from_motion_guidance():
    assert torch.equal(masked("motion"), masked("tube"))


def test_motion_guidance_hides_what_moves_and_follows_it():
    grid, clip = (8, 7, 7), moving_square()
    motion = standardised_motion(clip, grid)
    masks = torch.stack([masked("motion", grid, 0.5, seed, clip) for seed in range(400)])
    share = masks.float().mean(0).reshape(grid)
    at_rest = share[:, 4:].mean()
    # A flat square changes at its edges only: at 0 and 16 px in the first slot, at 28 and 44 px in the last.
    assert share[0, 0, [0, 2]].min() > at_rest + 0.25
    assert share[7, 0, [3, 5]].min() > at_rest + 0.25
    assert (motion[7, 0, [3, 5]] > 1).all()
    assert share[7, 0, [0, 2]].max() < at_rest + 0.1  # where it was, no more than elsewhere is hidden


def test_motion_by_hand():
    clip = torch.zeros(4, 1, 2, 2)
    clip[3, 0, 0, 0] = 8  # the second slot's first place changes between its frames
    motion = standardised_motion(clip, (2, 2, 2))
    assert motion[0].abs().max() == 0
    # frame differences 0 and 8, mean 4; over four places mean 1 and deviation 2
    assert motion[1].flatten().tolist() == [1.5, -0.5, -0.5, -0.5]


@pytest.mark.parametrize(("grid", "ratio"), [((8, 2, 2), 0.2), ((8, 1, 1), 0.9), ((8, 3, 3), 0.1)])
def test_a_ratio_that_hides_nothing_is_refused(grid, ratio):
    with pytest.raises(ValueError, match="masks at least one place and not all"):
        masked(grid=grid, ratio=ratio)
