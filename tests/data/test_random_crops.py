"""Random crops: determined by their generator, within bounds, and from the place they claim."""

from collections import Counter

import numpy as np
import pytest
import torch

from sigma_bench.data.random_crops import (
    SCALE_PAIRS,
    fixed_places,
    multi_scale_crop,
    random_area_box,
)
from sigma_bench.data.transforms import centre_crop, three_crops
from sigma_bench.dino.crops import multi_crop
from sigma_bench.dino.spec import MultiCropSpec


def spec(**changes):
    settings = {
        "datasets": ("ssv2",), "loader": "memory", "global_area": (0.4, 1.0), "local_area": (0.05, 0.4),
        "num_local": 3, "local_size": 16, "jitter": 0.4,
    }  # fmt: skip
    return MultiCropSpec(**(settings | changes))


def noise(*shape):
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def places(height, width):
    """A picture (2, height, width) whose first channel is each pixel's column and whose second is its row."""
    row, column = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    return torch.stack([column, row]).to(torch.uint8)


def test_shapes_and_types():
    wide, small = multi_crop(noise(3, 50, 70), spec(), 32, np.random.default_rng(0))
    assert (wide.shape, small.shape) == ((2, 3, 32, 32), (3, 3, 16, 16))
    assert wide.dtype == small.dtype == torch.uint8


@pytest.mark.parametrize("crop", [
    lambda rng: multi_crop(noise(3, 50, 70), spec(), 32, rng),
    lambda rng: (multi_scale_crop(noise(4, 3, 50, 70), 32, rng),),
])  # fmt: skip
def test_a_crop_is_a_pure_function_of_its_generator(crop):
    first = crop(np.random.default_rng(5))
    torch.manual_seed(9)
    np.random.seed(9)
    state = torch.random.get_rng_state()
    second, other = crop(np.random.default_rng(5)), crop(np.random.default_rng(6))
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    assert not any(torch.equal(a, b) for a, b in zip(first, other, strict=True))
    assert torch.equal(state, torch.random.get_rng_state())


def test_the_picture_is_left_alone():
    frame, clip = noise(3, 50, 70), noise(4, 3, 50, 70)
    multi_crop(frame, spec(), 32, np.random.default_rng(0))
    multi_scale_crop(clip, 32, np.random.default_rng(0))
    assert torch.equal(frame, noise(3, 50, 70))
    assert torch.equal(clip, noise(4, 3, 50, 70))


@pytest.mark.parametrize("area", [(0.05, 0.4), (0.4, 1.0)])
def test_boxes_keep_area_and_aspect_and_the_frame(area):
    rng = np.random.default_rng(0)
    height, width = 200, 240
    boxes = [random_area_box(height, width, area, rng) for _ in range(2000)]
    for top, left, rows, columns in boxes:
        assert area[0] * 0.97 <= rows * columns / (height * width) <= area[1] * 1.03
        assert 0.73 <= columns / rows <= 1.36
        assert 0 <= top <= height - rows
        assert 0 <= left <= width - columns
    share = [rows * columns / (height * width) for _, _, rows, columns in boxes]
    aspect = [columns / rows for _, _, rows, columns in boxes]
    assert min(share) < area[0] + 0.05 and max(share) > area[1] - 0.25
    assert min(aspect) < 0.8 and max(aspect) > 1.25


def test_a_box_that_never_fits_becomes_the_largest_one_in_the_middle():
    rng = np.random.default_rng(0)
    assert random_area_box(30, 400, (0.9, 1.0), rng) == (0, 180, 30, 40)
    assert random_area_box(400, 30, (0.9, 1.0), rng) == (180, 0, 40, 30)


def test_areas_are_those_of_their_kind():
    """The range of columns in a crop, without jitter, is the width of the part of the picture that it shows."""
    frame = torch.cat([places(200, 200), places(200, 200)[:1]])
    settings = spec(jitter=0.0, local_area=(0.05, 0.1), global_area=(0.8, 1.0), num_local=40)
    wide, small = multi_crop(frame, settings, 32, np.random.default_rng(0))
    extent = [(crop[0].max().int() - crop[0].min().int()).item() for crop in small]
    assert max(extent) <= 200 * np.sqrt(0.1 * 4 / 3) + 1
    assert min((crop[0].max().int() - crop[0].min().int()).item() for crop in wide) >= 200 * np.sqrt(0.8 * 3 / 4) - 8


def test_half_of_the_crops_are_mirrored():
    frame = places(100, 100)[[0, 0, 0]]
    settings = spec(jitter=0.0, num_local=400)
    _, small = multi_crop(frame, settings, 32, np.random.default_rng(0))
    mirrored = sum(int(crop[0, 8, 0]) > int(crop[0, 8, -1]) for crop in small)
    assert 160 <= mirrored <= 240


def test_colours_change_only_with_jitter():
    red = torch.zeros(3, 60, 60, dtype=torch.uint8)
    red[0] = 200
    for plain in multi_crop(red, spec(jitter=0.0, num_local=100), 32, np.random.default_rng(0)):
        assert torch.equal(plain, red[:, :1, :1].expand_as(plain))
    _, many = multi_crop(red, spec(num_local=400), 32, np.random.default_rng(0))
    colours = many[:, :, 8, 8].int()
    grey = (colours.max(1).values == colours.min(1).values).sum().item()
    assert 50 <= grey <= 110
    assert len(colours.unique(dim=0)) > 200


def test_thirteen_places_by_hand():
    assert sorted(fixed_places(8, 40)) == sorted([
        (0, 0), (0, 20), (0, 40),
        (2, 10), (2, 30),
        (4, 0), (4, 20), (4, 40),
        (6, 10), (6, 30),
        (8, 0), (8, 20), (8, 40),
    ])  # fmt: skip
    assert max(fixed_places(11, 3)) == (8, 0)


def test_scales_are_at_most_one_step_apart():
    assert len(set(SCALE_PAIRS)) == len(SCALE_PAIRS) == 10
    assert {(1.0, 0.875), (0.66, 0.66), (0.66, 0.75)} <= set(SCALE_PAIRS)
    assert not {(1.0, 0.75), (0.66, 1.0), (0.66, 0.875)} & set(SCALE_PAIRS)


def source(clip):
    """Top, left, rows and columns (within a pixel) that a crop of ``places`` came from."""
    column, row = clip[0, 0].double(), clip[0, 1].double()
    found = []
    for ramp, across in ((row, 1), (column, 0)):
        line = ramp.mean(across)
        # Antialiasing flattens the ends of the ramp; its inside is straight.
        inside = np.arange(len(line))[4:-4]
        slope, offset = np.polyfit(inside, line[4:-4].numpy(), 1)
        found.append((offset - slope / 2 + 0.5, slope * len(line)))
    (top, rows), (left, columns) = found
    return top, left, rows, columns


def test_a_gradient_shows_where_the_crop_came_from():
    """Every crop is one of the ten sizes at one of the thirteen places, and all of both occur about equally often."""
    height, width = 100, 160
    clip = places(height, width).expand(3, 2, height, width)
    rng = np.random.default_rng(0)
    sizes, spots = Counter(), Counter()
    side = {1.0: 100, 0.875: 87, 0.75: 75, 0.66: 66}
    for _ in range(1300):
        crop = multi_scale_crop(clip, 40, rng)
        assert crop.shape == (3, 2, 40, 40)
        assert torch.equal(crop[0], crop[2])
        top, left, rows, columns = source(crop)
        near = [pair for pair in SCALE_PAIRS if abs(side[pair[0]] - rows) < 2 and abs(side[pair[1]] - columns) < 2]
        assert len(near) == 1, (rows, columns)
        y, x = (side[scale] for scale in near[0])
        distance = [abs(top - t) + abs(left - n) for t, n in fixed_places(height - y, width - x)]
        assert min(distance) < 2, (top, left)
        sizes[near[0]] += 1
        if y < 100:
            spots[int(np.argmin(distance))] += 1
    assert set(sizes) == set(SCALE_PAIRS)
    assert max(sizes.values()) < 2 * min(sizes.values())
    assert set(spots) == set(range(13))
    assert max(spots.values()) < 2.5 * min(spots.values())


def test_a_crop_of_the_wanted_size_is_not_resampled():
    clip = noise(2, 3, 40, 40)
    for seed in range(40):
        crop = multi_scale_crop(clip, 40, np.random.default_rng(seed))
        if torch.equal(crop, clip):
            return
    pytest.fail("the whole frame never came")


def test_three_crops_are_both_ends_and_the_middle_of_the_longer_side() -> None:
    wide_THWC = np.broadcast_to(np.arange(9, dtype=np.uint8)[None, None, :, None], (2, 4, 9, 3))
    assert three_crops(wide_THWC, 4)[1, :, 0, 0].tolist() == [[0, 1, 2, 3], [2, 3, 4, 5], [5, 6, 7, 8]]
    tall_THWC = wide_THWC.transpose(0, 2, 1, 3)
    assert three_crops(tall_THWC, 4)[0, :, 2, :, 0].tolist() == [[0, 1, 2, 3], [2, 3, 4, 5], [5, 6, 7, 8]]
    square_THWC = wide_THWC[:, :, :4]
    assert (three_crops(square_THWC, 4) == centre_crop(square_THWC, 4)[:, None]).all()
