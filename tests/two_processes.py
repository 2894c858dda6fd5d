"""Two real processes that are one world over gloo, without what a launch costs.

They are forked from a server that has imported torch and everything of ours, and meet where torchrun's processes meet:
at a store that whoever started them holds.  torchrun itself is behind ``--nproc``, whose tests start it.
"""

import os
from collections.abc import Callable
from typing import Any

import torch
from torch.distributed import TCPStore

from tests.fork_server import server

SECONDS = 120


def in_two_processes(function: Callable[..., None], *arguments: Any) -> None:
    """Call a function of a module in two processes, in each of which ``joined_processes`` finds the other."""
    context = server()
    store = TCPStore("localhost", 0, is_master=True, wait_for_workers=False)
    processes = [
        context.Process(target=_member, args=(rank, store.port, function, arguments), daemon=True) for rank in range(2)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(SECONDS)
    codes = [process.exitcode for process in processes]
    for process in processes:
        process.kill()
    assert codes == [0, 0]


def _member(rank: int, port: int, function: Callable[..., None], arguments: tuple[Any, ...]) -> None:
    torch.set_num_threads(1)
    os.environ |= {
        **{"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": "2"},
        **{"MASTER_ADDR": "localhost", "MASTER_PORT": str(port), "TORCHELASTIC_USE_AGENT_STORE": "True"},
    }
    function(*arguments)
