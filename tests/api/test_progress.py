"""Progress of long work in a file: lines now and then, and the finished bars at the end."""

import io

import pytest

from sigma_bench.api import progress


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    file = io.StringIO()
    monkeypatch.setattr(progress, "err", progress.HarmlessConsole(file=file, highlight=False, width=80))
    return file


def work(display: progress.Progress, steps: int) -> None:
    bar = display.add_task("encoding", total=steps)
    for done in range(steps):
        display.update(bar, completed=done + 1)


def test_a_file_gets_lines_during_the_work(log: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress.PlainProgress, "seconds_between_drawings", 0.0)
    with progress.progress_bars() as display:
        display.add_task("waiting", total=4)
        work(display, 4)
        during = log.getvalue()
    assert [share in during for share in (" 25%", " 50%", " 75%", "100%")] == [True, True, True, False]
    assert log.getvalue().count("100%") == 1 and "waiting" in log.getvalue()


def test_short_work_has_one_line_at_its_end(log: io.StringIO) -> None:
    with progress.progress_bars() as display:
        work(display, 50)
        assert log.getvalue() == ""
    assert log.getvalue().count("encoding") == 1 and "100%" in log.getvalue()


def test_disabled_bars_write_nothing(log: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress.PlainProgress, "seconds_between_drawings", 0.0)
    with progress.progress_bars(disable=True) as display:
        work(display, 3)
    assert log.getvalue() == ""
