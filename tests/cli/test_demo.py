"""``sigma-bench demo``: the records of long pretraining that its table shows beside its own."""

from pathlib import Path

import sigma_bench as sb
from sigma_bench.cli.demo import RECIPES, add_long_records
from sigma_bench.specs.catalogue import load_suite


def test_the_demo_adds_three_seeds_of_every_long_recipe_and_task(tmp_path: Path) -> None:
    add_long_records(tmp_path)
    records = sb.Records(tmp_path)
    found = {(record.model.model, record.task.task, record.model.pretraining_seed) for record in records}
    tasks = load_suite("demo").tasks
    assert found == {(f"{name}_long", task, seed) for name in RECIPES for task in tasks for seed in range(3)}
    assert len(records) == len(found)
    table = records.table("mini").table
    assert all(row.num_covered == len(tasks) for row in table.rows if row.model.endswith("_long"))
    add_long_records(tmp_path)
    assert len(sb.Records(tmp_path)) == len(found), "adding them again changes nothing"
