"""Consoles of all verbs: ``out`` for results, ``err`` for progress and errors."""

import sys

from sigma_bench.api.progress import PLAIN_WIDTH, HarmlessConsole, err

__all__ = ["err", "out"]

out = HarmlessConsole(highlight=False, width=None if sys.stdout.isatty() else PLAIN_WIDTH)
