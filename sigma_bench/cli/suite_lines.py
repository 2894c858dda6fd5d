"""Terminal output of ``evaluate``: the plan of its tasks, one line per finished task, and the failures at the end."""

from dataclasses import replace
from typing import TYPE_CHECKING

from rich.markup import escape
from rich.table import Table

from sigma_bench.api.progress import err, is_main_process, progress_bars
from sigma_bench.cli.console import out

if TYPE_CHECKING:
    from rich.progress import Progress

    from sigma_bench.api.open_suite import OpenSuite, TaskResult


def run_and_show(suite: "OpenSuite") -> int:
    """Run the tasks, print one line per task, and print the failures at the end.

    Returns:
        Number of tasks that failed.

    Raises:
        ValueError, LoggedError: the only task failed.
    """
    from sigma_bench.api.open_suite import raise_failure

    failed: list[TaskResult] = []
    with progress_bars() as bars:
        for result in suite.run(bars):
            if result.found is None:
                failed.append(result)
            _show_line(bars, suite, result)
    if len(suite.plan) == 1 and failed:
        raise_failure(failed[0])
    if failed and is_main_process():
        names = ", ".join(result.planned.task.task for result in failed)
        err.print(f"[bold red]{len(failed)} of {len(suite.plan)} tasks failed:[/] {escape(names)}")
        for failure in dict.fromkeys(result.failure for result in failed):
            names = ", ".join(result.planned.task.task for result in failed if result.failure == failure)
            err.print(escape(f"{names}: {failure}"), soft_wrap=True)
    return len(failed)


def _show_line(bars: "Progress", suite: "OpenSuite", result: "TaskResult") -> None:
    """Print the first score of a task, or that it failed, above the progress bar; only the main process prints."""
    from sigma_bench.leaderboard.numbers import number

    if not is_main_process():
        return
    name = f"{suite.encoder.card.model:24} {result.planned.task.task:28}"
    if result.found is None:
        if len(suite.plan) > 1:
            bars.console.print(f"{escape(name)} [red]failed[/]", soft_wrap=True)
        return
    score = result.found.record.scores[0]
    value, low, high = (number(one, score.metric) for one in (score.value, score.interval.low, score.interval.high))
    where = "recorded before" if result.found.was_there else result.found.path.name
    if result.found.record.is_partial:
        where = f"partial, limit {result.found.record.data.limit}  {where}"
    bars.console.print(f"{name} {score.metric} {value:>5} ({low} to {high})  {where}", markup=False)


def with_costs(suite: "OpenSuite") -> "OpenSuite":
    """The suite with the predicted time of its tasks."""
    from sigma_bench.evaluation.plan import with_costs as predicted

    return replace(suite, plan=predicted(suite.plan, suite.encoder, suite.cache, suite.processes.device))


def show_plan(suite: "OpenSuite", *, with_failures: bool) -> None:
    """Print one line per task, with its state, the number of clips to encode and the predicted time.

    Args:
        with_failures: whether to print why a task cannot be run; otherwise the run prints it at its end.
    """
    plan = suite.plan
    listing = Table(box=None, header_style="bold", pad_edge=False)
    for column in ("task", "protocol", "state", "clips", "decoding", "encoding", "head", "together"):
        listing.add_column(column, justify="left" if column in ("task", "protocol", "state") else "right")
    for planned in plan:
        clips, cost = planned.clips, planned.predicted
        times = () if cost is None else (cost.decoding, cost.encoding, cost.head, cost.seconds)
        shown = (f"{clips:,}" if clips else "", *map(_range, times))
        listing.add_row(escape(planned.task.task), planned.task.protocol.protocol, planned.state, *shown)
    out.print(listing)
    noted = [planned for planned in plan if with_failures or planned.state != "cannot be run"]
    for note in dict.fromkeys(planned.note for planned in noted if planned.note):
        names = ", ".join(planned.task.task for planned in noted if planned.note == note)
        out.print_plain(f"{names}: {note}")
    costs = [planned.predicted for planned in plan if planned.predicted is not None]
    low, high = (sum(cost.seconds[end] for cost in costs) for end in (0, 1))
    unknown = [planned.task.task for planned in plan if planned.predicted and planned.predicted.head is None]
    left_out = f"; work on the features is not predicted for {', '.join(unknown)}" if unknown else ""
    out.print_plain(
        f"{suite.encoder.card.model}: {len(plan)} tasks, {sum(planned.clips for planned in plan):,} clips, "
        f"{_range((low, high))} after start-up{left_out}"
    )


def _range(seconds: "tuple[float, float] | None") -> str:
    """The range of a time, such as ``12 to 20 s``; empty for none."""
    if seconds is None:
        return ""
    low, high = map(_duration, seconds)
    return low if low == high else f"{low} to {high}"


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
