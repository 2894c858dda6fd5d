"""The 74 clips of inference: figures of the released code, a second implementation, an oracle, other videos."""

import zipfile
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from sigma_bench.data.annotations import CycleBounds
from sigma_bench.data.datasets import open_dataset
from sigma_bench.data.manifest import Sample
from sigma_bench.metrics.counting import counting_error, off_by_one
from sigma_bench.protocols.counting.frames import half_lengths
from sigma_bench.protocols.counting.inference import Prediction, count_repetitions, scale_change
from sigma_bench.protocols.counting.spec import CountingProtocol
from sigma_bench.specs.catalogue import load_dataset, load_task, resolve


@cache
def protocol() -> CountingProtocol:
    found = resolve(load_task("ucfrep/counting")).protocol
    assert isinstance(found, CountingProtocol)
    return found


def stub(video_S: np.ndarray, state_S3: np.ndarray) -> Prediction:
    """All logits and boxes 0."""
    return Prediction(np.full((len(state_S3), 2, 7), 0.5), np.zeros((len(state_S3), 2, 7)))


def test_stub_network_on_the_first_videos_as_released() -> None:
    """The first five validation videos; the sixth is 27.5 before rounding, which goes to 28."""
    assert count_repetitions(np.array([189, 197, 106, 184, 121, 116]), stub, protocol()).tolist() == [
        *(47, 44, 26, 44, 30),
        28,
    ]


def test_a_video_costs_74_looks_in_13_rounds() -> None:
    rounds = []

    def counted(video_S: np.ndarray, state_S3: np.ndarray) -> Prediction:
        rounds.append(np.bincount(video_S).tolist())
        return stub(video_S, state_S3)

    count_repetitions(np.array([189, 60]), counted, protocol())
    assert rounds == [[looks, looks] for looks in (30, 1, 1, 1, 1, 2, 2, 2, 2, 4, 4, 8, 16)]
    assert sum(looks for looks, _ in rounds) == 74


@pytest.fixture
def validation(shared_data: Path, tmp_path: Path) -> tuple[Sample, ...]:
    """The 105 validation videos' annotations, in the order of their names."""
    with zipfile.ZipFile(shared_data / "lists/ucfrep/ucf526_annotations.zip") as archive:
        archive.extractall(tmp_path / "ucf101" / "UCFRep")
    samples = open_dataset(load_dataset("ucfrep"), tmp_path).splits["test"].samples
    return tuple(sorted(samples, key=lambda sample: sample.id))


def cycles_of(samples: tuple[Sample, ...]) -> list[CycleBounds]:
    return [sample.annotation for sample in samples if isinstance(sample.annotation, CycleBounds)]


def test_stub_network_on_all_validation_videos_as_released(validation: tuple[Sample, ...]) -> None:
    """Of the released code: 7.065736050, standard deviation 4.994409, never off by only one."""
    cycles = cycles_of(validation)
    truth = np.array([found.count for found in cycles])
    length = np.array([found.bounds[-1] - found.bounds[0] + 1 for found in cycles])
    predicted = count_repetitions(length, stub, protocol())
    assert len(truth) == 105
    assert f"{counting_error(truth, predicted):.9f}" == "7.065736050"
    assert f"{(np.abs(predicted - truth) / truth).std():.6f}" == "4.994409"
    assert off_by_one(truth, predicted) == 0
    assert (predicted[:5].tolist(), truth[:5].tolist()) == ([47, 44, 26, 44, 30], [4, 7, 6, 4, 3])


def oracle(cycles: list[CycleBounds]) -> Callable[[np.ndarray, np.ndarray], Prediction]:
    """An oracle of the lengths of the cycles that contain the middle frame and the next frame."""
    anchors = np.array(protocol().anchors)

    def length_at(video: int, frame: float) -> int:
        bounds = np.array(cycles[video].bounds) - cycles[video].bounds[0]
        cycle = int(np.searchsorted(bounds, frame, side="right")) - 1
        return int(np.diff(bounds)[min(cycle, len(bounds) - 2)])

    def predict(video_S: np.ndarray, state_S3: np.ndarray) -> Prediction:
        middles = [(int(video), state[1]) for video, state in zip(video_S, state_S3, strict=True)]
        true_S21 = np.array([[[length_at(video, middle + side)] for side in range(2)] for video, middle in middles])
        anchor_S2A = half_lengths(state_S3)[..., None] * anchors
        overlap_S2A = np.minimum(true_S21, anchor_S2A) / np.maximum(true_S21, anchor_S2A)
        return Prediction(overlap_S2A, np.log(true_S21 / anchor_S2A))

    return predict


def test_who_knows_the_lengths_counts_regular_cycles() -> None:
    cycles = [CycleBounds(tuple(range(0, period * count + 1, period))) for period, count in ((9, 6), (14, 8), (21, 12))]
    length = np.array([found.bounds[-1] + 1 for found in cycles])
    assert count_repetitions(length, oracle(cycles), protocol()).tolist() == [6, 8, 12]


def test_an_oracle_counts_real_annotations_about_as_well_as_published(validation: tuple[Sample, ...]) -> None:
    """Another simulation of one gave about 0.064 and 0.914."""
    cycles = cycles_of(validation)
    truth = np.array([found.count for found in cycles])
    length = np.array([found.bounds[-1] - found.bounds[0] + 1 for found in cycles])
    predicted = count_repetitions(length, oracle(cycles), protocol())
    assert counting_error(truth, predicted) < 0.065
    assert off_by_one(truth, predicted) > 0.91


def arbitrary(video_S: np.ndarray, state_S3: np.ndarray) -> Prediction:
    """Pseudo-random outputs that depend only on the state."""
    number = (state_S3 * (3.1, 1.7, 0.9)).sum(1)[:, None, None] + np.arange(14).reshape(2, 7)
    return Prediction(np.sin(number) ** 2, np.cos(2 * number))


def test_against_a_second_implementation() -> None:
    length = np.array([9, 31, 54, 106, 121, 333, 584])
    assert count_repetitions(length, arbitrary, protocol()).tolist() == [count_one(int(n)) for n in length]


def test_videos_do_not_influence_each_other() -> None:
    length = np.array([54, 189, 33])
    together = count_repetitions(length, arbitrary, protocol()).tolist()
    assert together == [int(count_repetitions(length[[i]], arbitrary, protocol())[0]) for i in range(3)]


def test_the_most_credible_anchor_changes_a_length_and_boxes_are_clamped() -> None:
    foreground = np.zeros((1, 2, 7))
    foreground[0, 0, 6], foreground[0, 1, [1, 3]] = 1, 0.7
    change = scale_change(Prediction(foreground, np.full((1, 2, 7), 3.0)), protocol().anchors, 0.5)
    assert change[0] == pytest.approx([2 * np.exp(0.5), 0.67 * np.exp(0.5)])


def look(left: float, middle: float, right: float) -> tuple[list[float], list[float], np.ndarray]:
    """Changed lengths of both sides; probability and box of the left anchor of scale 1."""
    said = arbitrary(np.zeros(1), np.array([[left, middle, right]]))
    sides = []
    for side, length in enumerate((middle - left + 1, right - middle)):
        best = int(said.foreground_S2A[0, side].argmax())
        sides.append(length * protocol().anchors[best] * np.exp(np.clip(said.box_S2A[0, side, best], -0.5, 0.5)))
    return sides, [said.foreground_S2A[0, 0, 3]], np.clip(said.box_S2A[0, 0, 3], -0.5, 0.5)


def count_one(n: int) -> int:
    """A second implementation with loops over videos and time points."""

    def at_middle(half: float) -> tuple[float, float]:
        _, (credible,), box = look(n / 2 - half, n / 2, n / 2 + half + 1)
        return half * float(np.exp(box)), credible

    tried = [at_middle(n * 0.03 * (0.35 / 0.03) ** (k / 29)) for k in range(30)]
    allowed = [(credible, -k, m) for k, (m, credible) in enumerate(tried) if 4 <= m < n / 2]
    cycle = int(max(allowed)[2]) if allowed else 4
    for _ in range(4):
        m, _ = at_middle(cycle)
        cycle = round(0.5 * cycle + 0.5 * m) if 4 <= m < n / 2 else cycle
    centre = [int(n / 33 * (i + 0.5)) for i in range(32)]
    by_left = [(c - cycle, c + cycle + 1) for c in centre]
    by_right = list(by_left)
    for level, iterations in enumerate((4, 2, 1, 1), start=1):
        width = 16 >> level
        for node in range(width, 32, 2 * width):
            c = centre[node]
            old = new = [round((one + other) / 2) for one, other in zip(by_left[node], by_right[node], strict=True)]
            for iteration in range(iterations):
                if iteration:
                    old = [round(0.5 * a + 0.5 * b) for a, b in zip(new, old, strict=True)]
                one, other = (min(max(length, 4), n / 2) for length in look(old[0], c, old[1])[0])
                left, right = int(c - one + 1), int(c + other)
                new = [old[0] if c - left + 1 < 4 else left, old[1] if right - c < 4 else right]
            offset = [0.5 * a + 0.5 * b - c for a, b in zip(new, old, strict=True)]
            for place in range(node - width, node + width):
                value = (int(centre[place] + offset[0]), int(centre[place] + offset[1]))
                below = place < node
                at_end = node == width if below else node == 32 - width
                if below or level != 3 or at_end:
                    by_right[place] = value
                if not below or level != 3 or at_end:
                    by_left[place] = value
    local = []
    for c, one, other in zip(centre, by_left, by_right, strict=True):
        left, right = round((one[0] + other[0]) / 2), round((one[1] + other[1]) / 2)
        if int(left - (c - left + 1)) >= 0 and int(right + (right - c)) < n:
            local.append(n * 0.5 * (1 / (c - left + 1) + 1 / (right - c)))
    return round(float(np.mean(local))) if local else round(n / (cycle + 1))
