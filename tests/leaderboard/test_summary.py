"""The summary against tables made by hand, and against the marks of random tables."""

import random

from sigma_bench.leaderboard.board_table import BoardTable, Cell, Column, Reference, Row
from sigma_bench.leaderboard.summary import summary

Scores = dict[str, float | None]
"""Score of each model in one column; None if it is not measured."""


def column(label: str, asks: str | None = "motion", *, metric: str = "top1", is_lower_better: bool = False) -> Column:
    return Column(
        task=f"set/{label}",
        metric=metric,
        label=label,
        group="Set",
        asks=asks,
        group_asks=asks,
        protocol="p@1",
        higher_is_better=not is_lower_better,
        published_metric=None,
        is_paired=True,
    )


def cell(value: float, *, is_best: bool, num_seeds: int = 1) -> Cell:
    return Cell(
        value=value,
        low=value - 0.05,
        high=value + 0.05,
        seed_values=(value,) * num_seeds,
        seed_std=None,
        repeat_std=None,
        record_ids=tuple(map(str, range(num_seeds))),
        mark="best" if is_best else None,
    )


def row(name: str, cells: tuple[Cell | None, ...]) -> Row:
    about = {"family": None, "num_parameters": None, "pretraining_data": None, "pretraining_epochs": None}
    return Row(model=name.lower(), name=name, cells=cells, axis_means=(), mean=None, rank=None, **about)


def table(
    columns: dict[Column, Scores],
    best: dict[str, set[str]],
    *,
    floors: dict[str, tuple[float | None, ...]] | None = None,
    num_seeds: dict[str, int] | None = None,
) -> BoardTable:
    """A table with the marks of ``best`` (label of a column -> models) and intervals of 5 points to both sides."""
    rows = []
    for model in dict.fromkeys(model for scores in columns.values() for model in scores):
        values = ((one.label, scores.get(model)) for one, scores in columns.items())
        seeds = (num_seeds or {}).get(model, 1)
        cells = (v if v is None else cell(v, is_best=model in best[name], num_seeds=seeds) for name, v in values)
        rows.append(row(model, tuple(cells)))
    return BoardTable(
        name="t",
        title="T",
        note="",
        about=(),
        columns=tuple(columns),
        axes=(),
        mean_label=None,
        rows=tuple(rows),
        references=tuple(Reference(name=name, values=values, kind="floor") for name, values in (floors or {}).items()),
        sections=(),
        published_note="",
        deltas=(),
        counts=(),
        divisions=(),
        levels=(0.95,),
    )


def sentences(of: BoardTable) -> dict[str, str]:
    return {one.question: one.sentence for one in summary(of)}


def test_one_column_names_the_best_its_interval_and_the_models_not_separable_from_it() -> None:
    scores: Scores = {"A": 0.5, "B": 0.48, "C": 0.49, "D": 0.1}
    for best, words in (
        ({"A"}, "all other models are separably worse"),
        ({"A", "B", "C"}, "not separable from it: B and C"),
        ({"A", "B", "C", "D"}, "no other model is separable from it"),
    ):
        found = sentences(table({column("kNN"): scores}, {"kNN": best}))
        assert found == {"Motion": f"A has the highest score in Set kNN 50.0 [45.0, 55.0] ({words})."}


def test_columns_that_agree_and_columns_that_disagree() -> None:
    first, second = column("kNN"), column("linear")
    agree = table({first: {"A": 0.5, "B": 0.4}, second: {"A": 0.7, "B": 0.69}}, {"kNN": {"A"}, "linear": {"A", "B"}})
    assert sentences(agree)["Motion"] == (
        "A has the highest score in both columns, Set kNN 50.0 [45.0, 55.0] and Set linear 70.0 [65.0, 75.0] "
        "(not separable from it: B in 1 of 2 columns)."
    )
    tied = table(
        {first: {"A": 0.5, "B": 0.4}, second: {"A": 0.7, "B": 0.69, "C": 0.1}},
        {"kNN": {"A", "B"}, "linear": {"A", "B"}},
    )
    assert "(not separable from it: B in both columns)." in sentences(tied)["Motion"]
    disagree = table({first: {"A": 0.5, "B": 0.4}, second: {"A": 0.6, "B": 0.7}}, {"kNN": {"A"}, "linear": {"B"}})
    assert sentences(disagree)["Motion"] == (
        "The columns disagree: A has the highest score in Set kNN 50.0 [45.0, 55.0] (the other model is separably "
        "worse); B in Set linear 70.0 [65.0, 75.0] (the other model is separably worse)."
    )


def test_columns_that_disagree_name_the_models_that_are_among_the_best_of_all() -> None:
    columns: dict[Column, Scores] = {
        column("kNN"): {"A": 0.5, "B": 0.4, "C": 0.45},
        column("linear"): {"A": 0.6, "B": 0.7, "C": 0.65},
    }
    for best, words in (
        ({"kNN": {"A", "C"}, "linear": {"B", "A"}}, "A is among the best in both columns: A has"),
        ({"kNN": {"A", "C"}, "linear": {"B", "C"}}, "C is among the best in both columns: A has"),
        ({"kNN": {"A", "C"}, "linear": {"A", "B", "C"}}, "A and C are among the best in both columns: A has"),
        ({"kNN": {"A", "C"}, "linear": {"B"}}, "The columns disagree: A has"),
    ):
        assert sentences(table(columns, best))["Motion"].startswith(words)
    both = sentences(table(columns, {"kNN": {"A", "B"}, "linear": {"A", "B"}}))["Motion"]
    assert both == (
        "A and B are among the best in both columns: A has the highest score in Set kNN 50.0 [45.0, 55.0]; "
        "B in Set linear 70.0 [65.0, 75.0]; all other models are separably worse."
    )
    more = sentences(table(columns, {"kNN": {"A", "C"}, "linear": {"B", "A"}}))["Motion"]
    assert more.endswith(
        "50.0 [45.0, 55.0] (not separable from it: C); B in Set linear 70.0 [65.0, 75.0] (not separable from it: A)."
    )


def test_many_columns_give_the_lowest_and_the_highest_score() -> None:
    values = (0.3, 0.2, 0.8, 0.5)
    columns: dict[Column, Scores] = {column(str(n)): {"A": value, "B": 0.1} for n, value in enumerate(values)}
    found = sentences(table(columns, {str(n): {"A", "B"} if n == 1 else {"A"} for n in range(4)}))["Motion"]
    assert found == (
        "A has the highest score in all 4 columns, from Set 1 20.0 [15.0, 25.0] to Set 2 80.0 [75.0, 85.0] "
        "(not separable from it: B in 1 of 4 columns)."
    )
    (last,) = (one for one in columns if one.label == "3")
    columns[last]["C"] = 0.9
    found = sentences(table(columns, {"0": {"A"}, "1": {"A"}, "2": {"A"}, "3": {"C"}}))["Motion"]
    assert found.startswith("The columns disagree: A has the highest score in Set 0 30.0")
    assert "; C in Set 3 90.0 [85.0, 95.0] (all other models are separably worse)." in found


def test_a_floor_is_named_if_the_best_score_is_not_above_it() -> None:
    for value, words in (
        (0.3, ""),
        (0.2501, ""),
        (0.22, "its interval includes chance at 20.0; "),
        (0.2, "not better than chance at 20.0; "),
        (0.1, "not better than chance at 20.0; "),
    ):
        found = sentences(
            table(
                {column("kNN"): {"A": value, "B": 0.0}}, {"kNN": {"A"}}, floors={"chance": (0.2,), "nothing": (0.05,)}
            )
        )
        assert f"] ({words}the other model is separably worse)." in found["Motion"], value


def test_a_small_error_is_the_best_score_and_a_floor_above_it() -> None:
    counting = column("count", metric="counting_error", is_lower_better=True)
    for floor, words in ((0.4, ""), (0.32, "its interval includes constant at 0.320; "), (0.2, "not better than ")):
        of = table({counting: {"A": 0.5, "B": 0.3}}, {"count": {"B"}}, floors={"constant": (floor,)})
        found = sentences(of)["Motion"]
        assert found.startswith(f"B has the best score in Set count 0.300 [0.250, 0.350] ({words}")
        assert ("constant" in found) == bool(words)


def test_questions_are_apart_and_columns_without_one_have_their_header() -> None:
    columns: dict[Column, Scores] = {
        column("kNN"): {"A": 0.5},
        column("linear", "appearance"): {"A": 0.5},
        column("mine", "unspecified"): {"A": 0.5},
        column("empty", "segmentation"): {"A": None},
    }
    found = sentences(table(columns, {"kNN": {"A"}, "linear": {"A"}, "mine": {"A"}, "empty": set()}))
    assert list(found) == ["Motion", "Appearance", "Set"]
    assert found["Set"] == "A has the highest score in Set mine 50.0 [45.0, 55.0] (no other model is measured)."


def test_the_number_of_seeds_is_that_of_the_best_scores() -> None:
    columns: dict[Column, Scores] = {column("kNN"): {"A": 0.5, "B": 0.4}, column("linear"): {"A": 0.1, "B": 0.4}}
    best = {"kNN": {"A"}, "linear": {"B"}}
    for seeds, words in (
        ({"A": 3, "B": 3}, "; means over 3 seeds."),
        ({"A": 3}, "; means over 1 to 3 seeds."),
        ({}, ")."),
    ):
        assert sentences(table(columns, best, num_seeds=seeds))["Motion"].endswith(words)


def test_every_bold_model_is_named_and_no_other_and_the_highest_is_the_first() -> None:
    draw = random.Random(0)
    for _ in range(300):
        columns: dict[Column, Scores] = {}
        best: dict[str, set[str]] = {}
        for number in range(draw.randint(1, 5)):
            values: Scores = {f"M{model}": draw.random() for model in range(draw.randint(1, 5))}
            highest = max(values, key=lambda name: values[name] or 0)
            columns[column(f"c{number}")] = values
            best[f"c{number}"] = {highest, *(name for name in values if draw.random() < 0.3)}
        found = sentences(table(columns, best))["Motion"]
        winners = [max(values, key=lambda name: values[name] or 0) for values in columns.values()]
        common = set.intersection(*best.values()) if len(set(winners)) > 1 else set()
        assert found.startswith("The columns disagree") == (len(set(winners)) > 1 and not common)
        assert {name for name in values if name in found.partition(" among the best in ")[0]} >= common
        assert all(f"{name} has the highest" in found or f"; {name} in " in found for name in winners)
        bold = set().union(*best.values())
        named = {name for name in {f"M{model}" for model in range(5)} if name in found}
        assert named <= bold
        assert bold <= named or "no other model is separable from it" in found
