"""Records that cannot be used: a command names each one, continues without it, and ends with exit code 1."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import typer

from sigma_bench.cli.console import err


@contextmanager
def left_out_named(folder: Path) -> Iterator[None]:
    """Print each ``LeftOutWarning`` of the block as it comes, and exit with code 1 after the block if there was one.

    Args:
        folder: of the records.
    """
    from sigma_bench.api.records import LeftOutWarning
    from sigma_bench.records.store import Store

    shown: list[str] = []

    def show(message: Warning | str, category: type[Warning], *place: Any) -> None:
        if issubclass(category, LeftOutWarning):
            shown.append(str(message))
            err.print_plain(f"left out: {message}")
        else:
            before(message, category, *place)

    with warnings.catch_warnings():
        before, warnings.showwarning = warnings.showwarning, show  # type: ignore[assignment]
        warnings.simplefilter("always", LeftOutWarning)
        yield
    if shown:
        err.print(f"{len(shown)} of {len(Store(folder).paths())} records were left out; see 'sigma-bench verify'")
        raise typer.Exit(1)
