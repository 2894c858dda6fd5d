"""An exception of one process is raised by all, whatever its kind; the processes stay in step."""

import pytest
import torch

from sigma_bench.training.distribution import Processes, joined_processes
from sigma_bench.training.processes import ProcessError, on_all, on_main, shared
from tests.two_processes import in_two_processes


class OddError(ValueError):
    """A ValueError that cannot be unpickled from its message."""

    def __init__(self, first: str, second: str) -> None:
        super().__init__(f"{first} {second}")


def fail(kind: str) -> None:
    if kind == "value":
        raise ValueError("bad input")
    if kind == "odd":
        raise OddError("bad", "input")
    raise torch.OutOfMemoryError("tried to allocate 29.00 GiB")


def fail_in_every_way(kind: str, sentence: str) -> None:
    with joined_processes("cpu") as processes:

        def on_one(rank: int) -> None:
            if processes.rank == rank:
                fail(kind)

        expected = ProcessError if kind == "memory" else ValueError
        for rank in range(2):
            with pytest.raises(expected, match=sentence):
                on_all(processes, lambda rank=rank: on_one(rank))  # type: ignore[misc]
            with pytest.raises(expected, match=sentence):
                shared(processes, [0, 1], lambda item, rank=rank: on_one(rank), lambda done, total: None)  # type: ignore[misc]
        with pytest.raises(expected, match=sentence):
            on_main(processes, lambda: fail(kind))
        assert processes.total(1) == 2  # still in step
        with pytest.raises(expected, match=sentence):  # one gives up outside; the other meets it where it waits
            on_all(processes, lambda: fail(kind) if processes.rank == 1 else on_main(processes, lambda: None))
        assert on_all(processes, lambda: processes.rank) == [0, 1]


@pytest.mark.parametrize(
    ("kind", "sentence"),
    [("value", "bad input"), ("odd", "bad input"), ("memory", r"OutOfMemoryError: tried to allocate 29.00 GiB \(")],
)
def test_an_exception_of_one_process_is_raised_by_both(kind: str, sentence: str) -> None:
    in_two_processes(fail_in_every_way, kind, sentence)


def test_alone_the_exception_itself_is_raised_with_its_traceback() -> None:
    with pytest.raises(torch.OutOfMemoryError) as caught:
        shared(Processes(torch.device("cpu")), [1], lambda item: fail("memory"), lambda done, total: None)
    assert caught.traceback[-1].name == "fail"
