"""Segmentation scores: hand-computed units, invariances, and a second implementation that loops over pixels."""

from itertools import permutations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from sigma_bench.metrics.segmentation import (
    LabelCounts,
    all_background,
    confusion,
    label_counts,
    matched_labels,
    mean_iou,
    oracle_tubes,
)
from tests.metrics.unit_score import miou

RULES = ("hungarian_iou", "majority_precision")


@st.composite
def units(draw, max_label=3, max_cluster=4, void=True):
    """Truth and clusters of one unit, flat; at least one pixel is not void."""
    labels = st.sampled_from([*range(max_label + 1), *([255] if void else [])])
    pixels = draw(st.lists(st.tuples(labels, st.integers(0, max_cluster)), min_size=1, max_size=40))
    pixels.append((draw(st.integers(0, max_label)), 0))
    truth, clusters = np.array(pixels).T
    return truth.astype(np.uint8), clusters


def brute_force_majority_miou(truth, clusters):
    """The published rule, pixel by pixel, sharing nothing with the code under test."""
    pixels = [(int(t), int(c)) for t, c in zip(truth, clusters, strict=True) if t != 255]
    labels = sorted({t for t, _ in pixels})
    stands_for = {}
    for cluster in {c for _, c in pixels}:
        inside = [t for t, c in pixels if c == cluster]
        stands_for[cluster] = max(labels, key=lambda label: (inside.count(label) / len(inside), -label))
    total = 0.0
    for label in labels:
        hit = sum(t == label and stands_for[c] == label for t, c in pixels)
        union = sum(t == label or stands_for[c] == label for t, c in pixels)
        total += hit / union
    return total / len(labels)


def brute_force_miou(truth, clusters, rule):
    """Sets of pixels, and every one-to-one naming of the clusters tried; those without a label are background."""

    def iou(a, b):
        return len(a & b) / len(a | b)

    where = {label: set(np.flatnonzero(truth == label)) for label in range(5) if (truth == label).any()}
    valid = set().union(*where.values())
    found = [pixels for c in range(6) if (pixels := set(np.flatnonzero(clusters == c)) & valid)]
    if rule == "majority_precision":
        naming = [max(where, key=lambda g: (len(where[g] & pixels) / len(pixels), -g)) for pixels in found]
    else:
        names = [*where, *[None] * max(0, len(found) - len(where))]
        fits = {(g, p): 0.0 if g is None else iou(where[g], pixels) for g in names for p, pixels in enumerate(found)}
        best = max(permutations(names, len(found)), key=lambda chosen: sum(fits[g, p] for p, g in enumerate(chosen)))
        naming = [0 if g is None else g for g in best]
    claimed = {g: set().union(*(p for name, p in zip(naming, found, strict=True) if name == g)) for g in where}
    return np.mean([iou(where[g], claimed[g]) for g in where])


@pytest.mark.parametrize("rule", RULES)
def test_three_hundred_random_units_equal_the_brute_force_exactly(rule):
    rng = np.random.default_rng(0)
    differing = 0
    for _ in range(300):
        size, num_labels, num_clusters = rng.integers(60, 200), rng.integers(1, 5), rng.integers(1, 6)
        truth = rng.integers(0, num_labels, size)
        follows = rng.random(size) < rng.random()
        clusters = np.where(follows, truth % num_clusters, rng.integers(0, num_clusters, size))
        truth[rng.random(size) < 0.1] = 255
        truth[0] = 0
        differing += miou(truth, clusters, rule) != brute_force_miou(truth, clusters, rule)
    assert differing == 0


def test_pixels_of_several_clips_add_up_and_share_one_matching():
    """Cluster 0 is mostly label 1 over both clips, though the second alone would call it background."""
    truths = [np.array([1, 1, 1, 1, 0, 0]), np.array([0, 0, 255, 0])]
    clusters = [np.array([0, 0, 0, 0, 1, 1]), np.array([0, 0, 0, 1])]
    counts = label_counts(truths, clusters, "hungarian_iou")
    assert counts.hit_SG.tolist() == [[2, 4], [1, 0]]
    assert counts.true_SG.tolist() == [[2, 4], [3, 0]]
    assert counts.claimed_SG.tolist() == [[2, 4], [1, 2]]
    assert mean_iou(counts) == pytest.approx((3 / 5 + 4 / 6) / 2)
    assert mean_iou(LabelCounts(*(part[1:] for part in counts))) == pytest.approx(1 / 3)  # no label 1 in clip two
    assert mean_iou(counts, background_counts=False) == pytest.approx(4 / 6)


def test_matched_labels_wear_the_label_of_their_cluster():
    truth = np.array([0, 0, 0, 0, 3, 3, 255], dtype=np.uint8)
    clusters = np.array([7, 7, 7, 2, 2, 2, 9])
    matched = matched_labels(truth, clusters, "hungarian_iou")
    assert matched.tolist() == [0, 0, 0, 3, 3, 3, 255]
    assert matched.dtype == truth.dtype


def test_confusion_by_hand():
    truth = np.array([[0, 0, 3], [3, 255, 3]], dtype=np.uint8)
    clusters = np.array([[5, 5, 5], [2, 9, 2]])
    labels, found, counts = confusion(truth, clusters)
    assert labels.tolist() == [0, 3]
    assert found.tolist() == [2, 5]  # cluster 9 lies in void only
    assert counts.tolist() == [[0, 2], [2, 1]]


def test_hungarian_miou_by_hand():
    truth = np.array([0, 0, 0, 0, 1, 1, 2, 2])
    clusters = np.array([7, 7, 7, 8, 8, 8, 7, 7])
    # cluster 7 -> label 0 (3 of 6), cluster 8 -> label 1 (2 of 3), label 2 has no cluster
    assert miou(truth, clusters) == pytest.approx((3 / 6 + 2 / 3 + 0) / 3)


def test_left_over_clusters_are_background():
    truth = np.array([0, 0, 0, 0, 1, 1])
    clusters = np.array([1, 1, 1, 2, 3, 3])
    assert miou(truth, clusters) == 1.0


def test_left_over_clusters_have_no_label_when_there_is_no_background():
    truth = np.array([4, 4, 4, 4, 6, 6])
    clusters = np.array([1, 1, 1, 2, 3, 3])
    assert miou(truth, clusters) == pytest.approx((3 / 4 + 1) / 2)


def test_majority_miou_by_hand():
    truth = np.array([0, 0, 0, 1, 1, 1, 1, 2])
    clusters = np.array([0, 0, 1, 1, 2, 2, 3, 3])
    # 0 -> 0; 1 -> tie of 0 and 1 -> 0; 2 -> 1; 3 -> tie of 1 and 2 -> 1; label 2 is chosen by none
    assert miou(truth, clusters, "majority_precision") == pytest.approx((3 / 4 + 3 / 5 + 0) / 3)


def test_background_can_be_left_out_of_the_mean_but_not_of_the_matching():
    truth = np.array([0, 0, 0, 0, 1, 1])
    clusters = np.array([0, 0, 0, 1, 1, 1])
    assert miou(truth, clusters, background_counts=True) == pytest.approx((3 / 4 + 2 / 3) / 2)
    assert miou(truth, clusters, background_counts=False) == pytest.approx(2 / 3)


def test_only_background_scores_zero_without_background():
    truth = np.zeros(5, dtype=np.uint8)
    assert miou(truth, truth) == 1.0
    assert miou(truth, truth, background_counts=False) == 0.0


@pytest.mark.parametrize("rule", RULES)
def test_a_unit_of_void_is_refused(rule):
    with pytest.raises(ValueError, match="void"):
        miou(np.full(4, 255), np.zeros(4, dtype=int), rule)


def test_different_shapes_and_unknown_rules_are_refused():
    with pytest.raises(ValueError, match="must be equal"):
        miou(np.zeros(4, dtype=int), np.zeros((2, 2), dtype=int))
    with pytest.raises(ValueError, match="unknown matching 'greedy'"):
        miou(np.zeros(4, dtype=int), np.zeros(4, dtype=int), "greedy")


@settings(deadline=None)
@given(unit=units())
def test_majority_equals_the_brute_force(unit):
    assert miou(*unit, "majority_precision") == pytest.approx(brute_force_majority_miou(*unit), abs=1e-12)


@settings(deadline=None)
@given(unit=units(max_label=3, max_cluster=3, void=False))
def test_hungarian_miou_is_the_best_one_to_one_naming(unit):
    labels, clusters, counts = confusion(*unit)
    assume(len(clusters) <= len(labels))
    size = max(len(labels), len(clusters))
    square = np.zeros((size, size))
    square[: len(labels), : len(clusters)] = counts
    union = square.sum(1)[:, None] + square.sum(0)[None] - square
    iou = square / np.maximum(union, 1)
    best = max(sum(iou[g, p] for g, p in enumerate(order)) for order in permutations(range(size)))
    assert miou(*unit) == pytest.approx(best / len(labels), abs=1e-12)


@settings(deadline=None)
@given(unit=units(), seed=st.integers(0, 2**32 - 1), rule=st.sampled_from(RULES), background=st.booleans())
def test_order_of_pixels_and_names_of_clusters_do_not_matter(unit, seed, rule, background):
    truth, clusters = unit
    rng = np.random.default_rng(seed)
    order, renamed = rng.permutation(len(truth)), rng.permutation(100)[clusters]
    expected = miou(truth, clusters, rule, background)
    assert miou(truth[order], clusters[order], rule, background) == pytest.approx(expected, abs=1e-12)
    assert miou(truth, renamed, rule, background) == pytest.approx(expected, abs=1e-12)


def test_names_of_clusters_do_not_break_ties():
    # Cluster 0 goes to label 0; label 1 may take cluster 1 or 2 at IoU 0, and the other one becomes background.
    counts = [[10, 1, 4], [1, 0, 0]]
    pixels = [(label, cluster) for label in (0, 1) for cluster in range(3) for _ in range(counts[label][cluster])]
    truth, clusters = np.array(pixels).T
    scores = {miou(truth, np.array(names)[clusters]) for names in permutations(range(3))}
    assert len(scores) == 1
    assert scores <= {(14 / 16 + 0) / 2, (11 / 16 + 0) / 2}


@settings(deadline=None)
@given(unit=units(), extra=st.lists(st.integers(0, 9), max_size=10), rule=st.sampled_from(RULES))
def test_void_pixels_do_not_matter(unit, extra, rule):
    truth, clusters = unit
    more_truth = np.concatenate([truth, np.full(len(extra), 255, np.uint8)])
    more_clusters = np.concatenate([clusters, np.array(extra, dtype=clusters.dtype)])
    assert miou(more_truth, more_clusters, rule) == miou(truth, clusters, rule)


@settings(deadline=None)
@given(unit=units(void=False), rule=st.sampled_from(RULES))
def test_the_truth_itself_scores_one(unit, rule):
    truth, _ = unit
    assert miou(truth, truth, rule) == 1.0


def test_oracle_tubes_by_hand():
    truth = np.zeros((2, 4, 4), dtype=np.uint8)
    truth[:, :2, :2] = [[[1, 1], [1, 0]], [[1, 1], [0, 0]]]  # 5 of 8 pixels
    truth[:, :2, 2:] = [[[2, 2], [255, 255]], [[255, 255], [255, 0]]]  # most are void, then 2
    truth[:, 2:, :2] = [[[3, 3], [3, 3]], [[2, 2], [2, 2]]]  # a tie
    truth[:, 2:, 2:] = 255
    oracle = oracle_tubes(truth, (1, 2, 2))
    assert oracle.shape == truth.shape
    assert oracle.dtype == truth.dtype
    assert oracle[0].tolist() == [[1, 1, 2, 2], [1, 1, 2, 2], [2, 2, 255, 255], [2, 2, 255, 255]]
    np.testing.assert_array_equal(oracle[0], oracle[1])


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 2**32 - 1))
def test_no_labelling_of_tubes_hits_more_pixels_than_the_oracle(seed):
    rng = np.random.default_rng(seed)
    truth = rng.choice([0, 1, 2, 255], size=(4, 8, 8)).astype(np.uint8)
    tubes = rng.integers(0, 3, size=(2, 2, 2)).repeat(2, 0).repeat(4, 1).repeat(4, 2)
    assert (oracle_tubes(truth, (2, 2, 2)) == truth).sum() >= (tubes == truth)[truth != 255].sum()


def test_a_mask_that_divides_into_tubes_is_its_own_oracle():
    truth = np.random.default_rng(0).integers(0, 4, size=(2, 3, 3)).repeat(2, 0).repeat(4, 1).repeat(4, 2)
    np.testing.assert_array_equal(oracle_tubes(truth, (2, 3, 3)), truth)


def test_tubes_are_the_pixels_that_nearest_resizing_gives_them():
    """Five columns from two tubes: the middles 0.5 .. 4.5 fall at 0.2, 0.6, 1.0, 1.4, 1.8 of a tube's width."""
    truth = np.array([[[1, 1, 2, 2, 2]]], dtype=np.uint8)
    np.testing.assert_array_equal(oracle_tubes(truth, (1, 1, 2)), [[[1, 1, 2, 2, 2]]])
    truth = np.array([[[1, 2, 2, 2, 1]]], dtype=np.uint8)
    np.testing.assert_array_equal(oracle_tubes(truth, (1, 1, 2)), [[[1, 1, 2, 2, 2]]])


def test_frames_that_do_not_divide_into_tubes_are_refused():
    with pytest.raises(ValueError, match="3 frames cannot be cut into 2 tubes"):
        oracle_tubes(np.zeros((3, 8, 8), dtype=np.uint8), (2, 2, 2))


def test_all_background_is_the_floor():
    truth = np.array([[0, 0, 0], [1, 1, 255]], dtype=np.uint8)
    floor = all_background(truth)
    assert floor.dtype == truth.dtype
    for rule in RULES:
        assert miou(truth, floor, rule) == pytest.approx((3 / 5) / 2)
        assert miou(truth, floor, rule, background_counts=False) == 0.0
