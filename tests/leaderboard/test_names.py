"""Names that people read: in tables and figures of boards that declare them; records, CSV and frames keep their own."""

import json
import re
from pathlib import Path

import pytest

import sigma_bench as sb
from sigma_bench.leaderboard.aggregate import aggregate
from sigma_bench.leaderboard.board_table import BoardTable
from sigma_bench.leaderboard.exports import board_frame, csv_text
from sigma_bench.leaderboard.figures import score_dots
from sigma_bench.leaderboard.html_table import board_html
from sigma_bench.leaderboard.latex import latex
from sigma_bench.leaderboard.model_styles import model_styles
from sigma_bench.leaderboard.notes import footnotes
from sigma_bench.leaderboard.render import markdown
from sigma_bench.leaderboard.report import render_report
from sigma_bench.leaderboard.select import select
from sigma_bench.leaderboard.summary import summary
from sigma_bench.leaderboard.training_figure import training_histories
from sigma_bench.records.record import Record
from sigma_bench.records.store import Store
from sigma_bench.specs.board import Board, load_board
from sigma_bench.specs.strict import parse_spec
from tests.factories import make_record
from tests.leaderboard.custom_records import add_custom
from tests.leaderboard.samples import tiny_board

NAMED = {"model": "mini_sigma_mlp", "name": "SIGMA-MLP"}
BASELINES = ("image_statistics", "random_init")


def board(*rows: object) -> Board:
    content = tiny_board().model_dump(mode="json") | {"rows": list(rows), "published": None}
    for column in content["columns"]:
        column["published"] = None
    return parse_spec(Board, content, where="test")


def filled(shown: Board, *models: str) -> tuple[BoardTable, list[tuple[Path, Record]]]:
    records = [(Path(f"{name}.json"), make_record(name, value=0.9 - i / 10)) for i, name in enumerate(models)]
    return aggregate(shown, select(records, shown)), records


def names(table: BoardTable) -> dict[str, str]:
    return table.names


def test_renderers_show_names_and_csv_and_frames_keep_those_of_records() -> None:
    table, records = filled(board(NAMED), "mini_sigma_mlp", *BASELINES)
    texts = [markdown(table), latex(table), board_html(table), score_dots(table), summary(table)[0].sentence]
    for text in texts[:4]:
        assert all(name in text for name in ("SIGMA-MLP", "Mean colours", "Random weights"))
    assert texts[4].startswith("SIGMA-MLP has the highest score")
    assert "mini_sigma_mlp" not in texts[3] + texts[4]
    assert re.findall(r"^\| (\S+)", markdown(table), re.MULTILINE)[2:] == ["SIGMA-MLP", "Mean", "Random"]
    rows = csv_text(table)
    assert "mini_sigma_mlp" in rows and "SIGMA-MLP" not in rows and "Random weights" not in rows
    assert list(board_frame(table)["model"]) == ["mini_sigma_mlp", *BASELINES]
    page = render_report([table], records, curves={}, pictures={}, title="t")
    assert 'data-label="SIGMA-MLP" data-model="mini_sigma_mlp"' in page
    assert "SIGMA-MLP (mini_sigma_mlp), ucf101/knn" in page and "Random weights (random_init), ucf101/knn" in page


def test_an_optional_row_appears_only_with_a_number_and_in_its_place() -> None:
    optional = {"model": "mini_sigma_mlp", "name": "SIGMA-MLP (demo)", "optional": True}
    shown = board(optional, {"model": "long", "name": "SIGMA-MLP"}, "absent")
    assert names(filled(shown, "random_init", "long")[0]) == {
        "long": "SIGMA-MLP", "absent": "absent", "random_init": "Random weights",
    }  # fmt: skip
    assert list(names(filled(shown, "long", "mini_sigma_mlp")[0]).values()) == [
        "SIGMA-MLP (demo)",
        "SIGMA-MLP",
        "absent",
    ]
    assert parse_spec(Board, shown.model_dump(mode="json"), where="test") == shown


def test_a_note_gives_the_names_of_records_and_only_where_they_differ() -> None:
    said = "Names in records and commands: SIGMA-MLP (mini_sigma_mlp), Random weights (random_init)."
    assert said in footnotes(filled(board(NAMED), "mini_sigma_mlp", "other", "random_init")[0])
    assert not any("Names in records" in note for note in footnotes(filled(board(), "other", "random_init")[0]))


def test_baselines_have_names_on_boards_with_names_only() -> None:
    assert names(filled(board("mini_sigma_mlp"), "mini_sigma_mlp", *BASELINES)[0]) == {
        name: name for name in ("mini_sigma_mlp", *BASELINES)
    }
    own = board(NAMED, {"model": "random_init", "name": "Untrained"})
    assert names(filled(own, *BASELINES)[0])["random_init"] == "Untrained"


def test_what_tells_encoders_of_one_name_apart_stays_behind_the_name() -> None:
    models = ("mini_sigma_mlp", "mini_sigma_mlp@32x112", "random_init[layer=1]", "mini_sigma_mlp-clips", "mini")
    assert names(filled(board(NAMED), *models)[0]) == {
        "mini_sigma_mlp": "SIGMA-MLP",
        "mini_sigma_mlp@32x112": "SIGMA-MLP@32x112",
        "random_init[layer=1]": "Random weights[layer=1]",
        "mini_sigma_mlp-clips": "mini_sigma_mlp-clips",
        "mini": "mini",
    }


def test_two_rows_never_have_one_name() -> None:
    shown = board(NAMED, {"model": "x", "name": "Random weights"})
    assert names(filled(shown, "SIGMA-MLP", "mini_sigma_mlp", "x", "random_init")[0]) == {
        name: name for name in ("SIGMA-MLP", "mini_sigma_mlp", "x", "random_init")
    }


def test_several_encoders_of_a_named_model_have_the_name_with_their_settings(tmp_path: Path) -> None:
    store = Store(tmp_path / "runs")
    for size in (64, 112):
        add_custom(store, "gait", model="mine", image_size=size)
        add_custom(store, "gait", model="random_init", image_size=size)
    path = sb.new_board("walks", store.root, folder=tmp_path)
    text = path.read_text()
    path.write_text(text.replace("rows: []", "rows: [{model: mine, name: Mine}]"))
    assert list(sb.board(path, store.root).table.names.items()) == [
        ("mine (image_size=112)", "Mine (image_size=112)"),
        ("mine (image_size=64)", "Mine (image_size=64)"),
        ("random_init (image_size=112)", "Random weights (image_size=112)"),
        ("random_init (image_size=64)", "Random weights (image_size=64)"),
    ]
    both = "rows: [{model: mine, name: Mine}, {model: mine (image_size=64), name: Small}]"
    path.write_text(text.replace("rows: []", both))
    shown = sb.board(path, store.root).table.names
    assert list(shown.values())[:2] == ["Mine (image_size=112)", "Small"]


@pytest.mark.parametrize("name", ["mini", "mini_protocols", "severe_mini"])
def test_boards_of_the_mini_world_name_the_models_of_both_sizes(name: str) -> None:
    methods = ["SIGMA-DINO", "SIGMA-MLP", "VideoMAE", "DINO"]
    names = [*(f"{method} (demo)" for method in methods), *methods, "Random (video)", "Random (frames)"]
    assert list(load_board(name).names.values()) == names


def test_a_page_has_the_first_name_of_a_model_that_a_table_declares() -> None:
    plain, _ = filled(board(), "a", "mini_sigma_mlp")
    table, _ = filled(board(NAMED), "mini_sigma_mlp")
    for tables in ([plain, table], [table, plain]):
        found = model_styles(tables, ["run"])
        assert {model: style.name for model, style in found.items()} == {
            "a": "a",
            "mini_sigma_mlp": "SIGMA-MLP",
            "run": "run",
        }
        assert len({(style.colour, style.dash) for style in found.values()}) == 3


def test_runs_of_one_recipe_are_one_model(tmp_path: Path) -> None:
    for folder, recipe in (("one", "r"), ("two", "r"), ("three", None)):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "history.json").write_text(json.dumps([{"step": 1, "loss": 1.0}]))
        if recipe:
            (tmp_path / folder / "recipe.json").write_text(json.dumps({"recipe": recipe}))
    assert {model: len(runs) for model, runs in training_histories(tmp_path).items()} == {"r": 2, "three": 1}
