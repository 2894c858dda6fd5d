"""Pages and figures that are made when the documentation is built."""

import importlib.util
from itertools import pairwise
from pathlib import Path
from types import ModuleType

import pytest
import typer

import sigma_bench as sb
from sigma_bench.cli.main import app
from sigma_bench.models.model_families import model_families
from sigma_bench.specs.catalogue import dataset_names, load_dataset, recipe_names, task_names
from sigma_bench.specs.declared import files_of
from tests.docs.pages import DOCS, ROOT, inline_code
from tests.packaging.test_layers import WITHOUT_TORCH


def extension(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, DOCS / "_extensions" / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


pages = extension("generated_pages")


def test_the_page_of_datasets_states_what_the_cards_state() -> None:
    text = "\n".join(pages.datasets_page())
    for name in dataset_names():
        card = load_dataset(name)
        section = text.split(f"\n({name})=\n")[1].split("\n## ")[1]
        assert section.startswith(f"{card.title}\n")
        assert all(f"{split.samples:,} samples" in section for split in card.splits.values())
        assert all(part in section for path in card.layout for part in path.split("/"))
        assert pages.escaped(card.licence) in section and pages.escaped(card.source) in section
    assert all(f"| `{task}` |" in text for task in task_names())


def test_the_page_of_models_states_families_and_recipes() -> None:
    text = "\n".join(pages.models_page())
    assert all(pages.escaped(family.name) in text for family in model_families())
    for name in recipe_names():
        header = pages.header_of(files_of("recipe")[name].read_text())
        assert {"Run", "Cost", "Expect", "Differs"} <= header.keys() and all(header.values()), name
        section = text.split(f"\n### {name}\n")[1].split("\n### ")[0]
        assert f"`{header['Run']}`" in section and pages.escaped(header["Differs"]) in section


def test_the_page_of_commands_states_every_option() -> None:
    text = "\n".join(pages.commands_page())
    verbs = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    for name, verb in verbs.items():
        for inner, command in getattr(verb, "commands", {"": verb}).items():
            title = f" sigma-bench {name} {inner}".rstrip()
            section = text.split(f"#{title}\n")[1].split("\n##")[0]
            for parameter in command.params:
                assert all(f"`{option}" in section for option in parameter.opts if option.startswith("--")), title


def test_markdown_changes_nothing_in_a_text() -> None:
    from markdown_it import MarkdownIt

    text = "a*b* <x> [y](z) `c` _d_ |e| #f ~g~ $h$ \\i {j}"
    assert MarkdownIt("commonmark").render(pages.escaped(text)).replace("&lt;", "<").replace("&gt;", ">") == (
        f"<p>{text}</p>\n"
    )


def test_pages_are_written_only_if_they_change(tmp_path: Path) -> None:
    pages.write_pages(tmp_path)
    times = {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    assert times.keys() == pages.PAGES.keys()
    (tmp_path / "cli.md").write_text("older")
    pages.write_pages(tmp_path)
    assert "# Command line" in (tmp_path / "cli.md").read_text()
    assert {path.name for path in tmp_path.iterdir() if path.stat().st_mtime_ns == times[path.name]} == {
        "datasets.md",
        "models.md",
    }


def test_the_reference_names_everything_public() -> None:
    lines = [line.split() for line in (DOCS / "api.md").read_text().splitlines() if line.startswith(".. ")]
    named = [words[2].removeprefix("sigma_bench.") for words in lines if words[1] != "py:currentmodule::"]
    assert sorted(named) == sorted(sb.__all__)


def test_the_architecture_names_files_that_exist() -> None:
    named = [code for code in inline_code(DOCS / "architecture.md") if "/" in code and " " not in code]
    assert len(named) > 50
    assert [path for path in named if not path.startswith("ucf101/") and not (ROOT / path).exists()] == []
    packages = {f"sigma_bench/{path.parent.name}/" for path in (ROOT / "sigma_bench").glob("*/__init__.py")}
    assert packages <= set(named)


def test_the_diagram_is_drawn_from_the_imports() -> None:
    pytest.importorskip("grimp", reason="needs grimp: pip install -e '.[dev]'")
    drawing = extension("package_diagram")
    imports, without_torch = drawing.read_imports()
    assert without_torch == set(WITHOUT_TORCH)
    assert imports["leaderboard"] == {"specs", "records", "metrics"} and "cli" not in imports["api"]
    few = drawing.essential(imports)
    assert all(drawing.reachable(few, name) == drawing.reachable(imports, name) for name in imports)
    rows, chains = drawing.arranged(few)
    row_of = {place: row for row, places in enumerate(rows) for place in places}
    assert all(row_of[a] == row_of[b] + 1 for chain in chains for a, b in pairwise(chain))
    svg = drawing.diagram(imports, without_torch)
    assert all(f">{name}</text>" in svg for name in imports) and svg.count("marker-end") == len(chains)
