"""``sigma-bench models``: list families of models and the checkpoints below a folder, and describe one model."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from rich.markup import escape
from rich.table import Table
from typer.core import TyperGroup

from sigma_bench.cli.console import err, out

if TYPE_CHECKING:
    from sigma_bench.models.checkpoints import LoadReport

SHOWN_NAMES = 4
"""Number of names of tensors that are shown; further ones are counted."""
SHOWN_SETTINGS = 20
"""Greatest number of entries of a mapping in the metadata that are shown; longer mappings are counted."""


class _ListsByDefault(TyperGroup):
    """``models`` means ``models list``, and ``models FOLDER`` means ``models list FOLDER``."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if not args or (args[0] not in self.commands and not args[0].startswith("-")):
            args = ["list", *args]
        return super().parse_args(ctx, args)


app = typer.Typer(
    cls=_ListsByDefault,
    help="List the families of models and how each is named (sigma-bench models), list the checkpoints below a folder "
    "(sigma-bench models FOLDER), or describe one model (models inspect).",
)


@app.callback()
def _group() -> None:
    pass


@app.command("list")
def models(
    folder: Path = typer.Argument(
        None, help="A checkpoint, or a folder to search for checkpoints. Without it, the families of models are listed."
    ),
) -> None:
    """List the families of models with their names on the command line, or the checkpoints below a folder.

    A checkpoint that cannot be read does not stop the listing.  It is named at the end, and the exit code is 1.
    """
    if folder is None:
        _list_families()
        return
    from sigma_bench.models.file_summary import pretraining_length
    from sigma_bench.models.zoo import CHECKPOINT_NAME, load_encoder

    if not folder.exists():
        raise ValueError(f"{folder}: there is no such file or folder")
    paths = [folder] if folder.is_file() else sorted(folder.rglob(CHECKPOINT_NAME))
    listing = Table(box=None, header_style="bold", pad_edge=False)
    for column in ("family", "clip", "parameters", "pretrained on", "seed", "sha256", "checkpoint"):
        listing.add_column(column, overflow="fold")
    broken: list[str] = []
    for path in paths:
        try:
            encoder = load_encoder(str(path))
        except ValueError as error:
            if len(paths) == 1:
                raise
            broken.append(str(error))
            continue
        card, length = encoder.card, pretraining_length(encoder)
        data = ", ".join(card.pretraining_data) or "unknown"
        listing.add_row(
            card.family,
            f"{card.num_frames} x {card.image_size} px",
            f"{card.num_parameters / 1e6:.2f} M",
            escape(f"{data}, {'length unknown' if length == 'unknown' else length}"),
            "unknown" if card.pretraining_seed is None else str(card.pretraining_seed),
            card.checkpoint_sha256[:12],
            escape(str(path)),
        )
    if paths:
        out.print(listing)
    else:
        out.print(f"no checkpoints below {folder}; make one with 'sigma-bench pretrain <recipe>'", markup=False)
    for reason in broken:
        err.print(f"[bold red]error:[/] {escape(reason)}", soft_wrap=True)
    if broken:
        raise typer.Exit(1)


def _list_families() -> None:
    from sigma_bench.models.imported import ENCODERS
    from sigma_bench.models.model_families import FAMILY_NOTES, ModelFamily, model_families

    listing = Table(box=None, header_style="bold", pad_edge=False)
    for column in ("family", "name", "frames", "size", "fine-tuning"):
        listing.add_column(column, overflow="fold")
    registered = (
        ModelFamily(f"registered by {ENCODERS.target(name).partition(':')[0]}", name, *("as its code",) * 3)
        for name in ENCODERS.names()
    )
    for family in (*model_families(), *registered):
        listing.add_row(*map(escape, family))
    out.print(listing)
    out.print("\n".join(["", *FAMILY_NOTES]), soft_wrap=True, markup=False)


@app.command("inspect")
def inspect(
    model: str = typer.Argument(
        ...,
        metavar="MODEL",
        help="A weight file or folder, or any other model name, which @<frames>x<size> and @<heads>heads may follow.",
    ),
) -> None:
    """Describe a model: format, family, geometry, clips, fine-tuning, use of its tensors, digest, metadata."""
    from sigma_bench.models.file_summary import inspect_model

    facts, report = inspect_model(model)
    rows = [*facts.items()]
    if report is not None:
        rows += _tensor_rows(report)
        rows += [("warning", warning) for warning in report.warnings]
        rows += [("metadata", line) for line in _lines(report.metadata)]
    listing = Table(box=None, show_header=False, pad_edge=False)
    listing.add_column(style="bold", no_wrap=True)
    listing.add_column(overflow="fold")
    for name, value in rows:
        listing.add_row(name, escape(value))
    out.print(listing)


def _tensor_rows(report: "LoadReport") -> Iterable[tuple[str, str]]:
    yield "matched", _names(report.matched)
    yield "missing", _names(report.missing)
    yield "not needed", _names(report.unexpected)


def _names(names: tuple[str, ...]) -> str:
    shown = ", ".join(names[:SHOWN_NAMES]) + (", ..." if len(names) > SHOWN_NAMES else "")
    return f"{len(names)} tensors" + (f": {shown}" if names else "")


def _lines(metadata: Mapping[str, Any], prefix: str = "") -> Iterable[str]:
    """One line per setting; nested settings have the names of the outer ones as a prefix."""
    for key, value in metadata.items():
        if isinstance(value, Mapping) and len(value) > SHOWN_SETTINGS:
            yield f"{prefix}{key}: {len(value)} entries"
        elif isinstance(value, Mapping):
            yield from _lines(value, f"{prefix}{key}.")
        elif value is not None:
            yield f"{prefix}{key} = {value}"
