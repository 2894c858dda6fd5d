"""``--nproc``: run the same command in several processes on this machine by torchrun's launcher."""

import logging
import os
import sys
import uuid

from sigma_bench.cli.console import err


def is_launched() -> bool:
    """Whether this process was started by torchrun or by ``run_on_processes``."""
    return "WORLD_SIZE" in os.environ


def run_on_processes(num_processes: int) -> int:
    """Run the command line of this process on ``num_processes`` processes; returns the exit code."""
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    logging.getLogger("torch.distributed.elastic").setLevel(
        logging.CRITICAL
    )  # this program prints its own error message
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // num_processes)))
    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=num_processes,
        run_id=uuid.uuid4().hex,
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        max_restarts=0,
        monitor_interval=0.2,
    )
    try:
        elastic_launch(config, sys.executable)("-m", "sigma_bench", *sys.argv[1:])
    except ChildFailedError as error:
        rank, failure = error.get_first_failure()
        if failure.exitcode < 0:
            err.print(
                f"[bold red]error:[/] process {rank} was killed by signal {-failure.exitcode}; "
                "the same command continues from the last checkpoint",
                soft_wrap=True,
            )
        return failure.exitcode if failure.exitcode > 0 else 128 - failure.exitcode
    except SignalException as error:
        return 128 + int(error.sigval)
    return 0
