"""J and F: hand-made masks, a direct definition by distance transforms, the rules of the semi-supervised track."""

import numpy as np
import pytest
from scipy.ndimage import binary_dilation, distance_transform_edt, gaussian_filter

from sigma_bench.metrics.davis import (
    Outline,
    boundary,
    boundary_radius,
    f_measure,
    jaccard,
    outline_agreement,
    quarter_edges,
    semi_supervised,
    statistics,
)


def blob(rng, height, width, level=0.0):
    """A mask with wandering outlines, empty or full now and then."""
    return gaussian_filter(rng.normal(size=(height, width)), rng.uniform(1, 5)) > level


def direct_boundary(mask):
    """Pixel by pixel: a neighbour outside the image is the pixel's own copy, and the corner is none."""
    last_y, last_x = (size - 1 for size in mask.shape)
    edge = np.zeros_like(mask)
    for y, x in np.ndindex(mask.shape):
        east, south, beyond = (y, min(x + 1, last_x)), (min(y + 1, last_y), x), (min(y + 1, last_y), min(x + 1, last_x))
        inside = [east] if y == last_y else [south] if x == last_x else [east, south, beyond]
        edge[y, x] = any(mask[y, x] != mask[neighbour] for neighbour in inside)
    return edge


def direct_f(truth, found, radius):
    """F by distance transforms of whole images."""
    edges = [boundary(mask) for mask in (truth, found)]  # compared with a loop over pixels in a test of its own
    counts = [int(edge.sum()) for edge in edges]
    if 0 in counts:
        return float(counts[0] == counts[1])
    near = [distance_transform_edt(~edge) <= radius for edge in edges]
    recall, precision = (edges[0] & near[1]).sum() / counts[0], (edges[1] & near[0]).sum() / counts[1]
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def test_outlines_equal_a_loop_over_pixels():
    rng = np.random.default_rng(4)
    for height, width in ((1, 9), (9, 1), (20, 30), (31, 17)):
        for mask in (blob(rng, height, width), rng.random((height, width)) < 0.5):
            np.testing.assert_array_equal(boundary(mask), direct_boundary(mask))


def test_f_equals_the_direct_definition_on_random_pairs():
    rng = np.random.default_rng(0)
    differing = 0
    for number in range(120):
        height, width = (60, 100) if number % 40 == 0 else ((24, 40), (33, 31))[number % 2]
        level = rng.choice([-10, -0.05, 0.0, 0.1, 10], p=[0.03, 0.3, 0.34, 0.3, 0.03])
        truth, found = blob(rng, height, width, level), blob(rng, height, width, rng.choice([0.0, 10], p=[0.95, 0.05]))
        radius = int(rng.integers(1, 9))
        differing += outline_agreement(Outline(truth), Outline(found), radius) != direct_f(truth, found, radius)
        differing += f_measure(truth, found) != direct_f(truth, found, boundary_radius(height, width))
    assert differing == 0


def test_within_the_radius_is_within_a_dilation_by_a_disk():
    rng = np.random.default_rng(1)
    for radius in (1, 2, 3, 8):
        edge = boundary(blob(rng, 40, 50))
        y, x = np.mgrid[-radius : radius + 1, -radius : radius + 1]
        dilated = binary_dilation(edge, x**2 + y**2 <= radius**2)
        np.testing.assert_array_equal(dilated, distance_transform_edt(~edge) <= radius)


def test_jaccard_equals_sets_of_pixels():
    rng = np.random.default_rng(2)
    for _ in range(50):
        truth, found = (blob(rng, 12, 15, level) for level in (0.0, 0.1))
        a, b = ({*zip(*np.nonzero(mask), strict=True)} for mask in (truth, found))
        assert jaccard(truth, found) == (len(a & b) / len(a | b) if a | b else 1.0)
    empty = np.zeros((4, 4), bool)
    assert jaccard(empty, empty) == f_measure(empty, empty) == 1.0
    full_corner = empty.copy()
    full_corner[:2, :2] = True
    assert jaccard(full_corner, empty) == f_measure(full_corner, empty) == 0.0


def test_outline_of_a_square_by_hand():
    mask = np.zeros((5, 5), bool)
    mask[1:3, 1:3] = True
    expected = ["11100", "10100", "11100", "00000", "00000"]
    assert ["".join(map(str, row)) for row in boundary(mask).astype(int)] == expected
    low = np.zeros((3, 3), bool)
    low[1:, 1:] = True
    assert boundary(low).astype(int).tolist() == [[1, 1, 1], [1, 0, 0], [1, 0, 0]]


@pytest.mark.parametrize(
    ("size", "radius"),
    [((480, 854), 8), ((480, 910), 9), ((480, 1152), 10), ((224, 224), 3), ((1080, 1920), 18)],
)
def test_official_radii(size, radius):
    assert boundary_radius(*size) == radius


@pytest.mark.parametrize(
    ("num_frames", "edges"),
    [
        (1, [0, 0, 0, 0, 0]),
        (5, [0, 1, 2, 3, 4]),
        (10, [0, 2, 5, 7, 9]),  # 1, 3.25, 5.5, 7.75, 10: a half goes up
        (104, [0, 26, 52, 77, 103]),  # 1, 26.75, 52.5, 78.25, 104
        (300, [0, 75, 150, 224, 299]),  # 8 bits would say 43 for the last
    ],
)
def test_quarter_edges_by_hand(num_frames, edges):
    assert quarter_edges(num_frames) == edges


def test_statistics_by_hand():
    score = np.array([[1.0, 0.9, 0.5, 0.4, 0.1], [0.6] * 5])
    found = statistics(score)
    np.testing.assert_allclose(found.mean_O, [0.58, 0.6])
    np.testing.assert_allclose(found.recall_O, [2 / 5, 1.0])  # 0.5 itself is not above
    np.testing.assert_allclose(found.decay_O, [0.95 - 0.25, 0.0])


def two_objects(num_frames=6):
    """A square that rests and one that moves, void beside them."""
    truth = np.zeros((num_frames, 40, 60), np.uint8)
    for t in range(num_frames):
        truth[t, 5:15, 5:15] = 1
        truth[t, 20:30, 10 + 5 * t : 20 + 5 * t] = 2
    truth[:, :, 58:] = 255
    return truth


def test_semi_supervised_leaves_out_first_and_last_and_counts_void_as_background():
    truth = two_objects()
    found = np.where(truth == 255, 0, truth)
    found[[0, -1]] = 0
    assert all((part == 1).all() for part in semi_supervised(truth, found))
    assert semi_supervised(truth, found).j_OT.shape == (2, 4)
    found[1, :, 58:] = 1  # 80 void pixels found beside the 100 of the object
    assert semi_supervised(truth, found).j_OT[0, 0] == 100 / 180


def test_an_object_that_is_never_found_scores_nothing_and_one_that_comes_later_is_no_object():
    truth = two_objects()
    found = np.where(truth == 1, 1, 0)
    later = truth.copy()
    later[2:, 35:, :5] = 3
    for case in (truth, later):
        scores = semi_supervised(case, found)
        assert scores.j_OT.mean(1).tolist() == [1, 0]
    with pytest.raises(ValueError, match="has the object 3, but the first frame shows 2"):
        semi_supervised(truth, np.full_like(truth, 3))


@pytest.mark.parametrize(
    ("truth", "sentence"),
    [(np.ones((2, 4, 4), int), "none to score"), (np.full((4, 4, 4), 255), "shows no object")],
)
def test_what_cannot_be_scored_is_refused(truth, sentence):
    with pytest.raises(ValueError, match=sentence):
        semi_supervised(truth, np.zeros_like(truth))
