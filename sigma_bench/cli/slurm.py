"""``sigma-bench slurm``: submit a command to SLURM, one task per GPU, requeued when it is preempted."""

import runpy
import sys
from collections.abc import Sequence
from pathlib import Path

import typer

from sigma_bench.cli.console import out
from sigma_bench.cli.options import finite


class Command:
    """A sigma-bench command line that every task of a job runs; a requeued job continues from its last checkpoint."""

    def __init__(self, arguments: Sequence[str]) -> None:
        self.arguments = list(arguments)

    def __call__(self) -> None:
        from submitit.helpers import TorchDistributedEnvironment

        TorchDistributedEnvironment().export()
        sys.argv = ["sigma-bench", *self.arguments]
        try:
            runpy.run_module("sigma_bench", run_name="__main__")
        except SystemExit as leave:
            if leave.code:  # for submitit, a task that exits without an exception is a success
                raise RuntimeError(f"{' '.join(sys.argv)}: ended with exit code {leave.code}") from leave

    def checkpoint(self) -> object:
        """The same command, which submitit queues again when SLURM preempts the job."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(Command(self.arguments))


def slurm(
    command: list[str] = typer.Argument(..., help="After '--': the command, such as pretrain RECIPE --data DATA."),
    nodes: int = typer.Option(1, min=1, help="Number of machines."),
    tasks: int = typer.Option(1, min=1, help="Number of processes per machine, one per GPU."),
    gpus: int = typer.Option(1, min=0, help="Number of GPUs per machine."),
    cpus: int = typer.Option(8, min=1, help="Number of CPU cores per process, for --num-workers."),
    hours: float = typer.Option(
        24, callback=finite, help="Time limit in hours; a job that reaches it is queued again and continues."
    ),
    partition: str = typer.Option(None, help="SLURM partition."),
    cluster: str = typer.Option("slurm", help="slurm, or local to run the job on this machine."),
    logs: Path = typer.Option(Path("results/slurm"), help="Folder for the output of the job."),
) -> None:
    r"""Submit a command to SLURM (needs the extra: pip install sigma-bench\[slurm])."""
    try:
        import submitit
    except ModuleNotFoundError as error:
        raise ValueError("submitit is not installed; pip install sigma-bench[slurm]") from error
    try:
        executor = submitit.AutoExecutor(folder=logs, cluster=cluster)
    except (RuntimeError, ValueError) as error:
        raise ValueError(f"--cluster {cluster}: {error}; use --cluster local to run the job on this machine") from error
    executor.update_parameters(
        name="sigma-bench",
        nodes=nodes,
        tasks_per_node=tasks,
        gpus_per_node=gpus,
        cpus_per_task=cpus,
        timeout_min=round(hours * 60),
        **({"slurm_partition": partition} if partition else {}),
    )
    job = executor.submit(Command(command))
    out.print_plain(f"job {job.job_id}; output in {job.paths.stdout}")
    if cluster == "local":
        try:
            job.results()
        except submitit.core.utils.FailedJobError as error:
            raise ValueError(f"the job failed; see {job.paths.stderr}: {_reason(job.stderr())}") from error
        out.print(job.stdout() or "")


def _reason(text: str | None) -> str:
    """The error message of the command, or the last line that it printed."""
    lines = (text or "it printed nothing").strip().splitlines()
    return next((line for line in reversed(lines) if line.startswith("error:")), lines[-1])
