"""``sigma-bench bench-heads``: what kNN and a grid of linear heads cost on a bank the size of Kinetics-400."""

import tempfile
from pathlib import Path

import typer

from sigma_bench.cli.console import out


def bench_heads(
    samples: int = typer.Option(240_000, min=1000, help="Features in the bank."),
    queries: int = typer.Option(20_000, min=1, help="Features that are asked for."),
    width: int = typer.Option(768, min=2, help="Of a feature."),
    classes: int = typer.Option(400, min=2, help="Classes."),
    threads: int = typer.Option(2, min=1, help="Of torch and FAISS."),
    output: Path = typer.Option(Path("results/benchmarks"), help="Folder for heads.json and heads.md."),
) -> None:
    """Measure seconds and peak memory of kNN and linear probing on random features; takes minutes."""
    from sigma_bench.bench.heads import BankSize, markdown, measure_heads
    from sigma_bench.records.store import write_atomically

    with tempfile.TemporaryDirectory() as folder:
        size = BankSize(samples, queries, width, classes)
        result = measure_heads(size, threads, Path(folder), out.print)
    write_atomically(output / "heads.json", (result.model_dump_json(indent=1) + "\n").encode())
    write_atomically(output / "heads.md", markdown(result).encode())
    out.print(markdown(result))
    out.print(f"written: {output / 'heads'}.json and .md", soft_wrap=True, markup=False)
