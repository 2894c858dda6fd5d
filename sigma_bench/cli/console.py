"""Consoles of all verbs.

A ValueError is a mistake of the user or of the data: one sentence on stderr, exit code 2, no traceback.
"""

import sys

from sigma_bench.api.progress import PLAIN_WIDTH, HarmlessConsole, err

__all__ = ["err", "out"]

out = HarmlessConsole(highlight=False, width=None if sys.stdout.isatty() else PLAIN_WIDTH)
