"""Invalid options and paths: one sentence and exit code 2."""

import sys

import pytest
import typer
from rich.text import Text

from sigma_bench.api.progress import HarmlessConsole
from sigma_bench.cli.main import app, app_main

EVALUATE = ("evaluate", "random:mini_sigma_mlp", "--task", "ucf101/knn", "--data", "nowhere")
LONG = "x" * 300


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((*EVALUATE, "--cache-limit", "inf"), "--cache-limit inf: expected a number from 0 upwards"),
        ((*EVALUATE, "--cache-limit", "nan"), "--cache-limit nan: expected a number from 0 upwards"),
        ((*EVALUATE, "--cache-limit", "-1"), "--cache-limit -1.0: expected a number from 0 upwards"),
        ((*EVALUATE, "--seed", "-1"), "Invalid value for '--seed'"),
        ((*EVALUATE, "--seed", str(10**30)), "Invalid value for '--seed'"),
        ((*EVALUATE, "--set", "uncertainty.replicates=1000000000"), "uncertainty.replicates': Input should be less"),
        (("verify", LONG), "File name too long"),
        (("table", "--output", LONG), "File name too long"),
        (("table", f"./{LONG}.yaml"), "File name too long"),
        (("cache", "ls", "--output", LONG), "File name too long"),
        (("evaluate", LONG, *EVALUATE[2:]), "File name too long"),
    ],
)
def test_what_cannot_be_meant_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], words: str
) -> None:
    monkeypatch.setattr(sys, "argv", ["sigma-bench", *arguments])
    with pytest.raises(SystemExit) as caught:
        app_main()
    assert caught.value.code == 2
    assert words in " ".join(capsys.readouterr().err.split())


def test_a_terminal_is_not_told_anything_by_a_name(capsys: pytest.CaptureFixture[str]) -> None:
    console = HarmlessConsole(force_terminal=True, color_system="standard")
    console.print("[red]model[/] \x1b[2J\x1b]0;title\x07 \u202eexe", highlight=False)
    shown = capsys.readouterr().out
    assert "\\x1b[2J\\x1b]0;title" in shown and "\\u202eexe" in shown
    assert "\x1b[31mmodel" in shown and shown.count("\x1b") == 2


def help_texts(command, path):
    """Help texts of a command, its parameters and its subcommands, with the place where they stand."""
    yield path, command.help or ""
    for parameter in command.params:
        yield f"{path} {parameter.name}", getattr(parameter, "help", None) or ""
    for name, child in getattr(command, "commands", {}).items():
        yield from help_texts(child, f"{path} {name}")


def test_help_shows_square_brackets():
    """Rich takes "[slurm]" for markup and omits it unless the bracket is escaped."""
    texts = dict(help_texts(typer.main.get_command(app), "sigma-bench"))
    assert sum("[" in text for text in texts.values()) >= 3
    for place, text in texts.items():
        assert Text.from_markup(text).plain == text.replace("\\[", "["), place
