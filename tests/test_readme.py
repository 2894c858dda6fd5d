"""Every command in the README is one that exists, with options that exist."""

import re
import shlex
from pathlib import Path

import pytest
import typer

from sigma_bench.cli.main import app
from sigma_bench.specs.catalogue import recipe_names, suite_names

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text()
COMMANDS = [
    line.split("#")[0].strip()
    for block in re.findall(r"```sh\n(.*?)```", README, re.DOTALL)
    for line in block.splitlines()
    if line.strip()
]


def test_there_are_commands() -> None:
    assert len(COMMANDS) >= 8


@pytest.mark.parametrize("command", [c for c in COMMANDS if c.startswith("make ")])
def test_make_targets_exist(command: str) -> None:
    assert re.search(rf"^{command.split()[1]}:", (ROOT / "Makefile").read_text(), re.MULTILINE)


@pytest.mark.parametrize("command", [c for c in COMMANDS if c.startswith("sigma-bench ")])
def test_commands_parse(command: str) -> None:
    """Arguments are parsed by the real command line, down to the verb, without running it."""
    group = typer.main.get_command(app)
    name, *arguments = shlex.split(command)[1:]
    verb = group.commands[name]  # type: ignore[attr-defined]
    if hasattr(verb, "commands"):
        name, *arguments = arguments
        verb = verb.commands[name]
    context = verb.make_context(name, arguments)
    for value in context.params.values():
        if isinstance(value, str) and value.startswith("random:"):
            assert value.split(":")[1] in recipe_names()
    assert context.params.get("suite") in (None, *suite_names())


def test_the_table_is_the_committed_one() -> None:
    shown = README.split("<!-- table: results/tables/mini.md -->")[1].split("<!-- /table -->")[0]
    assert shown.strip() == (ROOT / "results" / "tables" / "mini.md").read_text().strip()


def test_pictures_exist() -> None:
    for path in re.findall(r"!\[[^\]]*\]\(([^)]+)\)", README):
        assert (ROOT / path).is_file(), path
