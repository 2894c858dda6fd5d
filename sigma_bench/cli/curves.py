"""``sigma-bench curves``: suites with variants as a table and a figure."""

from pathlib import Path

import typer

from sigma_bench.cli.console import out
from sigma_bench.cli.left_out import left_out_named
from sigma_bench.resources import RUNS
from sigma_bench.specs.catalogue import load_suite

FIGURES = {"conditions": "draw_robustness", "sample_sizes": "draw_efficiency"}
"""Function that draws a suite, by its variants."""


def curves(
    suite: str = typer.Argument(..., help="A suite with variants: robustness or efficiency."),
    task: list[str] = typer.Option(
        [], help="Recorded tasks to draw instead of those of the suite, such as tasks of custom data."
    ),
    output: Path = typer.Option(RUNS, help="Folder that holds the records; the files go there too."),
) -> None:
    """Print accuracy under every variant of a suite's tasks, and write it as Markdown, CSV and a figure."""
    spec = load_suite(suite)
    if spec.variants not in FIGURES:
        raise ValueError(f"the suite '{suite}' has no variants to draw; see 'sigma-bench tasks'")
    drawn_by = FIGURES[spec.variants]
    from sigma_bench.api.records import Records
    from sigma_bench.leaderboard.curves import csv_text, markdown, with_tasks
    from sigma_bench.leaderboard.curves import curves as curves_of
    from sigma_bench.leaderboard.figures import saved
    from sigma_bench.pictures import suite_figures
    from sigma_bench.records.store import folder_name, write_atomically

    with left_out_named(output):
        records = Records(output)
        if task:
            spec = with_tasks(spec, task, records.filed)
            suite = f"{suite}-{folder_name(task[0].partition('/')[0])}"
        found = curves_of(spec, records.store, records.filed)
        text = markdown(found)
        draw = getattr(suite_figures, drawn_by)
        files = {f"{suite}.md": text.encode(), f"{suite}.csv": csv_text(found).encode()}
        for kind in ("svg", "png"):
            files[f"figures/{suite}.{kind}"] = saved(lambda: draw(found), kind)
        for name, content in files.items():
            write_atomically(output / name, content)
        out.print_plain(text)
        out.print_plain(f"{', '.join(files)} in {output}")
