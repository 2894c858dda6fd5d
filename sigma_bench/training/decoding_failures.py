"""Decoding failures in training: such videos are left out and counted, up to the share that the plan allows.

They are not replaced, so a batch may have fewer clips; its gradient is the mean over the clips that it has.
"""

import json
from collections.abc import Mapping
from pathlib import Path

from sigma_bench.records.store import write_atomically
from sigma_bench.training.batches import LocalBatch
from sigma_bench.training.distribution import Processes
from sigma_bench.training.run_plan import Plan

FAILURES_NAME = "decoding_failures.json"


class DecodingFailures:
    """Id -> reason for the videos that any process could not read so far, also as a file in the folder of the run."""

    def __init__(self, plan: Plan, processes: Processes, folder: Path, *, num_listed: int) -> None:
        self._plan, self._processes, self._path = plan, processes, folder / FAILURES_NAME
        self._num_listed = num_listed
        self.reasons: dict[str, str] = {}
        if processes.is_main:  # the file may be of an earlier attempt
            self._path.unlink(missing_ok=True)

    def __len__(self) -> int:
        return len(self.reasons)

    def weigh(self, local: LocalBatch) -> float:
        """Number of examples of this process relative to the mean over processes, which gives all clips the same
        weight.

        Raises:
            ValueError: no video in the part of one process can be read, or more fail than the plan allows.
        """
        expected = self._plan.optim.global_batch
        count = expected // self._processes.size - len(local.failures)
        total = self._processes.total(count)
        if total == expected:
            return 1.0
        for reasons in self._processes.gathered(local.failures):
            self.add(reasons)
        if self._processes.any(count == 0):
            raise ValueError(
                f"{self._plan.name}, step {local.step + 1}: no video of one process's part of the batch "
                f"can be read; all are in {self._path}"
            )
        return count * self._processes.size / total

    def add(self, reasons: Mapping[str, str]) -> None:
        """Add videos that cannot be read.

        Raises:
            ValueError: there are now more than the plan allows.
        """
        if not reasons.keys() - self.reasons.keys():
            return
        self.reasons.update(reasons)
        if self._processes.is_main:
            write_atomically(self._path, json.dumps(self.reasons, indent=1).encode())
        allowed = self._plan.max_broken_share
        if len(self) > allowed * self._num_listed:
            raise ValueError(
                f"{next(iter(self.reasons.values()))}; {len(self)} of the {self._num_listed} training videos "
                f"cannot be read, more than the {allowed:.1%} that {self._plan.name} allows "
                f"(max_broken_share); all are in {self._path}"
            )
