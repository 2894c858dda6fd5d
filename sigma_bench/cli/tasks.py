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
        help="Name of a task (with or without a variant), dataset, protocol, suite, file of variants or recipe, a task "
        "file, or a pattern such as 'ssv2/*', which lists the tasks that it matches.",
    ),
    asks: str = typer.Option(None, help="List only tasks that depend on this: motion, appearance or segmentation."),
    as_json: bool = typer.Option(
        False, "--json", help="Print the list as JSON: name, dataset, protocol, asks, metrics and fingerprint."
    ),
) -> None:
    """List tasks, suites, variants and recipes, or print the resolved declarations of one name as JSON."""
    is_pattern = name is not None and bool(set(name) & set("*?["))
    if name is not None and not is_pattern and not as_json and asks is None:
        for content in catalogue.described(name):
            out.print_json(json.dumps(content))
        return
    found = catalogue.selected_tasks([name] if name else [], asks)
    if as_json:
        out.print_json(json.dumps([catalogue.task_row(task) for task in found]))
        return
    listing = Table(box=None, header_style="bold", pad_edge=False)
    for column in ("task", "protocol", "asks", "fingerprint", "dataset"):
        listing.add_column(column, overflow="fold")
    for task in found:
        listing.add_row(task.task, task.protocol.protocol, task.asks, task_fingerprint(task), task.dataset.title)
    out.print(listing)
    if is_pattern or asks is not None:
        return
    suites = [catalogue.load_suite(suite) for suite in catalogue.suite_names()]
    out.print(f"\n[bold]suites[/]   {', '.join(f'{suite.suite} ({len(suite.tasks)} tasks)' for suite in suites)}")
    for suite in suites:
        for axis, placed in (suite.axes or {}).items():
            out.print(f"  {suite.suite}, {axis.replace('_', ' ')}: {', '.join(placed)}")
    for file in catalogue.variants_names():
        out.print(f"[bold]variants[/] {file}: {', '.join(f'+{v}' for v in catalogue.load_variants(file).overrides)}")
    out.print(f"[bold]recipes[/]  {', '.join(catalogue.recipe_names())}")
