"""``sigma-bench bench``: how fast a pretraining step is, beside a plain formulation of the same mathematics."""

from pathlib import Path
from typing import TYPE_CHECKING

import typer
from rich.table import Table

from sigma_bench.api.progress import progress_bars
from sigma_bench.cli.console import out
from sigma_bench.specs.catalogue import load_recipe

if TYPE_CHECKING:
    from sigma_bench.bench.result import Precision, StepBenchmark
    from sigma_bench.specs.recipe import Recipe

RECIPES = ("sigma_mlp_vit_s_ssv2", "videomae_vit_s_ssv2")
PRECISIONS: "dict[str, tuple[Precision, ...]]" = {
    "float32": ("float32",),
    "bfloat16": ("bfloat16",),
    "both": ("float32", "bfloat16"),
}


def bench(
    recipe: list[str] = typer.Argument(None, help="Names, or files such as mine.yaml; default: ViT-S of the paper."),
    batch: int = typer.Option(2, min=1, help="Clips of one step."),
    rounds: int = typer.Option(10, min=1, help="Rounds after warm-up; each runs both sides once."),
    precision: str = typer.Option("both", help="float32, bfloat16 or both."),
    device: str = typer.Option("auto", help="cpu, cuda, or auto: a GPU if there is one."),
    output: Path = typer.Option(Path("results/benchmarks"), help="Folder for a JSON and a Markdown file per run."),
) -> None:
    """Measure one training step, ours against plain: time per phase and part, loss-head memory, share of the peak."""
    if precision not in PRECISIONS:
        raise ValueError(f"--precision {precision}: choose {', '.join(PRECISIONS)}")
    from sigma_bench.bench.report import markdown, slug
    from sigma_bench.bench.step import require_comparable
    from sigma_bench.records.store import write_atomically
    from sigma_bench.training.distribution import choose_device

    chosen = choose_device(device).type
    for spec in [require_comparable(load_recipe(name)) for name in recipe or RECIPES]:
        for kind in PRECISIONS[precision]:
            result = measure_with_progress(spec, kind, batch=batch, rounds=rounds, device=chosen)
            _show(result)
            path = output / slug(result)
            write_atomically(path.with_suffix(".json"), (result.model_dump_json(indent=1) + "\n").encode())
            write_atomically(path.with_suffix(".md"), markdown(result).encode())
            out.print(f"written: {path}.json and .md\n", soft_wrap=True, markup=False)


def measure_with_progress(
    recipe: "Recipe", precision: "Precision", *, batch: int, rounds: int, device: str
) -> "StepBenchmark":
    """Measure one recipe in one precision, naming what is being measured."""
    import torch

    from sigma_bench.bench.step import measure_step

    title = f"bench {recipe.recipe} ({precision})"
    with progress_bars() as display:
        bar = display.add_task(title, total=None)

        def report(name: str, done: int, total: int) -> None:
            display.update(bar, description=f"{title}  {name}", completed=done, total=total)

        result = measure_step(
            recipe, batch_size=batch, rounds=rounds, precision=precision, device=torch.device(device), report=report
        )
        display.update(bar, description=title, completed=1, total=1)
    return result


def _show(result: "StepBenchmark") -> None:
    from sigma_bench.bench.report import COLUMNS, facts, rows, title

    listing = Table(box=None, header_style="bold", pad_edge=False, title=title(result), title_justify="left")
    for index, column in enumerate(COLUMNS):
        listing.add_column(column, justify="right" if 2 <= index <= 4 else "left")
    for row in rows(result):
        listing.add_row(*row, style="bold" if row[0] == "step" else None, end_section=row[0] == "step")
    out.print(listing)
    for label, sentence in facts(result):
        out.print(f"[bold]{label}[/]  {sentence}")
