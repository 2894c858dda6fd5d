"""Confusion matrices against hand-counted ones and scikit-learn's."""

from functools import partial
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import confusion_matrix

from sigma_bench.leaderboard.aggregate import aggregate
from sigma_bench.leaderboard.escaping import figure_text
from sigma_bench.leaderboard.figures import saved
from sigma_bench.leaderboard.select import select
from sigma_bench.pictures.confusion import confusion, confusion_pictures, draw_confusions
from tests.factories import make_record
from tests.leaderboard.samples import mini_board, tiny_board


def test_rows_are_parts_of_the_true_class() -> None:
    found_CC = confusion(np.array([0, 0, 0, 2]), np.array([0, 1, 1, 2]), 3)
    assert np.allclose(found_CC[0], [1 / 3, 2 / 3, 0]) and found_CC[2].tolist() == [0, 0, 1]
    assert np.isnan(found_CC[1]).all()


def test_agrees_with_scikit_learn() -> None:
    truth_S, predicted_S = np.random.default_rng(0).integers(0, 7, (2, 500))
    assert np.allclose(confusion(truth_S, predicted_S, 7), confusion_matrix(truth_S, predicted_S, normalize="true"))


def test_small_integers_do_not_overflow() -> None:
    assert confusion(np.array([199], np.uint8), np.array([150], np.uint8), 200)[199, 150] == 1


def test_a_video_that_did_not_decode_is_taken_for_no_class() -> None:
    found_CC = confusion(np.array([0, 0, 0, 1]), np.array([0, 1, -1, -1]), 2)
    assert np.allclose(found_CC, [[1 / 3, 1 / 3], [0, 0]])


def test_a_class_that_is_not_there_is_refused() -> None:
    with pytest.raises(ValueError, match="classes go from 0 to 2, got 0 to 3"):
        confusion(np.array([0, 3]), np.array([0, 1]), 3)


def test_both_axes_of_all_panels_have_the_names_of_few_classes() -> None:
    matrices = {name: np.eye(3) for name in ("one", "two")}
    for panel in draw_confusions(matrices, ("walk", "$run$", "j" * 40)).axes[:2]:
        for labels in (panel.get_xticklabels(), panel.get_yticklabels()):
            assert [label.get_text() for label in labels] == ["walk", figure_text("$run$"), "j" * 20]


def test_more_classes_have_names_beside_the_first_panel_or_none() -> None:
    names = tuple(map(str, range(100, 130)))
    first, second = draw_confusions({name: np.eye(13) for name in ("one", "two")}, names[:13]).axes[:2]
    assert [label.get_text() for label in first.get_yticklabels()] == list(names[:13])
    others = (first.get_xticklabels(), second.get_yticklabels())
    many = draw_confusions({"one": np.eye(30)}, names).axes[0].get_yticklabels()
    assert not set(names) & {label.get_text() for labels in (*others, many) for label in labels}


def test_names_of_classes_lie_within_the_figure_and_off_the_other_panels() -> None:
    figure = draw_confusions({f"model {number}": np.eye(12) for number in range(6)}, ("pretending to throw a",) * 12)
    figure.canvas.draw()
    panels = list(figure.axes[:6])
    for panel in panels:
        for label in (*panel.get_xticklabels(), *panel.get_yticklabels()):
            place = label.get_window_extent()
            assert place.x0 >= 0 and place.y0 >= 0
            assert not any(place.overlaps(other.get_window_extent()) for other in panels)


def test_one_picture_per_task_of_the_models_with_predictions() -> None:
    seeds = [make_record("m", "ucf101/knn", pretraining_seed=seed) for seed in (0, 1)]
    records = [(Path(f"{i}.json"), record) for i, record in enumerate([*seeds, make_record("m", "ucf101/linear")])]
    table = aggregate(tiny_board(), select(records, tiny_board()))
    asked = []

    def load(record: object) -> dict[str, np.ndarray] | None:
        asked.append(record)
        is_knn = record.task.task == "ucf101/knn"  # type: ignore[attr-defined]
        return {"truth": np.arange(10), "predicted": np.arange(10)} if is_knn else None

    pictures = confusion_pictures([table, table], records, load)
    assert [caption.split(":")[0] for caption, _ in pictures] == ["ucf101/knn"]
    assert pictures[0][1].startswith(b"\x89PNG") and seeds[1] not in asked


@pytest.mark.parametrize(
    "arrays",
    [
        {"truth": np.arange(10), "predicted_of_draw": np.zeros((10, 3), int)},
        {"truth": np.arange(10), "predicted": np.zeros((10, 3), int)},
        {"truth": np.eye(10, dtype=int), "predicted": np.arange(10)},
        {"truth": np.arange(10), "predicted": np.linspace(0, 1, 10)},
        {"truth": np.arange(10), "predicted": np.arange(10) + 500},
        {"truth": np.arange(10).astype(str), "predicted": np.arange(10).astype(str)},
        {"predicted": np.arange(10)},
    ],
)
def test_predictions_in_another_form_have_no_picture(arrays: dict[str, np.ndarray]) -> None:
    records = [(Path("0.json"), make_record("m", "ucf101/knn"))]
    tables = [aggregate(tiny_board(), select(records, tiny_board()))]
    assert len(confusion_pictures(tables, records, lambda _: {"truth": np.arange(10), "predicted": np.arange(10)})) == 1
    assert confusion_pictures(tables, records, lambda _: arrays) == []


def test_panels_have_the_names_of_models_that_a_table_declares() -> None:
    records = [(Path("0.json"), make_record("mini_videomae_long", "ucf101/knn"))]
    tables = [aggregate(board, select(records, board)) for board in (tiny_board(), mini_board())]
    arrays = {"truth": np.arange(10), "predicted": np.arange(10)}
    for table, name in zip(tables, ("mini_videomae_long", "VideoMAE"), strict=True):
        ((_, png),) = confusion_pictures([table], records, lambda _: arrays)
        assert png == saved(partial(draw_confusions, {name: np.eye(10)}), "png", dpi=130)
