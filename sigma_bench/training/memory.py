"""Memory that a step frees and the next one asks for again, kept by the process in between.

The C library hands large blocks back to the system as soon as they are freed, and takes every page of the next
step's anew: on a processor a twentieth of a pretraining step and more.  Only glibc has the two switches; elsewhere
nothing happens.
"""

import ctypes
import platform

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
_MEBIBYTE = 2**20


def keep_freed_memory() -> None:
    """Keep freed blocks of any size from now on."""
    if platform.libc_ver()[0] != "glibc":
        return
    library = ctypes.CDLL(None)
    library.mallopt(_MMAP_THRESHOLD, 1024 * _MEBIBYTE)
    library.mallopt(_TRIM_THRESHOLD, 2**31 - 1)
