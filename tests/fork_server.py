"""Processes forked from a server that has imported torch and this package, so that they start at once.

All code of a process that uses the context ``forkserver``, in tests and in the product, shares one server, and the
first use decides what it has imported.  ``server`` starts it with everything, and ``conftest.py`` calls it at the
beginning of a run of many processes.
"""

import multiprocessing
import os
import sys
from collections.abc import Mapping
from multiprocessing import forkserver
from multiprocessing.context import ForkServerContext
from pathlib import Path

IMPORTED = (
    "pytest",
    "sigma_bench.api.evaluation",
    "sigma_bench.api.pretraining",
    "sigma_bench.cli.main",
    "sigma_bench.data.media_inspection",
    "sigma_bench.protocols.linear.run",
)

SECONDS = 120
"""Longest time in which a command ends."""


def server() -> ForkServerContext:
    """The context of processes that are forked from the server, which is started if it does not run."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(IMPORTED))
    forkserver.ensure_running()
    return context


class Command:
    """The command line in a process and a process group of its own, which has started.

    Args:
        arguments: what follows ``sigma-bench``.
        folder: receives both outputs.
        environment: variables that the process has besides those of this process.
        site: folder of installed packages that the process sees besides those of this process.
    """

    def __init__(
        self, *arguments: object, folder: Path, environment: Mapping[str, str] | None = None, site: Path | None = None
    ) -> None:
        self._outputs = folder / "stdout.txt", folder / "stderr.txt"
        words = [str(word) for word in arguments]
        self.process = server().Process(target=_main, args=(words, self._outputs, dict(environment or {}), site))
        self.process.start()

    @property
    def pid(self) -> int:
        assert self.process.pid is not None
        return self.process.pid

    def end(self) -> tuple[int, str, str]:
        """Exit code and both outputs of the process, once it has ended; the code is negative after a signal."""
        self.process.join(SECONDS)
        if self.process.exitcode is None:
            self.process.kill()
            raise AssertionError(f"does not end: {self._outputs[1].read_text()}")
        out, err = (path.read_text() if path.exists() else "" for path in self._outputs)
        return self.process.exitcode, out, err


def _main(arguments: list[str], outputs: tuple[Path, Path], environment: dict[str, str], site: Path | None) -> None:
    from sigma_bench.cli.main import app_main

    os.setsid()
    for number, path in enumerate(outputs, start=1):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
    os.environ |= environment
    if site is not None:
        sys.path.insert(0, str(site))
    sys.argv = ["sigma-bench", *arguments]
    app_main()
