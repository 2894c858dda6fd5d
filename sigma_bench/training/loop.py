"""The training loop, which can be resumed at every checkpoint and runs on any number of processes."""

import json
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from sigma_bench.data.manifest import Sample
from sigma_bench.records.store import write_atomically
from sigma_bench.training.accumulation import accumulate_gradients, distributed
from sigma_bench.training.batches import Batches, LocalBatch, killed_workers_named
from sigma_bench.training.decoding_failures import DecodingFailures
from sigma_bench.training.distribution import Processes, keep_freed_memory, lost_peers_named, one_sided_errors_named
from sigma_bench.training.method import Method
from sigma_bench.training.monitoring import (
    LOG_EVERY_STEPS,
    EventWriter,
    LossWindow,
    NotFiniteError,
    Progress,
    warn_of_collapse,
)
from sigma_bench.training.optimiser import learning_rate, set_learning_rate
from sigma_bench.training.resume import STATE_NAME, Done, load_state, save_state
from sigma_bench.training.run_plan import Plan, RunOptions
from sigma_bench.training.step import DivergedError, StepOutput
from sigma_bench.training.termination import Preempted, stop_flag

DIVERGED_NAME = "diverged_batch.json"
Report = Callable[[Progress], None]


@dataclass
class Run:
    """State of one run of the loop."""

    plan: Plan
    identity: str
    seed: int
    folder: Path
    processes: Processes
    options: RunOptions
    batches: Batches
    method: Method
    optimiser: torch.optim.Optimizer
    first: int
    """First step of this attempt: the number of steps that earlier attempts have finished."""
    history: list[dict[str, float]]
    failures: DecodingFailures


def train(
    plan: Plan,
    method: Method,
    samples: Sequence[Sample],
    *,
    identity: str,
    seed: int,
    folder: Path,
    processes: Processes,
    options: RunOptions = RunOptions(),
    report: Report = lambda progress: None,
) -> tuple[nn.Module, list[dict[str, float]]]:
    """Train a method to the end of a plan, continuing from ``folder`` if a run was stopped there.

    Args:
        method: method with initial weights; it is trained in place.
        identity: digest of everything that can change a weight; a saved state with another identity is refused.
        folder: folder of the run, for its state and logs.
        report: is called on the main process with the progress, every ``LOG_EVERY_STEPS`` steps.

    Returns:
        The trained model and the training history, one row per report.

    Raises:
        ValueError: too few videos, a batch that does not divide, a state of another run, or a loss that is not finite.
        Preempted: the process received a signal to stop; the state is saved.
    """
    if processes.device.type == "cpu":
        keep_freed_memory()
    missing = {sample.id: f"{sample.path}: not found" for sample in samples if not sample.path.exists()}
    failures = DecodingFailures(plan, processes, folder, num_listed=len(samples))
    failures.add(missing)
    batches = Batches(plan, [sample for sample in samples if sample.id not in missing], processes, options, seed=seed)
    method.to(processes.device)
    optimiser = method.build_optimiser()
    done = load_state(folder / STATE_NAME, method.model, optimiser, identity=identity)
    failures.add(done.failures)
    first, history = done.steps, done.history
    run = Run(plan, identity, seed, folder, processes, options, batches, method, optimiser, first, history, failures)
    with torch.random.fork_rng(devices=[processes.device] if processes.device.type == "cuda" else []):
        try:
            with killed_workers_named(), one_sided_errors_named(processes), lost_peers_named(processes):
                _all_steps(run, report)
        except NotFiniteError as error:
            raise ValueError(_divergence_sentence(run, error)) from error
    return method.model, run.history


def _all_steps(run: Run, report: Report) -> None:
    """Take all remaining steps; when to log and to save depends on the number of the step only."""
    module, window, last = distributed(run.method, run.processes), LossWindow(run.processes), run.batches.num_steps
    started, waited = time.monotonic(), 0.0
    with (
        EventWriter(run.folder, first=run.first, active=run.plan.keeps_events and run.processes.is_main) as events,
        stop_flag() as stop,
    ):
        for local in run.batches.starting_at(run.first, run.method):
            step, waited = local.step, waited + local.waited
            try:
                window.add(step, _one_step(run, module, local))
            except DivergedError as error:
                window.close()  # raises for an earlier loss of this window that is not finite
                raise NotFiniteError(step, float("nan")) from error
            done, is_stopping = step + 1, run.processes.any(stop.received is not None)
            if done % LOG_EVERY_STEPS == 0 or done == last:
                progress = _progress(run, window, done, time.monotonic() - started, waited)
                run.history.append(progress.as_row())
                if run.processes.is_main:
                    warn_of_collapse(progress, run.method.collapsed_below)
                    events.write(progress)
                    report(progress)
            if is_stopping or done % run.plan.checkpoint_every_steps == 0 or done == last:
                window.close()  # a state is saved only after all losses so far are known to be finite
                _save(run, done)
            if is_stopping:
                raise Preempted(done, stop.received or signal.SIGTERM)


def _one_step(run: Run, module: nn.Module, local: LocalBatch) -> StepOutput:
    """One optimiser step; torch's random numbers in it depend on seed, step and rank."""
    step, weight = local.step, run.failures.weigh(local)
    torch.manual_seed(int(np.random.SeedSequence([run.seed, step, run.processes.rank]).generate_state(1)[0]))
    optim, batches = run.plan.optim, run.batches
    set_learning_rate(run.optimiser, learning_rate(optim, step, batches.num_steps, batches.steps_per_epoch))
    run.optimiser.zero_grad(set_to_none=True)
    output = accumulate_gradients(
        module,
        run.method,
        local.example,
        num_micro_batches=run.options.num_micro_batches,
        weight=weight,
        bfloat16=optim.precision == "bfloat16",
    )
    run.optimiser.step()
    run.method.after_update(step, batches.num_steps)
    return output


def _progress(run: Run, window: LossWindow, done: int, seconds: float, waited: float) -> Progress:
    loss, monitors = window.close()
    speed = (done - run.first) * run.plan.optim.global_batch / seconds
    rate = run.optimiser.param_groups[0]["lr"]
    numbers = (loss, rate, monitors, speed, waited / seconds, len(run.failures))
    return Progress(done, run.batches.num_steps, *numbers, first_step=run.first)


def _save(run: Run, done: int) -> None:
    """Save the state on the main process; all processes wait for it and raise its ValueError."""
    problem: ValueError | None = None
    if run.processes.is_main:
        path = run.folder / STATE_NAME
        state = Done(done, run.history, run.failures.reasons)
        try:
            save_state(path, run.method.model, run.optimiser, identity=run.identity, done=state)
        except ValueError as error:
            problem = error
    problem = run.processes.gathered(problem)[0]
    if problem is not None:
        raise problem


def _divergence_sentence(run: Run, error: NotFiniteError) -> str:
    """The error message of a diverged run; the ids of the batch are written to a file in the folder of the run."""
    ids, path = run.batches.ids_of(error.step), run.folder / DIVERGED_NAME
    if run.processes.is_main:
        write_atomically(path, json.dumps({"step": error.step + 1, "ids": ids}, indent=1).encode())
    return (
        f"{run.plan.name}: {error}; the run stops here and its last checkpoint is kept; lower the "
        f"learning rate, or look at this batch ({', '.join(ids[:4])}, ...; all in {path})"
    )
