"""References: floors and ceilings in words, one ceiling per grid only where grids differ, void told in a note."""

from pathlib import Path

import pandas as pd
import pytest

from sigma_bench.leaderboard.aggregate import aggregate
from sigma_bench.leaderboard.board_table import BoardTable
from sigma_bench.leaderboard.notes import footnotes
from sigma_bench.leaderboard.references import references
from sigma_bench.leaderboard.render import markdown
from sigma_bench.leaderboard.select import select
from sigma_bench.records.scoring import controls_of
from sigma_bench.specs.board import Board
from sigma_bench.specs.catalogue import load_task, resolve
from sigma_bench.specs.strict import parse_spec
from tests.factories import make_record

CONTROLS = {"void_share": 0.023, "oracle_tubes_8x6x6": 0.6, "all_background": 0.2, "position_kmeans": 0.3}


def board_of(*controls: dict[str, float]) -> BoardTable:
    """One segmentation column and one model per set of controls."""
    column = {"task": "davis2017/clustering", "metric": "miou", "label": "clustering", "group": "DAVIS"}
    content = {"name": "b", "title": "B", "rows": (), "columns": [column], "published": None, "note": ""}
    shown = parse_spec(Board, content, where="test")
    records = [
        (Path(f"{number}.json"), make_record(f"m{number}", "davis2017/clustering", 0.4, controls=stated))
        for number, stated in enumerate(controls)
    ]
    return aggregate(shown, select(records, shown))


def test_floors_come_first_and_a_single_ceiling_needs_no_grid() -> None:
    table = board_of(CONTROLS, CONTROLS)
    assert [(one.name, one.values, one.kind, one.models) for one in table.references] == [
        ("all background", (0.2,), "floor", ()),
        ("k-means of positions", (0.3,), "floor", ()),
        ("oracle tubes", (0.6,), "ceiling", ()),
        ("void share", (pytest.approx(0.023),), "note", ()),
    ]


def test_the_void_share_is_a_note_and_no_row() -> None:
    table = board_of(CONTROLS)
    assert "void" not in markdown(table).split("\n\n- ")[0]
    assert "Percent of pixels that are void and not scored: DAVIS (segmentation) clustering 2.3." in footnotes(table)
    assert not any("void" in note for note in footnotes(board_of({"void_share": 0.0})))


def test_a_control_stands_only_where_it_is_a_value_of_the_metric() -> None:
    """The share of the commonest class is no chance for mean class accuracy, nor an error of counts a share."""
    rows = [("ucf101/knn", metric, {"chance": 0.3}) for metric in ("top1", "mean_class_accuracy")]
    errors = {"error_of_mean_cycle_of_train": 0.4}
    rows += [("ucfrep/counting", metric, errors) for metric in ("counting_error", "off_by_one")]
    masks = {"oracle_patches_3x3": 0.9, "first_mask_stays": 0.2}
    rows += [("davis2017/propagation", metric, masks) for metric in ("jf_mean", "j_mean")]
    columns = [
        pd.DataFrame([{"model": "m", "controls": {name: value._asdict() for name, value in found.items()}}])
        for task, metric, stated in rows
        if (found := controls_of(resolve(load_task(task)).protocol, stated, metric)) is not None
    ]
    assert {(one.name, one.values) for one in references(columns)} == {
        ("chance", (0.3, *[None] * 5)),
        ("one cycle length, the mean of train", (None, None, 0.4, *[None] * 3)),
        ("first mask stays", (*[None] * 4, 0.2, None)),
        ("oracle patches", (*[None] * 4, 0.9, None)),
    }


def test_models_with_other_grids_have_ceilings_of_their_own() -> None:
    table = board_of(CONTROLS, {"oracle_tubes_16x3x3": 0.4}, CONTROLS)
    ceilings = [(one.name, one.values, one.models) for one in table.references if one.kind == "ceiling"]
    assert ceilings == [
        ("oracle tubes, 8 × 6 × 6 grid", (0.6,), ("m0", "m2")),
        ("oracle tubes, 16 × 3 × 3 grid", (0.4,), ("m1",)),
    ]
    (note,) = (note for note in footnotes(table) if note.startswith("Oracle"))
    assert note.endswith("oracle tubes, 8 × 6 × 6 grid: m0, m2; oracle tubes, 16 × 3 × 3 grid: m1.")
