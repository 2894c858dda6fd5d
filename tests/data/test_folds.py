"""Folds: whole groups, balanced classes, random splits, and what cannot be divided."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sklearn.model_selection import StratifiedGroupKFold

from sigma_bench.data.folds import divided, with_folds
from sigma_bench.data.manifest import Expected, Manifest, Sample, make_split
from sigma_bench.specs.folds import parse_folds


def unsplit(*rows: tuple[int | None, str]) -> Manifest:
    """A manifest of samples with these classes and groups."""
    samples = [
        Sample(f"{number}.mp4", Path(f"{number}.mp4"), "video", label, group)
        for number, (label, group) in enumerate(rows)
    ]
    split = make_split("all", samples, Expected(len(samples)), Path("here"))
    return Manifest("clips", "user", ("run", "walk", "wave"), {"all": split})


PEOPLE = [(label, f"person{person}") for person in range(9) for label in (0, 1, 2)]


@pytest.mark.parametrize(
    ("given", "expected"),
    [("official", "official"), (5, "5"), ("05", "5"), ("random:.20", "random:0.2"), ("random:0.0500", "random:0.05")],
)
def test_folds_have_one_spelling(given: str | int, expected: str) -> None:
    assert parse_folds(given) == expected


@pytest.mark.parametrize("given", ["1", "51", "5 folds", "random", "random:0", "random:1.0", "random:0.0", True, None])
def test_other_folds_are_refused_with_the_choices(given: object) -> None:
    with pytest.raises(ValueError, match=r"choose official, leave_one_group_out, a number of folds .* or random:SHARE"):
        parse_folds(given)


def test_k_folds_are_those_of_scikit_learn_by_whole_groups() -> None:
    split = with_folds(unsplit(*PEOPLE).splits["all"], "4")
    groups = np.array([sample.group for sample in split.samples])
    label_S = np.array([sample.label for sample in split.samples])
    expected = StratifiedGroupKFold(4, shuffle=True, random_state=0).split(label_S, label_S, groups)
    for fold, (_, test) in enumerate(expected):
        assert np.flatnonzero(np.array(split.folds) == fold).tolist() == test.tolist()
    assert all(len(set(np.array(split.folds)[groups == group].tolist())) == 1 for group in groups)
    assert sorted(Counter(split.folds).values()) == [6, 6, 6, 9]


def test_samples_without_groups_are_balanced_in_every_fold() -> None:
    split = with_folds(unsplit(*((label, f"clip{n}{label}") for n in range(10) for label in (0, 1))).splits["all"], "5")
    counts = Counter((fold, sample.label) for fold, sample in zip(split.folds, split.samples, strict=True))
    assert len(counts) == 10 and set(counts.values()) == {2}


def test_every_group_is_a_fold_of_its_own() -> None:
    split = with_folds(unsplit((0, "b"), (1, "a"), (0, "a"), (1, "c")).splits["all"], "leave_one_group_out")
    assert split.folds == (1, 0, 0, 2)


def test_the_digest_of_folds_tells_two_divisions_apart() -> None:
    split = unsplit(*PEOPLE).splits["all"]
    four, five = with_folds(split, "4"), with_folds(split, "5")
    assert split.folds_sha256 is None and four.folds_sha256 != five.folds_sha256
    assert replace(four, folds=five.folds).folds_sha256 == five.folds_sha256
    assert with_folds(split, "official") is split


@pytest.mark.parametrize("share", [0.2, 0.5])
def test_a_random_split_tests_this_share_of_whole_groups(share: float) -> None:
    parts = divided(unsplit(*PEOPLE), f"random:{share}").splits
    train, test = ({sample.group for sample in parts[name].samples} for name in ("train", "test"))
    assert not train & test and len(train | test) == 9
    assert len(test) == round(share * 9)
    assert len(parts["test"].samples) == 3 * len(test) == parts["test"].expected
    again = divided(unsplit(*PEOPLE), f"random:{share}").splits
    assert again["test"].ids == parts["test"].ids


def test_groups_of_one_class_are_drawn_from_every_class() -> None:
    rows = [(label, f"{label}-{number}") for label, groups in enumerate((2, 10, 20)) for number in range(groups)]
    test = divided(unsplit(*rows), "random:0.2").splits["test"]
    assert Counter(sample.label for sample in test.samples) == {0: 1, 1: 2, 2: 4}


@pytest.mark.parametrize(
    ("rows", "folds", "sentence"),
    [
        ([(0, "a"), (1, "a")], "leave_one_group_out", "need at least 2 groups; there are 1"),
        (PEOPLE, "10", "folds 10 need at least 10 groups; there are 9"),
        ([(0, "a"), (0, "b"), (1, "b"), (1, "b")], "2", "all samples of the class of '2.mp4' are in one fold"),
        ([(0, "a"), (1, "b"), (2, "c"), (0, "d")], "3", "folds 3: no class has more than 2 samples"),
    ],
)
def test_what_cannot_be_divided_into_folds_is_refused(rows: list[tuple[int, str]], folds: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        with_folds(unsplit(*rows).splits["all"], folds)


def test_what_cannot_be_split_at_random_is_refused() -> None:
    with pytest.raises(ValueError, match="there is one group only"):
        divided(unsplit((0, "a"), (1, "a")), "random:0.2")
    with pytest.raises(ValueError, match=r"all samples of the class 'w[a-z]+' are in test"):
        divided(unsplit((0, "a"), (1, "a"), (0, "b"), (2, "b")), "random:0.5")
    parts = divided(unsplit(*PEOPLE), "random:0.2")
    with pytest.raises(ValueError, match="clips: folds 5 divide one split 'all', but the data have train and test"):
        divided(parts, "5")
