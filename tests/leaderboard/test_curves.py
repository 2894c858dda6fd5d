"""Curves of suites with variants, from records whose predictions are known."""

from pathlib import Path

import pytest

from sigma_bench.leaderboard.curves import Curves, csv_text, curves, markdown, with_tasks
from sigma_bench.leaderboard.figures import saved
from sigma_bench.pictures.suite_figures import draw_efficiency, draw_robustness, spread
from sigma_bench.records.store import Store
from sigma_bench.specs.catalogue import load_suite, load_variants
from tests.records.filled import filed


def robustness(store: Store, left_out: tuple[str, ...] = ()) -> Curves:
    """54 of 60 right on clean clips, 18 on reversed ones, 10 less with every severity of blur."""
    filed(store, "ssv2/knn", 54)
    for name, changed in load_variants("conditions").overrides.items():
        if name in left_out or not name.startswith(("reversal", "blur")):
            continue
        filed(store, f"ssv2/knn+{name}", 18 if name == "reversal" else 54 - 10 * int(name[-1]), **changed)
    return curves(load_suite("robustness"), store, store.records())


def test_the_arrow_of_time_gap_is_clean_less_reversed(tmp_path: Path) -> None:
    found = robustness(Store(tmp_path))
    gap = found.gaps["ssv2/knn", "m", "reversed"]
    assert gap.value == pytest.approx((54 - 18) / 60)
    assert 0.4 < gap.low < gap.value < gap.high < 0.8  # 36 of 60 differ: a standard error of 0.063
    assert "| m | 90.0 | 30.0 | 40.0 | +60.0 [" in markdown(found)  # blur: 24 of 60 on average


def test_a_mean_over_severities_wants_all_five(tmp_path: Path) -> None:
    found = robustness(Store(tmp_path), left_out=("blur-5", "reversal"))
    assert "| m | 90.0 | – |" in markdown(found)
    assert found.gaps == {}


def test_a_curve_is_of_the_same_checkpoints_at_all_of_its_points(tmp_path: Path) -> None:
    store = Store(tmp_path)
    robustness(store)
    filed(store, "ssv2/knn", 6, checkpoint="f" * 64)  # a second seed, of clean clips only: 50 % were both pooled
    found = curves(load_suite("robustness"), store, store.records())
    assert "| m | 90.0 | 30.0 | 40.0 |" in markdown(found)
    assert found.notes == ("m on ssv2/knn: 1 of 2 checkpoints, those measured at the same 7 of 37 points",)
    filed(store, "ssv2/knn+reversal", 6, checkpoint="f" * 64, **load_variants("conditions").overrides["reversal"])
    assert curves(load_suite("robustness"), store, store.records()).notes == found.notes
    for name in [f"noise-{severity}" for severity in range(1, 6)]:  # as many points, but others
        filed(store, f"ssv2/knn+{name}", 6, checkpoint="f" * 64, **load_variants("conditions").overrides[name])
    assert curves(load_suite("robustness"), store, store.records()).notes == found.notes


def test_labels_are_counted_and_rise(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for per_class, num_right in ((None, 50), (5, 20), (20, 40)):
        name = "ssv2/linear" + ("" if per_class is None else f"+{per_class}-per-class")
        changed = {} if per_class is None else {"train_per_class": per_class}
        filed(store, name, num_right, taught=10 * (per_class or 100), **changed)
    found = curves(load_suite("efficiency"), store, store.records())
    assert [(p.num_taught, round(p.cell.value * 60)) for p in found.of("ssv2/linear")["m"]] == [
        *((50, 20), (200, 40), (1000, 50))
    ]
    assert "| Model | 50 labels | 200 labels | 1000 labels |" in markdown(found)
    assert len(csv_text(found).splitlines()) == 4
    svg = saved(lambda: draw_efficiency(found), "svg")
    assert svg == saved(lambda: draw_efficiency(found), "svg") and b"labelled videos" in svg
    with pytest.raises(ValueError, match="no record of 'efficiency' is under a condition"):
        draw_robustness(found)


def test_a_sample_that_is_everything_is_no_point_of_its_own(tmp_path: Path) -> None:
    store = Store(tmp_path)
    filed(store, "ssv2/linear", 50, taught=30)
    filed(store, "ssv2/linear+5-per-class", 20, taught=20, train_per_class=5)
    for per_class in (10, 20):
        filed(store, f"ssv2/linear+{per_class}-per-class", 49, taught=30, train_per_class=per_class)
    found = curves(load_suite("efficiency"), store, store.records())
    assert [(p.num_taught, round(p.cell.value * 60)) for p in found.of("ssv2/linear")["m"]] == [(20, 20), (30, 50)]
    assert found.notes == tuple(
        f"ssv2/linear, {per_class}-per-class: that is all 30 videos, the last point" for per_class in (10, 20)
    )


def test_a_panel_per_condition(tmp_path: Path) -> None:
    figure = draw_robustness(robustness(Store(tmp_path)))
    shown = {axes.get_title(loc="left"): axes for axes in figure.axes if axes.get_visible()}
    assert shown.keys() == {"ssv2/knn: arrow of time", "ssv2/knn: blur"}
    blur = shown["ssv2/knn: blur"]
    assert [tick.get_text() for tick in blur.get_xticklabels()] == ["clean", "1", "1.5", "2", "3", "4"]
    assert [text.get_text() for text in blur.texts] == ["m"]
    (line,) = blur.containers
    assert line[0].get_xdata().tolist() == [0, 1, 2, 3, 4, 5]
    assert [round(0.6 * value) for value in line[0].get_ydata()] == [54, 44, 34, 24, 14, 4]


def test_names_at_the_ends_of_lines_keep_apart_and_stay_near() -> None:
    assert spread([10.0, 50.0], 5.0) == [10.0, 50.0]
    assert spread([10.0, 50.0, 50.0, 50.0], 4.0) == pytest.approx([10.0, 46.0, 50.0, 54.0])
    assert spread([0.0, 1.0], 4.0) == pytest.approx([2.0, 6.0])  # nothing below the panel


def test_own_tasks_take_the_place_of_a_suites(tmp_path: Path) -> None:
    store = Store(tmp_path)
    robustness(store)
    filed(store, "ssv2/knn+5-per-class", 20, train_per_class=5)
    records = list(store.records())
    names = with_tasks(load_suite("robustness"), ["ssv2/knn"], records).tasks
    assert names == ("ssv2/knn", *(f"ssv2/knn+blur-{severity}" for severity in range(1, 6)), "ssv2/knn+reversal")
    few = with_tasks(load_suite("efficiency"), ["ssv2/knn"], records).tasks
    assert few == ("ssv2/knn", "ssv2/knn+5-per-class")
    with pytest.raises(ValueError, match="no record of 'mine/knn'; evaluate it first"):
        with_tasks(load_suite("robustness"), ["mine/knn"], records)


def test_nothing_measured_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no record of the suite 'robustness'"):
        curves(load_suite("robustness"), Store(tmp_path), [])
