"""The ``sigma-bench`` command: one Typer file per verb, heavy imports inside the verbs."""

import sys
from pathlib import Path
from typing import Any, NoReturn

import typer
from typer.core import TyperGroup

from sigma_bench import __version__, resources
from sigma_bench.api.progress import is_main_process
from sigma_bench.cli import (
    bench,
    board,
    cache,
    check,
    compare,
    curves,
    data,
    demo,
    doctor,
    evaluate,
    export,
    gallery,
    import_numbers,
    models,
    pretrain,
    slurm,
    table,
    tasks,
    verify_records,
)
from sigma_bench.cli.console import err, out
from sigma_bench.failures import LoggedError
from sigma_bench.training.termination import Preempted, end_with_launcher

INCLUDE = "--include"


class _Verbs(TyperGroup):
    """All verbs; an option that all verbs have may be given before or after the verb."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        return super().parse_args(ctx, _shared_first(args))


def _shared_first(arguments: list[str]) -> list[str]:
    """The arguments with every ``--include DIR`` that comes before ``--`` moved to the front.

    Raises:
        ValueError: the last argument is ``--include``.
    """
    shared: list[str] = []
    others: list[str] = []
    rest = list(arguments)
    while rest and rest[0] != "--":
        word = rest.pop(0)
        if word == INCLUDE:
            if not rest:
                raise ValueError(f"{INCLUDE}: the folder is missing")
            shared += [word, rest.pop(0)]
        else:
            (shared if word.startswith(f"{INCLUDE}=") else others).append(word)
    return [*shared, *others, *rest]


app = typer.Typer(
    name="sigma-bench",
    cls=_Verbs,
    help="Evaluation-first benchmark for self-supervised video models, built around SIGMA (ECCV 2024).",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command("demo")(demo.demo)
app.command("pretrain")(pretrain.pretrain)
app.command("evaluate")(evaluate.evaluate)
app.command("table")(table.table)
app.command("compare")(compare.compare)
app.command("curves")(curves.curves)
app.command("gallery")(gallery.gallery)
app.command("verify")(verify_records.verify)
app.command("import")(import_numbers.import_numbers)
app.command("export")(export.export)
app.command("tasks")(tasks.tasks)
app.command("check")(check.check)
app.add_typer(board.app, name="board")
app.add_typer(models.app, name="models")
app.add_typer(cache.app, name="cache")
app.command("doctor")(doctor.doctor)
app.add_typer(bench.app, name="bench")
app.command("slurm")(slurm.slurm)
app.add_typer(data.app, name="data")


def _version(wanted: bool) -> None:
    if wanted:
        out.print(__version__)
        raise typer.Exit


@app.callback()
def _options(
    version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Print the version."),
    include: list[Path] = typer.Option(
        [],
        INCLUDE,
        metavar="DIR",
        help="Folder with further tasks/, pretrain/ or boards/, before or after the verb; may be given several times. "
        f"The environment variable {resources.INCLUDE_VARIABLE} has the same effect.",
    ),
) -> None:
    resources.check_included()
    for folder in include:
        resources.include(folder)


def app_main() -> None:
    """Entry point of the command.

    A mistake of the user, including a file that the system refuses to open, ends with one sentence and exit code 2; a
    logged error ends with exit code 1.  Ctrl-C prints how to continue.  Any other error is a fault of this program and
    shows its traceback.
    """
    end_with_launcher()
    try:
        app()
    except ValueError as error:
        _end_with(str(error), 2, shows=is_main_process())
    except LoggedError as error:
        _end_with(str(error), 1, shows=is_main_process() or error.everywhere)
    except OSError as error:
        if error.filename is None:
            raise
        _end_with(f"{str(error.filename)[:200]}: {error.strerror}", 2, shows=is_main_process())
    except Preempted as stop:
        if is_main_process():
            err.print_plain(str(stop))
        sys.exit(stop.exit_code)
    except KeyboardInterrupt:
        err.print("stopped; the same command continues from the last checkpoint and skips finished work")
        sys.exit(130)


def _end_with(sentence: str, exit_code: int, *, shows: bool) -> NoReturn:
    from rich.markup import escape

    if shows:
        err.print(f"[bold red]error:[/] {escape(' '.join(sentence.split()))}", soft_wrap=True)
    sys.exit(exit_code)
