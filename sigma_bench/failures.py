"""Reports of unexpected exceptions: one sentence for the user, and the traceback in a file."""

import re
import site
import sysconfig
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

MESSAGE_LIMIT = 400
"""Maximum number of characters of an exception's message in a sentence; the traceback file holds the whole message."""
LOGS_NAME = "logs"
_OURS = Path(__file__).resolve().parent
_KILLED_WORKER = "DataLoader worker"


class LoggedError(Exception):
    """An unexpected error in one sentence, which names the file that holds its traceback.

    Args:
        everywhere: whether every process of a run shows it; otherwise only the main process does.
    """

    def __init__(self, sentence: str, *, everywhere: bool = False) -> None:
        super().__init__(sentence)
        self.everywhere = everywhere


def reason(error: Exception) -> str:
    """Why something failed, in one line: the message of a ValueError, or ``failure_sentence`` of any other error."""
    return " ".join(str(error).split()) if isinstance(error, ValueError) else failure_sentence(error)


def failure_sentence(error: BaseException) -> str:
    """Type, message, and the line of the user's code that raised the error, in one line of text."""
    if getattr(error, "is_sentence", False):
        return "; ".join([str(error), *getattr(error, "__notes__", ())])
    if isinstance(error, RuntimeError) and _KILLED_WORKER in str(error):
        return (
            f"a process that decodes videos was killed ({_message(error)}); it may have run out of memory: use fewer "
            "--num-workers; the same command continues"
        )
    kind = type(error).__name__
    message = _message(error)
    said = message if message.startswith(f"{kind}: ") else f"{kind}: {message}" if message else kind
    place = user_place(error)
    return "; ".join([f"{said} ({place})" if place else said, *getattr(error, "__notes__", ())])


def _message(error: BaseException) -> str:
    """The message in one line; for an error from a data loader's worker, the last line of the traceback in it."""
    text = str(error)
    if isinstance(error, SyntaxError):
        text = error.msg
    if "Original Traceback (most recent call last)" in text:
        text = text.strip().splitlines()[-1]
    text = " ".join(text.split())
    return text if len(text) <= MESSAGE_LIMIT else text[:MESSAGE_LIMIT] + " ..."


def user_place(error: BaseException) -> str:
    """File, line and function of the innermost code outside of this project and installed packages; empty if none."""
    if isinstance(error, SyntaxError) and error.filename and _is_users(error.filename):
        return f"{_shown(error.filename)}, line {error.lineno}"
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if _is_users(frame.filename):
            where = "" if frame.name == "<module>" else f", in {frame.name}"
            return f"{_shown(frame.filename)}, line {frame.lineno}{where}"
    return ""


def _is_users(file: str) -> bool:
    if file.startswith("<"):
        return False
    path = Path(file).resolve()
    libraries = [sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")]
    installed = [Path(folder).resolve() for folder in [*libraries, *site.getsitepackages(), site.getusersitepackages()]]
    console_script = Path(sysconfig.get_path("scripts")).resolve()
    return not any(path.is_relative_to(folder) for folder in [*installed, console_script, _OURS])


def _shown(file: str) -> str:
    path = Path(file).resolve()
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


@contextmanager
def unexpected_errors_logged(output: Path, what: str) -> Iterator[None]:
    """Write the traceback of an unexpected exception of the block to a file, and raise one sentence instead.

    Raises:
        ValueError: the block raised it; it is passed on, as is a LoggedError.
        LoggedError: the block raised any other exception.
    """
    try:
        yield
    except (ValueError, LoggedError):
        raise
    except Exception as error:
        raise LoggedError(
            f"{failure_sentence(error)}; {write_traceback(error, output, what)}", everywhere=True
        ) from error


def write_traceback(error: BaseException, output: Path, what: str) -> str:
    """Write the traceback to a new file below ``output``; returns a phrase that names the file.

    Args:
        what: what failed, such as a task's name; it becomes part of the file's name.
    """
    moment = datetime.now(UTC)
    name = f"{moment:%Y%m%dT%H%M%S%f}-{re.sub(r'[^A-Za-z0-9]+', '_', what)[:80]}.log"
    path = output / LOGS_NAME / name
    whole = getattr(error, "whole_traceback", None) or "".join(traceback.format_exception(error))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{moment.isoformat()} {what}\n\n{whole}", encoding="utf-8", errors="backslashreplace")
    except OSError as problem:
        return f"its traceback cannot be written to {path} ({problem.strerror})"
    return f"traceback in {path}"
