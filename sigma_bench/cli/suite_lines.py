"""Terminal output of a suite: its plan, one line per finished task, and the failures at the end."""

import math
from typing import TYPE_CHECKING

from rich.markup import escape
from rich.table import Table

from sigma_bench.api.progress import err, is_main_process, progress_bars
from sigma_bench.cli.console import out

if TYPE_CHECKING:
    from rich.progress import Progress

    from sigma_bench.api.evaluation import OpenSuite, TaskResult
    from sigma_bench.models.encoder import Encoder


def run_and_show(suite: "OpenSuite") -> bool:
    """Run the tasks, print one line per task, and print the failures at the end.

    Returns:
        Whether a task failed.

    Raises:
        ValueError, LoggedError: the only task failed.
    """
    from sigma_bench.api.evaluation import raise_failure

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
        for result in failed:
            err.print(escape(f"{result.planned.task.task}: {result.failure}"), soft_wrap=True)
    return bool(failed)


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


def show_plan(suite: "OpenSuite") -> None:
    """Print one line per task, with its state and the number of clips that will pass through the encoder."""
    plan = suite.plan
    to_do = sum(planned.clips for planned in plan)
    each = _seconds_per_clip(suite.encoder) if to_do else 0.0
    listing = Table(box=None, header_style="bold", pad_edge=False)
    for column in ("task", "protocol", "state", "clips through the encoder", "about"):
        listing.add_column(column, justify="right" if column in ("clips through the encoder", "about") else "left")
    for planned in plan:
        clips = planned.clips
        shown = (f"{clips:,}", _duration(clips * each)) if clips else ("", "")
        listing.add_row(escape(planned.task.task), planned.task.protocol.protocol, planned.state, *shown)
    out.print(listing)
    for note in dict.fromkeys(planned.note for planned in plan if planned.note):
        names = ", ".join(planned.task.task for planned in plan if planned.note == note)
        out.print(f"{names}: {note}", soft_wrap=True, markup=False)
    out.print(
        f"{suite.encoder.card.model}: {len(plan)} tasks, {to_do:,} clips, about {_duration(to_do * each)} of encoding "
        "and training, decoding not counted",
        markup=False,
    )


def _seconds_per_clip(encoder: "Encoder") -> float:
    """Measured time per clip; NaN for an encoder that fails, whose error is reported when its tasks are run."""
    from sigma_bench.evaluation.plan import seconds_per_clip

    try:
        return seconds_per_clip(encoder)
    except Exception:
        return math.nan


def _duration(seconds: float) -> str:
    if math.isnan(seconds):
        return "unknown"
    hours, rest = divmod(round(seconds), 3600)
    return f"{hours} h {rest // 60:02d} min" if hours else f"{rest // 60} min {rest % 60:02d} s"
