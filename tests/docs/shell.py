"""Commands of the documentation, parsed by the real command line, or run."""

import importlib
import os
import re
import runpy
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import typer
from typer.testing import CliRunner

from sigma_bench.cli.main import app
from sigma_bench.resources import INCLUDE_VARIABLE
from sigma_bench.specs.catalogue import recipe_names, suite_names
from tests.docs.pages import ROOT, Block, commands

NOT_RUN = ("make", "git", "pip", "tensorboard", ".", "source", "deactivate")
"""Programs that would change the machine or wait for the reader; other tests run the targets of make."""
RUN_BY_BASH = ("mkdir", "cp", "mv", "rm", "ln", "ls", "cat", "head", "tail", "echo", "printf", "test", "touch", "find")
OTHERS = ("sbatch", "srun", "torchrun", "scp", "rsync", "tar", "unzip")
"""Programs that a page may name in blocks that are only parsed."""
_BEFORE_PIPE = re.compile(r"""(?:'[^']*'|"[^"]*"|(?<!\s)\#|[^|>'"#])*""")
_SETTING = re.compile(r"[A-Z_][A-Z0-9_]*=.*", re.DOTALL)


def split_settings(command: str) -> tuple[dict[str, str], list[str]]:
    """The variables that a command sets before its program, and its words up to a pipe or a redirection."""
    lexer = shlex.shlex(command, posix=True, punctuation_chars="|>;&")
    lexer.commenters = "#"
    lexer.whitespace_split = True
    words, settings = [], {}
    for word in lexer:
        if set(word) <= set("|>;&"):
            break
        words.append(word)
    while words and _SETTING.fullmatch(words[0]):
        name, _, value = words.pop(0).partition("=")
        settings[name] = value
    return settings, words


def require_sound(command: str) -> None:
    """AssertionError or an error of the command line unless a command exists and its options exist."""
    _, words = split_settings(command)
    if not words or words[0] in ("export", "cd"):
        return
    program, *arguments = words
    if program.startswith("python") and arguments[:2] == ["-m", "sigma_bench"]:
        program, arguments = "sigma-bench", arguments[2:]
    if program == "sigma-bench":
        require_parsed(arguments)
    elif program == "make":
        targets = [word for word in arguments if "=" not in word and not word.startswith("-")]
        makefile = (ROOT / "Makefile").read_text()
        assert all(re.search(rf"^{target}:", makefile, re.MULTILINE) for target in targets), command
    elif program == "pip" or arguments[:2] == ["-m", "pip"]:
        known = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
        given = re.findall(r"(?:^|\s)(?:sigma-bench|\.)\[([\w,-]+)\]", " ".join(arguments))
        assert {extra for extras in given for extra in extras.split(",")} <= known.keys(), command
    else:
        assert program.startswith("python") or program in (*NOT_RUN, *RUN_BY_BASH, *OTHERS), command


@cache
def command_line() -> Any:
    """The commands of ``sigma-bench``; they are built once, which takes longer than to parse a command."""
    return typer.main.get_command(app)


def require_parsed(arguments: list[str]) -> None:
    """Parse arguments of ``sigma-bench`` down to the verb, without running it."""
    command, rest = command_line(), _after_shared_options(arguments)
    while hasattr(command, "commands"):
        if not rest or rest[0] in ("--help", "--version"):
            return
        if rest[0] not in command.commands:  # ``models FOLDER`` means ``models list FOLDER``
            rest = ["list", *rest]
        assert rest[0] in command.commands, f"sigma-bench has no command {' '.join(arguments)}"
        name, *rest = rest
        command = command.commands[name]
    if "--help" in rest:
        return
    context = command.make_context(name, list(rest))
    for value in context.params.values():
        if isinstance(value, str) and value.startswith(("random:", "statistics:")):
            assert value.partition(":")[2].partition("@")[0] in recipe_names(), value
    assert context.params.get("suite") in (None, *suite_names())
    if name == "slurm":
        require_parsed(rest[rest.index("--") + 1 :])


def _after_shared_options(arguments: list[str]) -> list[str]:
    """The arguments without ``--include DIR``, which may stand anywhere before ``--``."""
    kept, rest = [], list(arguments)
    while rest and rest[0] != "--":
        word = rest.pop(0)
        if word == "--include":
            rest.pop(0)
        elif not word.startswith("--include="):
            kept.append(word)
    return [*kept, *rest]


class Reader:
    """What a reader does with a page: runs its blocks in order, in one folder, with ``DATA`` as the data root."""

    def __init__(self, folder: Path, data: Path) -> None:
        self.folder, self.data = folder, data
        self.names: dict[str, Any] = {}

    def run(self, block: Block) -> None:
        """Run a block, or write it to the file that its first line names."""
        text = re.sub(r"\bDATA\b", str(self.data), block.text)
        if block.file is not None:
            Path(block.file).parent.mkdir(parents=True, exist_ok=True)
            Path(block.file).write_text(text)
        elif block.language == "python":
            script = self.folder / f".line_{block.line}.py"
            script.write_text(text)
            self.names |= runpy.run_path(str(script), init_globals=self.names)
        elif block.language == "sh":
            for command in commands(text):
                self.command(command)

    def command(self, command: str) -> None:
        """Run one command; AssertionError unless its exit code is 0."""
        require_sound(command)
        settings, (program, *arguments) = split_settings(command)
        if program == "export":
            os.environ |= dict(setting.split("=", 1) for setting in arguments)
        elif program == "cd":
            if Path(arguments[0]).is_dir():  # a folder that a command of NOT_RUN would have made is passed over
                os.chdir(arguments[0])
        elif program == "sigma-bench":
            output = _sigma_bench(arguments, settings)
            found = _BEFORE_PIPE.match(command)
            pipe = command[found.end() :].strip() if found else ""
            if pipe.startswith(("|", ">")):
                _bash(pipe[1:] if pipe[0] == "|" else f"cat {pipe}", output)
        elif program.startswith("python") and arguments and arguments[0].endswith(".py"):
            with _arguments(arguments), _environment(settings):
                runpy.run_path(arguments[0], run_name="__main__")
        elif program not in NOT_RUN and not program.startswith("python"):
            assert program in RUN_BY_BASH, f"a test does not run {program}; mark the block as only parsed: {command}"
            _bash(command, "")


def _sigma_bench(arguments: list[str], settings: dict[str, str]) -> str:
    with _environment({INCLUDE_VARIABLE: os.environ.get(INCLUDE_VARIABLE, ""), **settings}):
        importlib.invalidate_caches()
        done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, (arguments, done.output, done.exception)
    return done.output


def _bash(command: str, given: str) -> None:
    done = subprocess.run(["bash", "-euc", command], input=given, capture_output=True, text=True, check=False)
    assert done.returncode == 0, (command, done.stdout, done.stderr)


@contextmanager
def _arguments(words: list[str]) -> Iterator[None]:
    before, sys.argv = sys.argv, words
    try:
        yield
    finally:
        sys.argv = before


@contextmanager
def _environment(settings: dict[str, str]) -> Iterator[None]:
    before = dict(os.environ)
    os.environ |= settings
    try:
        yield
    finally:
        os.environ.clear()
        os.environ |= before
