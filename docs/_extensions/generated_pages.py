"""Pages that are written before the build: datasets and models from their declarations, commands from the command line.

They are not part of the repository.  A page that would not change is not written, so that a second build is quick.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import typer
from rich.console import Console

from sigma_bench.cli.layout_lines import layout_tree
from sigma_bench.cli.main import app as command_line
from sigma_bench.models.model_families import FAMILY_NOTES, model_families
from sigma_bench.specs.catalogue import dataset_names, load_dataset_file, load_protocol, load_recipe, recipe_names
from sigma_bench.specs.dataset import DatasetFile
from sigma_bench.specs.declared import files_of
from sigma_bench.specs.recipe import Recipe

Lines = Iterable[str]
DOCS = Path(__file__).resolve().parents[1]
DATASETS = """# Datasets

This page lists every declared dataset: what a good score asks for, classes, splits and their official sizes, the layout
below a data root, licence, source and tasks. `sigma-bench tasks NAME` prints a declaration in full,
`sigma-bench data prepare DATA` compares a data root with the layouts, and `sigma-bench data verify DATA` reads every
file once. This page is made from the files in `tasks/`.
"""
MODELS = """# Models and recipes

This page lists the encoders that can be evaluated, with their names, and the recipes that can be pretrained, with their
cost, the expected scores and the differences from the papers. It is made from the list that `sigma-bench models` prints
and from the files in `pretrain/`.

## Families of models
"""
COMMANDS = """# Command line

This page lists every command of `sigma-bench` with its arguments, options and defaults. It holds the texts that
`sigma-bench COMMAND --help` prints.
"""


def escaped(text: str) -> str:
    """A text in which Markdown changes nothing, on one line."""
    return re.sub(r"([\\`*_{}\[\]<>#|~$])", r"\\\1", " ".join(text.split()))


def table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> Iterator[str]:
    """A Markdown table; cells are Markdown."""
    yield f"| {' | '.join(header)} |"
    yield f"|{' --- |' * len(header)}"
    yield from (f"| {' | '.join(map(str, row))} |" for row in rows)
    yield ""


def datasets_page() -> Lines:
    """All dataset cards, with the layout and the tasks of each."""
    files = [load_dataset_file(name) for name in dataset_names()]
    yield DATASETS
    header = ("Dataset", "Name", "Asks for", "Classes", "Samples", "Tasks")
    yield from table(header, (_dataset_row(file) for file in files))
    for file in files:
        yield from _dataset_section(file)


def _dataset_row(file: DatasetFile) -> tuple[object, ...]:
    samples = ", ".join(f"{name} {split.samples:,}" for name, split in file.splits.items())
    link = f"[{escaped(file.title)}](#{file.dataset})"
    return link, f"`{file.dataset}`", file.asks, f"{file.classes or 0:,}", samples, len(file.tasks)


def _dataset_section(file: DatasetFile) -> Lines:
    yield f"({file.dataset})="
    yield ""
    yield f"## {escaped(file.title)}"
    yield ""
    yield from (f"- {name}: {text}" for name, text in _dataset_facts(file).items() if text)
    yield ""
    yield "```text"
    yield from _layout(file)
    yield "```"
    yield ""
    if file.tasks:
        yield from table(("Task", "Protocol", "Note"), (_task_row(file, name) for name in file.tasks))


def _dataset_facts(file: DatasetFile) -> Mapping[str, str]:
    splits = (f"{name} {split.samples:,} samples" for name, split in file.splits.items())
    has_masks = file.media == "masked_frames"
    downloads = "; ".join(f"`{name}`, {escaped(text)}" for name, text in file.download.items())
    return {
        "Name": f"`{file.dataset}`, declared in `tasks/{file.dataset}.yaml`",
        "Asks for": f"{file.asks}{f'; {escaped(file.note)}' if file.note else ''}",
        "Classes": f"{file.classes:,}" if file.classes else f"none{'; the labels are masks' if has_masks else ''}",
        "Splits": f"{', '.join(splits)} ({escaped(file.split_note)})",
        "Group, the unit of intervals": escaped(file.group),
        "Licence": escaped(file.licence),
        "Source": escaped(file.source),
        "Citation": escaped(file.citation),
        "Download": downloads,
        "Other layouts that are read": "; ".join(map(escaped, file.alternatives)),
        "Official layout": "one example stands for all files of a kind",
    }


def _layout(file: DatasetFile) -> list[str]:
    console = Console(width=200, color_system=None, legacy_windows=False)
    with console.capture() as capture:
        console.print(layout_tree(Path(file.home), [file]))
    return [line.rstrip() for line in capture.get().splitlines()]


def _task_row(file: DatasetFile, name: str) -> tuple[str, str, str]:
    task = file.tasks[name]
    kind, _, _ = load_protocol(task.protocol).kind.partition("_")  # one page describes attentive and attentive_online
    page = DOCS / "protocols" / f"{kind}.md"
    protocol = f"[`{task.protocol}`](protocols/{page.name})" if page.is_file() else f"`{task.protocol}`"
    return f"`{file.dataset}/{name}`", protocol, escaped(task.note)


def models_page() -> Lines:
    """The families of encoders, and the recipes."""
    yield MODELS
    header = ("Family", "Name", "Frames", "Size", "Fine-tuning")
    rows = ((escaped(f.name), _names(f.written), f.frames, f.sizes, f.fine_tuning) for f in model_families())
    yield from table(header, rows)
    yield from (f"- {escaped(note)}" for note in FAMILY_NOTES)
    yield ""
    yield "## Recipes"
    yield ""
    recipes = {name: load_recipe(name) for name in recipe_names()}
    yield from table(("Recipe", "Method", "Clip", "ViT", "Data", "Length"), map(_recipe_row, recipes.values()))
    yield "`sigma-bench tasks NAME` prints a recipe with all its keys."
    yield ""
    for name, recipe in recipes.items():
        yield from _recipe_section(recipe, files_of("recipe")[name])


def _names(written: str) -> str:
    """The forms of a name as code; a word in angle brackets may hold another 'or'."""
    return " or ".join(f"`{name}`" for name in re.split(r" or (?![^<>]*>)", written))


def _recipe_row(recipe: Recipe) -> tuple[str, ...]:
    encoder, optim = recipe.encoder, recipe.optim
    length = f"{optim.steps} steps" if optim.epochs is None else f"{optim.epochs} epochs"
    return (
        f"[`{recipe.recipe}`](#{recipe.recipe.replace('_', '-')})",
        recipe.objective.family,
        f"{encoder.num_frames} × {encoder.image_size} px",
        f"width {encoder.width}, {encoder.depth} blocks",
        ", ".join(recipe.data.datasets) or "custom",
        f"{length}, batch {optim.global_batch}",
    )


def _recipe_section(recipe: Recipe, path: Path) -> Lines:
    yield f"({recipe.recipe.replace('_', '-')})="
    yield ""
    yield f"### {recipe.recipe}"
    yield ""
    yield f"{escaped(recipe.summary)}."
    yield ""
    for name, text in header_of(path.read_text()).items():
        yield f"- {name}: {f'`{text}`' if name == 'Run' else escaped(text)}"
    yield ""


def header_of(text: str) -> dict[str, str]:
    """The entries of the comment at the top of a recipe, such as ``Cost``, each on one line."""
    entries: dict[str, str] = {}
    name = ""
    for line in text.splitlines():
        if not line.startswith("#"):
            break
        start = re.match(r"# ([A-Z][a-z]+): +(.*)", line)
        name, more = start.groups() if start else (name, line.lstrip("# "))
        entries[name] = f"{entries.get(name, '')} {more}".strip()
    return entries


def commands_page() -> Lines:
    """All commands, with their arguments and options."""
    yield COMMANDS
    root = typer.main.get_command(command_line)
    yield from _command("sigma-bench", root, None, "##")


def _command(name: str, command: Any, parent: Any, heading: str) -> Lines:
    context = command.make_context(name, [], parent=parent, resilient_parsing=True)
    yield f"{heading} {context.command_path}"
    yield ""
    for paragraph in (command.help or "").split("\n\n"):
        yield from (_help(paragraph), "")
    yield "```text"
    yield " ".join([context.command_path, *command.collect_usage_pieces(context)])
    yield "```"
    yield ""
    for record in (option.get_help_record(context) for option in command.params):
        yield from (f"`{record[0]}`", f": {_help(record[1]) or 'No description.'}", "") if record else ()
    inner = heading if parent is None else f"{heading}#"
    for verb, each in getattr(command, "commands", {}).items():
        yield from _command(verb, each, context, inner)


def _help(text: str) -> str:
    """A help text without the escapes of its markup."""
    return escaped(text.replace("\\[", "["))


PAGES: Mapping[str, Callable[[], Lines]] = {
    "datasets.md": datasets_page,
    "models.md": models_page,
    "cli.md": commands_page,
}


def write_pages(folder: Path) -> None:
    """Write the pages of which the content has changed."""
    for name, page in PAGES.items():
        path, text = folder / name, "\n".join(page())
        if not path.is_file() or path.read_text() != text:
            path.write_text(text)


def setup(app: Any) -> dict[str, bool]:
    app.connect("builder-inited", lambda app: write_pages(Path(app.srcdir)))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
