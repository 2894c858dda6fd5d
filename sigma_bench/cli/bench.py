"""``sigma-bench bench step | loading | frozen | heads | gpu``: how fast this machine trains, reads and evaluates."""

import os
import tempfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import typer
from rich.markup import escape
from rich.progress import Progress, TaskID
from rich.table import Table

from sigma_bench.api.progress import progress_bars
from sigma_bench.cli.chosen_data import CSV, FOLDERS, WORDS, chosen_one
from sigma_bench.cli.console import out
from sigma_bench.specs import catalogue
from sigma_bench.specs.untrusted import one_line

if TYPE_CHECKING:
    from sigma_bench.benchmark.result_table import BenchmarkResult
    from sigma_bench.benchmark.training_step import Precision

RECIPES = ("sigma_mlp_vit_s_ssv2", "videomae_vit_s_ssv2")
PRECISIONS: "dict[str, tuple[Precision, ...]]" = {
    "float32": ("float32",),
    "bfloat16": ("bfloat16",),
    "both": ("float32", "bfloat16"),
}
OUTPUT = typer.Option(Path("results/benchmarks"), help="Folder for a JSON and a Markdown file per measurement.")

app = typer.Typer(no_args_is_help=True, help="Measure time and memory on this machine.")


@app.command("step")
def bench_step(
    recipe: list[str] = typer.Argument(None, help="Names, or files such as mine.yaml; default: ViT-S of the paper."),
    batch: int = typer.Option(2, min=1, help="Clips of one step."),
    rounds: int = typer.Option(10, min=1, help="Rounds after warm-up."),
    precision: str = typer.Option("both", help="float32, bfloat16 or both."),
    device: str = typer.Option("auto", help="cpu, cuda, or auto: a GPU if there is one."),
    output: Path = OUTPUT,
) -> None:
    """Measure one pretraining step, compared with a plain computation of the same networks."""
    if precision not in PRECISIONS:
        raise ValueError(f"--precision {precision}: choose {', '.join(PRECISIONS)}")
    from sigma_bench.benchmark.training_step import WARM_UP_ROUNDS, measure_step, require_comparable
    from sigma_bench.training.distribution import choose_device

    chosen = choose_device(device)
    for spec in [require_comparable(catalogue.load_recipe(name)) for name in recipe or RECIPES]:
        for kind in PRECISIONS[precision]:
            with progress_bars() as display:
                bar = display.add_task(f"{spec.recipe} ({kind})", total=WARM_UP_ROUNDS + rounds)
                report = partial(_advance, display, bar)
                result = measure_step(
                    spec, batch_size=batch, rounds=rounds, precision=kind, device=chosen, report=report
                )
            _save_and_show(result, output)


@app.command("loading")
def bench_loading(
    words: list[str] = typer.Argument(None, metavar="[ROOT] [DATASET]", help=f"{WORDS} Its samples are video files."),
    csv: Path = CSV,
    folders: Path = FOLDERS,
    num_workers: list[int] = typer.Option(None, min=1, help="Numbers of workers; default: 1 and one per processor."),
    clips: int = typer.Option(32, min=1, help="Clips of a round, of random videos of the train split."),
    rounds: int = typer.Option(3, min=1, help="Number of rounds."),
    frames: int = typer.Option(16, min=1, help="Frames of a clip."),
    stride: int = typer.Option(4, min=1, help="Distance between frames."),
    size: int = typer.Option(224, min=16, help="Height and width of a clip in pixels."),
    output: Path = OUTPUT,
) -> None:
    """Measure how many clips per second pretraining reads, compared with a plain loop over decord."""
    from sigma_bench.benchmark.loading import ClipShape, measure_loading
    from sigma_bench.pictures.contact_sheet import draw_samples

    dataset, _, manifest = chosen_one(words, csv, folders)
    train = next(iter(manifest.splits.values()))
    present = [sample for sample in train.samples if sample.media == "video" and sample.path.exists()]
    if not present:
        raise ValueError(f"{dataset} has no video files of its {train.name} split here; nothing to measure")
    with progress_bars() as display:
        bar = display.add_task(f"reading {escape(one_line(dataset))}", total=rounds)
        result = measure_loading(
            manifest, draw_samples(present, clips, seed=0), workers=num_workers or sorted({1, os.cpu_count() or 1}),
            clips=clips, rounds=rounds, geometry=ClipShape(frames, stride, size),
            report=partial(_advance, display, bar),
        )  # fmt: skip
    _save_and_show(result, output)


@app.command("frozen")
def bench_frozen(
    model: str = typer.Argument(..., help="Name of a model, as for 'sigma-bench evaluate'."),
    words: list[str] = typer.Argument(None, metavar="[ROOT] [DATASET]", help=f"{WORDS} Its samples are video files."),
    csv: Path = CSV,
    folders: Path = FOLDERS,
    clips: int = typer.Option(32, min=1, help="Number of videos; one clip of each is encoded."),
    rounds: int = typer.Option(3, min=1, help="Number of rounds."),
    device: str = typer.Option("auto", help="cpu, cuda, or auto: a GPU if there is one."),
    output: Path = OUTPUT,
) -> None:
    """Measure a frozen pass in float32 and bfloat16, compared with a plain loop over decord and with its floors."""
    from sigma_bench.benchmark.frozen_pass import measure_frozen_pass, videos_of
    from sigma_bench.models.zoo import load_encoder
    from sigma_bench.training.distribution import joined_processes

    split = videos_of(chosen_one(words, csv, folders).manifest, clips)
    with joined_processes(device) as processes, progress_bars() as display:
        bar = display.add_task(f"{model}, {len(split.samples)} videos", total=rounds)
        result = measure_frozen_pass(
            load_encoder(model, device=processes.device),
            split,
            processes,
            rounds=rounds,
            report=partial(_advance, display, bar),
        )
    _save_and_show(result, output)


@app.command("heads")
def bench_heads(
    samples: int = typer.Option(240_000, min=1000, help="Number of features in the bank."),
    queries: int = typer.Option(20_000, min=1, help="Number of queries."),
    width: int = typer.Option(768, min=2, help="Width of a feature."),
    classes: int = typer.Option(400, min=2, help="Number of classes."),
    threads: int = typer.Option(2, min=1, help="Threads of torch and FAISS."),
    output: Path = OUTPUT,
) -> None:
    """Measure time and peak memory of kNN and linear probing on random features; takes minutes."""
    from sigma_bench.benchmark.heads import BankSize, measure_heads

    with tempfile.TemporaryDirectory() as folder:
        size = BankSize(samples, queries, width, classes)
        _save_and_show(measure_heads(size, threads, Path(folder), out.print), output)


@app.command("gpu")
def bench_gpu(
    recipe: list[str] = typer.Option(
        ["sigma_mlp_vit_b_ssv2", "videomae_vit_b_ssv2"], help="Recipes of SIGMA-MLP or VideoMAE; repeatable."
    ),
    task: list[str] = typer.Option(
        ["ucf101/knn", "ucf101/linear", "ssv2/linear"], help="Tasks evaluated on both devices; repeatable."
    ),
    data: Path = typer.Option(None, help="Data root of the tasks; by default, the mini world is written."),
    batch: int = typer.Option(32, min=1, help="Clips of one training step."),
    clips: int = typer.Option(256, min=1, help="Clips that are encoded."),
    bank: int = typer.Option(240_000, min=100, help="Number of features that nearest neighbours are searched in."),
    queries: int = typer.Option(20_000, min=1, help="Number of queries."),
    rounds: int = typer.Option(10, min=1, help="Rounds of training steps after warm-up."),
    device: str = typer.Option("cuda", help="cuda, or cpu to try the command without a GPU."),
    output: Path = typer.Option(Path("results/benchmarks/gpu"), help="Folder for the results."),
) -> None:
    """Measure training steps, frozen encoders and nearest neighbours on a GPU, and compare its numbers with the CPU's.

    It takes less than ten minutes on a recent GPU.  The exit code is 1 if a difference exceeds its tolerance.
    """
    from sigma_bench.api.mini_world import mini_world
    from sigma_bench.benchmark.devices import measure_agreement
    from sigma_bench.benchmark.encoding import encoders_of, measure_encoding, measure_neighbours
    from sigma_bench.benchmark.training_step import measure_step, require_comparable
    from sigma_bench.training.distribution import choose_device

    chosen, recipes = choose_device(device), [require_comparable(catalogue.load_recipe(name)) for name in recipe]
    folders = sorted({catalogue.load_task(name).dataset for name in task})
    with tempfile.TemporaryDirectory() as scratch:
        if data is None:
            data = mini_world(Path(scratch) / "data", datasets=folders)
        agreement = measure_agreement(recipes, task, data, Path(scratch), chosen)
    _save_and_show(agreement, output)
    for spec in recipes:
        for kind in PRECISIONS["both"]:
            _save_and_show(measure_step(spec, batch_size=batch, rounds=rounds, precision=kind, device=chosen), output)
    _save_and_show(measure_encoding(encoders_of(recipes[0].encoder), clips, chosen), output)
    _save_and_show(measure_neighbours(bank, queries, width=recipes[0].encoder.width), output)
    if any(row["agrees"] == "no" for row in agreement.rows):
        raise typer.Exit(1)


def _advance(display: Progress, bar: TaskID, done: int) -> None:
    display.update(bar, completed=done)


def _save_and_show(result: "BenchmarkResult", output: Path) -> None:
    from sigma_bench.records.store import write_atomically

    path = output / result.name
    write_atomically(path.with_suffix(".json"), (result.model_dump_json(indent=1) + "\n").encode())
    write_atomically(path.with_suffix(".md"), result.markdown().encode())
    out.print(result.title, style="bold", soft_wrap=True, markup=False)
    table = Table(box=None, pad_edge=False)
    for name in result.rows[0]:
        table.add_column(name, overflow="fold")
    for row in result.cells():
        table.add_row(*row)
    out.print(table)
    for remark in (*result.remarks, result.machine(), f"written: {path}.json and .md"):
        out.print_plain(remark)
