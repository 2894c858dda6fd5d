"""``sigma-bench tasks``: list and describe declarations, without importing torch."""

import json

import typer
from rich.table import Table

from sigma_bench.cli.console import out
from sigma_bench.specs import catalogue
from sigma_bench.specs.fingerprint import task_fingerprint


def tasks(
    name: str = typer.Argument(
        None,
        help="Name of a task (with or without a variant), dataset, protocol, suite, file of variants or recipe, or a "
        "task file.",
    ),
) -> None:
    """List tasks, suites, variants and recipes, or print the resolved declarations of one name as JSON."""
    if name is not None:
        for content in catalogue.described(name):
            out.print_json(json.dumps(content))
        return
    listing = Table(box=None, header_style="bold", pad_edge=False)
    for column in ("task", "protocol", "asks", "fingerprint", "dataset"):
        listing.add_column(column, overflow="fold")
    for task_name in catalogue.task_names():
        task = catalogue.resolve(catalogue.load_task(task_name))
        listing.add_row(task.task, task.protocol.protocol, task.asks, task_fingerprint(task), task.dataset.title)
    out.print(listing)
    suites = [catalogue.load_suite(suite) for suite in catalogue.suite_names()]
    out.print(f"\n[bold]suites[/]   {', '.join(f'{suite.suite} ({len(suite.tasks)} tasks)' for suite in suites)}")
    for suite in suites:
        for axis, placed in (suite.axes or {}).items():
            out.print(f"  {suite.suite}, {axis.replace('_', ' ')}: {', '.join(placed)}")
    for file in catalogue.variants_names():
        out.print(f"[bold]variants[/] {file}: {', '.join(f'+{v}' for v in catalogue.load_variants(file).overrides)}")
    out.print(f"[bold]recipes[/]  {', '.join(catalogue.recipe_names())}")
