"""What clips of the mini world show: labels need motion, patterns or counting, and no shortcut gives them."""

from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from sigma_bench.data.annotations import CycleBounds
from sigma_bench.data.datasets import open_dataset
from sigma_bench.data.media_opening import open_media
from sigma_bench.miniworld.clips import (
    GLIDE_COPIES,
    WAYS,
    glide_path,
    gliding_flock,
    moving_flock,
    scene_clip,
    separately_moving_shapes,
    stream,
)
from sigma_bench.miniworld.patterns import PATTERNS, SCENES, wave
from sigma_bench.miniworld.scene import CANVAS, Mover, digit_sprite, emboss
from sigma_bench.specs.catalogue import load_dataset

Labelled = tuple[np.ndarray, np.ndarray]
"""Features of one sample per row, and the class of each."""


def assert_chance(train: Labelled, test: Labelled, num_classes: int) -> None:
    """A linear classifier of the features is right as often as by chance, within three standard errors."""
    accuracy = LogisticRegression(C=0.1, max_iter=2000).fit(*train).score(*test)
    chance = 1 / num_classes
    assert abs(accuracy - chance) < 3 * np.sqrt(chance * (1 - chance) / len(test[1]))


def small(frames: np.ndarray) -> np.ndarray:
    """Every second pixel of frames (N, S, S, 3) in one row per frame, between 0 and 1."""
    return frames[:, ::2, ::2].reshape(len(frames), -1) / 255


@pytest.mark.parametrize("first", [0, 1])
@pytest.mark.parametrize("way", WAYS.values(), ids=str)
def test_a_gliding_flock_stands_everywhere_alike_in_both_axes(way: tuple[int, int], first: int) -> None:
    """Of a flock of period 16 px, seen every second frame: every 2nd pixel in one axis, every 4th in the other."""
    period = CANVAS // GLIDE_COPIES
    down, right = (sorted(place) for place in (glide_path(way)[first::2] % period).T)
    slow, fast = (down, right) if abs(way[0]) == 1 else (right, down)
    assert {place % 2 for place in slow} == {slow[0] % 2} and len(set(slow)) == 8
    assert {place % 4 for place in fast} == {fast[0] % 4} and len(set(fast)) == 4


@pytest.mark.parametrize("way", WAYS.values(), ids=str)
def test_opposite_ways_have_the_same_places_and_other_ways_do_not(way: tuple[int, int]) -> None:
    """The set of places, which is all that the mean over frames can show, is that of a line without a sense."""

    def places(one: tuple[int, int]) -> set[tuple[float, float]]:
        return {(down, right) for down, right in (glide_path(one) % (CANVAS // GLIDE_COPIES)).tolist()}

    assert {other for other in WAYS.values() if places(other) == places(way)} == {way, (-way[0], -way[1])}


def test_one_frame_does_not_show_a_way_and_the_mean_over_frames_does_not_show_its_sense() -> None:
    """Of 160 clips, at most 0.20 of the ways (chance 0.125) and 0.62 of the senses (chance 0.5) may be right."""
    ways = list(WAYS.values())

    def clips(part: str, count: int) -> tuple[Labelled, Labelled]:
        drawn = [gliding_flock(stream(5, part, i), ways[i % 8], digit=i // 8 % 10, part=part) for i in range(count)]
        way = np.arange(count) % 8
        is_down = np.array([down > 0 for down, _ in ways])[way]
        one, mean = (np.stack(images) for images in zip(*((clip[6], clip[::2].mean(0)) for clip in drawn), strict=True))
        return (small(one), way), (small(mean), is_down)

    (train_one, train_mean), (test_one, test_mean) = clips("train", 240), clips("test", 160)
    assert_chance(train_one, test_one, 8)
    assert_chance(train_mean, test_mean, 2)


def test_signs_of_a_flock_hide_its_path_from_colours_and_from_the_mean_over_frames() -> None:
    """Flocks with one path have mean colours of cells, and means over frames, that are not alike.

    The mean absolute cosine between the changes of 3 x 3 cells is 0.12, and 0.52 without signs; that between means over
    frames is 0.04, and 0.30 without signs.
    """
    background = np.full((16, CANVAS, CANVAS, 3), 0.5)
    num_clips = 30

    def cosines(has_signs: bool) -> tuple[float, float]:
        cells, means = [], []
        for i in range(num_clips):
            rng = stream(8, i)
            sign_TCC = rng.choice([-1, 1], (4, GLIDE_COPIES, GLIDE_COPIES)).repeat(4, 0) ** int(has_signs)
            sprite = digit_sprite(int(rng.integers(10)), rng, "train")
            flock = Mover(sprite, np.full(3, 0.4), 16, glide_path((1, 2)), sign_TCC)
            frame_TSS = emboss(background, flock)[..., 0].astype(float)
            grid = [part for some in np.array_split(frame_TSS, 3, 1) for part in np.array_split(some, 3, 2)]
            mean_CT = np.stack([cell.mean((1, 2)) for cell in grid])
            cells.append((mean_CT - mean_CT.mean(1, keepdims=True)).ravel())
            means.append((frame_TSS.mean(0) - frame_TSS.mean()).ravel())
        return absolute_cosine(cells), absolute_cosine(means)

    (cell, mean), (cell_without, mean_without) = cosines(has_signs=True), cosines(has_signs=False)
    assert cell < 0.25 < cell_without and mean < 0.15 < mean_without


def absolute_cosine(rows: list[np.ndarray]) -> float:
    """The mean over all pairs of rows."""
    unit = np.stack(rows) / np.linalg.norm(rows, axis=1, keepdims=True)
    return float(np.abs(unit @ unit.T)[np.triu_indices(len(rows), 1)].mean())


def test_neither_number_nor_order_of_movements_can_be_read_from_one_frame() -> None:
    """Of 160 clips, at most 0.35 may be right (chance 0.25)."""
    words = (((0, 1),), ((0, 1), (0, -1)), ((0, -1), (0, 1)), ((0, 1), (0, 1)))

    def frames(part: str, count: int) -> Labelled:
        clips = [moving_flock(stream(6, part, i), words[i % 4], part=part, num_frames=20)[10] for i in range(count)]
        return small(np.stack(clips)), np.arange(count) % 4

    assert_chance(frames("train", 240), frames("test", 160), 4)


def test_a_swing_repeats_as_often_as_its_label_says(world: Path) -> None:
    """The shape is at its start at every bound, and farthest from it once between two bounds."""
    sample = open_dataset(load_dataset("ucfrep"), world).splits["train"].samples[1]
    assert isinstance(sample.annotation, CycleBounds)
    bounds = np.array(sample.annotation.bounds)
    frame_THWC = open_media(sample).frames(range(int(bounds[-1]) + 1)).astype(int)
    away = np.abs(frame_THWC - frame_THWC[bounds[0]]).mean((1, 2, 3))
    middles = (bounds[:-1] + bounds[1:]) // 2
    assert away[bounds].max() < 0.6 * away[middles].min()
    assert 2 <= sample.annotation.count <= 7


def test_no_constant_cycle_length_counts_the_swings(world: Path) -> None:
    """The length of a video divided by the best constant has a relative error of 0.346 in the 16 training videos.

    By hand, without rounding: of cycles from 6 to 24 frames that are uniform on a logarithmic scale, the best constant
    is their middle, 15, and its mean error is ln(15 * 15 / (6 * 24)) / ln(24 / 6) = 0.322.
    """
    samples = open_dataset(load_dataset("ucfrep"), world).splits["train"].samples
    bounds = [np.array(s.annotation.bounds) for s in samples if isinstance(s.annotation, CycleBounds)]
    count_S = np.array([len(bound) - 1 for bound in bounds])
    length_S = np.array([bound[-1] - bound[0] for bound in bounds])
    counted_CS = np.round(length_S / np.arange(5, 27, 0.05)[:, None])
    error_C = (np.abs(counted_CS - count_S) / count_S).mean(1)
    assert len(count_S) == 16 and error_C.min() == pytest.approx(0.346, abs=0.001)
    cycle_S = length_S / count_S
    assert cycle_S.max() > 3 * cycle_S.min()


def test_an_action_is_where_its_shape_moves() -> None:
    frames, turns = separately_moving_shapes(stream(0, "charades", "any"), num_frames=36)
    change = np.abs(np.diff(frames.astype(int), axis=0)).mean((1, 2, 3))
    active = [any(turn.first <= t + 1 < turn.end for turn in turns) for t in range(35)]
    if not all(active):
        assert change[np.array(active)].mean() > 2 * change[~np.array(active)].mean()
    assert len({turn.shape for turn in turns}) == len(turns) >= 2


def test_a_passing_flock_leaves_mean_colours_alone() -> None:
    """Motion changes the mean colour of a ninth of the frame by less than two hundredths of the range."""
    clip = moving_flock(stream(0, "still-camera"), ((0, 1), (0, 1)), part="train", num_frames=20)
    cell = clip.reshape(20, 64, 64, 3)[:, :63, :63].reshape(20, 3, 21, 3, 21, 3).mean(axis=(2, 4))
    assert cell.std(axis=0).max() < 0.02 * 255


@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_pattern_repeats_after_its_wavelength_along_its_gradient(pattern: str) -> None:
    """The mean square of a wave is 1/2 of stripes and 1/4 of two crossed ones, and its mean is close to zero."""
    shown = wave(pattern, 8.0, stream(1, pattern), num_frames=3, side=256, drift_px=0.5)
    assert shown.shape == (3, 256, 256)
    assert abs(shown.mean()) < 0.01
    assert np.square(shown).mean() == pytest.approx(0.25 if pattern in ("checks", "plaid") else 0.5, rel=0.02)
    power = np.abs(np.fft.fft2(shown[0])) ** 2
    rows, columns = np.unravel_index(power.argmax(), power.shape)
    cycles = np.hypot(min(rows, 256 - rows), min(columns, 256 - columns))
    expected = 32 * np.sqrt(2) if pattern in ("checks", "plaid") else 32
    assert cycles == pytest.approx(expected, abs=1.0)


def test_a_scene_is_known_by_its_pattern_and_not_by_mean_colours_and_their_places() -> None:
    """Mean colours of a ninth of the frame each are at chance; frequencies in the frame show the class."""

    def frames(part: str, count: int) -> Labelled:
        scenes = [SCENES[i % 10] for i in range(count)]
        clips = [scene_clip(stream(8, part, i), s.pattern, s.width, num_frames=1) for i, s in enumerate(scenes)]
        return np.stack(clips)[:, 0] / 255, np.arange(count) % 10

    def means(frame_NSSC: np.ndarray) -> np.ndarray:
        return frame_NSSC[:, :63, :63].reshape(-1, 3, 21, 3, 21, 3).mean((2, 4)).reshape(len(frame_NSSC), -1)

    def frequencies(frame_NSSC: np.ndarray) -> np.ndarray:
        grey_NSS = frame_NSSC.mean(3) - frame_NSSC.mean((1, 2, 3))[:, None, None]
        size_NP = np.abs(np.fft.rfft2(grey_NSS)).reshape(len(frame_NSSC), -1)
        return size_NP / size_NP.sum(1, keepdims=True)

    (train, label), (test, truth) = frames("train", 400), frames("test", 300)
    assert_chance((means(train), label), (means(test), truth), 10)
    known = LogisticRegression(C=100, max_iter=2000).fit(frequencies(train), label)
    assert known.score(frequencies(test), truth) > 0.9
