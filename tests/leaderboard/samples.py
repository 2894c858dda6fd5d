"""A tiny board with known text, and the shipped mini board with made-up records."""

from pathlib import Path

from sigma_bench.records.published import PublishedScore, read_published
from sigma_bench.records.record import Record
from sigma_bench.specs.board import Board
from sigma_bench.specs.strict import load_spec, parse_spec
from tests.factories import make_record

RESULTS = Path(__file__).resolve().parents[2] / "results"

LINEAR = {"table": "frozen", "task": "linear_probe", "dataset": "ucf101", "metric": "top1"}
_PUBLISHED = {
    "file": "sigma_eccv2024",
    "identity": ["method", "backbone"],
    "sections": [{"title": "", "where": {"method": ["SIGMA-MLP"]}}],
    "within_points": 1.0,
    "note": "published, not comparable",
}


def tiny_board() -> Board:
    """Two columns, one declared row, one published row."""
    content = {
        "name": "tiny",
        "title": "Tiny",
        "rows": ["mini_sigma_mlp"],
        "columns": [
            {"task": "ucf101/knn", "metric": "top1", "label": "kNN", "group": "UCF101"},
            {"task": "ucf101/linear", "metric": "top1", "label": "linear", "group": "UCF101", "published": LINEAR},
        ],
        "published": _PUBLISHED,
        "note": "A note.",
    }
    return parse_spec(Board, content, where="test")


def published() -> tuple[PublishedScore, ...]:
    """The shipped numbers of SIGMA."""
    return read_published(RESULTS / "published" / "sigma_eccv2024.csv")


def mini_board() -> Board:
    """The shipped board of the mini world."""
    return load_spec(Board, RESULTS / "boards" / "mini.yaml")


def mini_records() -> list[tuple[Path, Record]]:
    """Made-up records: two complete models, one with three seeds, and one that misses a column."""
    tasks = [column.task for column in mini_board().columns]
    records = []
    for index, task in enumerate(tasks):
        chance = {"chance": 0.1} if index < 6 else {"all background": 0.4}
        for seed in range(3):
            value = 0.738 - 0.04 * index + 0.01 * (seed - 1)
            records.append(make_record("mini_sigma_mlp_long", task, value, pretraining_seed=seed, controls=chance))
        records.append(make_record("mini_videomae_long", task, 0.6 - 0.03 * index, family="VideoMAE", controls=chance))
        if index:
            random = {"family": "random init", "pretraining_seed": None, "pretraining_data": (), "controls": chance}
            records.append(make_record("mini_random_init", task, 0.2 - 0.01 * index, **random))
    return [(Path(f"store/records/{r.model.model}/{r.task.task}/{i}.json"), r) for i, r in enumerate(records)]
