"""Suites on the command line: failed tasks are named and do not stop other tasks; the cache is listed and emptied."""

import json
import os
import shutil
import textwrap
from pathlib import Path

import pytest

from sigma_bench.records.record import Record
from sigma_bench.records.store import Store
from sigma_bench.resources import INCLUDE_VARIABLE
from tests.cli.test_cli import run
from tests.fork_server import Command
from tests.models.test_custom import MODULE

MODEL = "statistics:mini_videomae"


def without_circumstances(record: Record) -> Record:
    return record.model_copy(update={"provenance": None})


def test_a_failed_task_does_not_stop_the_others(world, tmp_path, monkeypatch, capsys) -> None:
    root = tmp_path / "half"
    shutil.copytree(world / "ssv2", root / "ssv2")
    tasks = ["--task", "ucf101/knn", "--task", "ssv2/knn"]
    code, out, err = run(monkeypatch, capsys, "evaluate", MODEL, *tasks, "--data", root, "--output", tmp_path / "out")
    assert code == 1
    assert "UCF101 is not here" in " ".join(err.split())
    assert "1 of 2 tasks failed: ucf101/knn" in " ".join(err.split())
    assert [record.task.task for _, record in Store(tmp_path / "out").records()] == ["ssv2/knn"]
    assert "cannot be run" in out and f"records in {tmp_path / 'out' / 'records'}" in out
    assert (out + err).count("UCF101 is not here") == 1


def test_one_reason_of_several_failures_is_said_once_and_no_records_are_named(tmp_path, monkeypatch, capsys) -> None:
    tasks = ["--task", "ucf101/knn", "--task", "ucf101/linear"]
    code, out, err = run(monkeypatch, capsys, "evaluate", MODEL, *tasks, "--data", tmp_path, "--output", tmp_path / "o")
    assert code == 1 and "ucf101/knn, ucf101/linear: " in " ".join(err.split())
    assert (out + err).count("UCF101 is not here") == 1 and "records in" not in out


def test_names_in_brackets_are_shown_as_they_are(world, tmp_path, monkeypatch, capsys) -> None:
    """A name is no style of rich's: '[/v2]' was an error of its markup, '[v2]' was not shown."""
    module = textwrap.dedent(MODULE).replace('name="mine"', 'name="mine[/v2]"')
    (tmp_path / "mine_in_brackets.py").write_text(module)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    output = tmp_path / "out[v1]"
    words = ("evaluate", "mine_in_brackets:build", "--task", "ssv2/knn", "--data", world, "--output", output)
    code, out, err = run(monkeypatch, capsys, *words)
    assert code == 0 and "mine[/v2]" in out + err and f"records in {output}/records" in out
    code, out, _ = run(monkeypatch, capsys, "cache", "ls", "--output", output)
    assert code == 0 and "mine[/v2]" in out


def test_a_dry_run_computes_nothing(world, tmp_path, monkeypatch, capsys) -> None:
    output = tmp_path / "out"
    code, out, _ = run(
        monkeypatch, capsys, "evaluate", MODEL, "--task", "ssv2/knn", "--data", world, "--output", output, "--dry-run"
    )
    assert (code, output.exists()) == (0, False)
    assert "120 clips" in out


def test_cached_features_are_listed_and_removed(world, tmp_path, monkeypatch, capsys) -> None:
    place = ["--output", tmp_path]
    run(monkeypatch, capsys, "evaluate", MODEL, "--task", "ssv2/knn", "--data", world, *place)
    _, out, _ = run(monkeypatch, capsys, "cache", "ls", *place)
    assert "2 entries" in out
    assert "test (40)" in out
    assert run(monkeypatch, capsys, "cache", "rm", "nothing", *place)[0] == 2
    assert run(monkeypatch, capsys, "cache", "rm", "--model", "image_statistics", *place)[0] == 0
    assert list((tmp_path / "features").iterdir()) == []


def test_the_cache_has_a_limit(world, tmp_path, monkeypatch, capsys) -> None:
    limit = ["--cache-limit", "0.000001"]
    code, _, err = run(
        monkeypatch, capsys, "evaluate", MODEL, "--task", "ssv2/knn", "--data", world, "--output", tmp_path, *limit
    )
    assert code == 2
    assert "make room with 'sigma-bench cache rm', or raise --cache-limit" in " ".join(err.split())


def test_a_dry_run_says_why_a_task_cannot_be_run(world, tmp_path, monkeypatch, capsys) -> None:
    words = ["evaluate", MODEL, "--data", world, "--output", tmp_path, "--dry-run", "--task", "ssv2/knn"]
    code, out, _ = run(monkeypatch, capsys, *words)
    assert code == 0 and "cannot be run" not in out
    labels = tmp_path / "data" / "ssv2" / "labels"
    labels.mkdir(parents=True)
    words[3] = tmp_path / "data"
    code, out, _ = run(monkeypatch, capsys, *words)
    assert code == 1 and "cannot be run" in out
    words.remove("--dry-run")
    code, _, err = run(monkeypatch, capsys, *words)
    assert code == 2
    assert "".join(err.partition("error:")[2].split()) in "".join(out.partition("ssv2/knn:")[2].split())


def test_a_task_file_in_the_current_folder_needs_no_path(world, tmp_path, monkeypatch, capsys) -> None:
    text = "task: mine/knn5\ndataset: ssv2\nprotocol: knn@1\n"
    monkeypatch.chdir(tmp_path)
    for name in ("mine.yaml", "mine.yml"):
        (tmp_path / name).write_text(text)
        code, out, _ = run(monkeypatch, capsys, "evaluate", MODEL, "--task", name, "--data", world, "--dry-run")
        assert code == 0 and "mine/knn5" in out
        assert run(monkeypatch, capsys, "check", name)[0] == 0


def test_check_of_a_task_file(world, tmp_path, monkeypatch, capsys) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("task: mine/knn5\ndataset: ssv2\nprotocol: knn@1\noverrides: {neighbours: 5}\n")
    code, out, _ = run(monkeypatch, capsys, "check", path, "--data", world)
    assert code == 0
    assert "test: expected 40, found 40" in out
    path.write_text(path.read_text().replace("neighbours", "neighbors"))
    code, _, err = run(monkeypatch, capsys, "check", path)
    assert code == 2
    assert "Did you mean 'neighbours'" in " ".join(err.split())


@pytest.mark.slow
def test_two_processes_leave_the_same_record_as_one(world: Path, tmp_path: Path, monkeypatch, capsys) -> None:
    """Also of a task whose protocol is declared in an included folder, which both processes see."""
    protocols = tmp_path / "lab" / "tasks" / "protocols"
    protocols.mkdir(parents=True)
    (protocols / "knn5@1.yaml").write_text("protocol: knn5@1\nbase: knn@1\nsummary: five neighbours\nneighbours: 5\n")
    (tmp_path / "mine.yaml").write_text("task: mine/knn5\ndataset: ssv2\nprotocol: knn5@1\n")
    monkeypatch.setenv(INCLUDE_VARIABLE, "")
    tasks = ["--task", str(tmp_path / "mine.yaml"), "--task", "davis2017/clustering"]
    included = ["--include", str(tmp_path / "lab")]
    base = ["evaluate", "random:mini_videomae", *tasks, "--data", str(world), "--device", "cpu", *included]
    code, _, said = run(monkeypatch, capsys, *base, "--output", tmp_path / "1")
    assert (code, said.count(" top1 ")) == (0, 1)
    code, _, said = Command(*base, "--output", tmp_path / "2", "--nproc", "2", folder=tmp_path).end()
    assert (code, said.count(" top1 ")) == (0, 1)  # one process speaks
    one, two = (
        {
            record.task.task: record.model_copy(update={"provenance": None})
            for _, record in Store(tmp_path / n).records()
        }
        for n in ("1", "2")
    )
    assert len(one) == 2
    assert one == two


FAILS_ON_STILLS = """
    import multiprocessing, os, signal, time
    import torch
    from tests.models.tubes import tubes_encoder

    def out_of_memory():
        raise torch.OutOfMemoryError("tried to allocate 29.00 GiB")

    def killed_worker():
        for worker in multiprocessing.active_children():
            os.kill(worker.pid, signal.SIGKILL)
        time.sleep(10)

    def failing(fail, least):
        def change(token, clip):
            if len(clip) > least and bool((clip[:, :, 1:] == clip[:, :, :1]).all()):
                fail()
            return token
        return tubes_encoder(change)

    def memory():
        return failing(out_of_memory, 0)

    def worker():
        return failing(killed_worker, 2)
"""


@pytest.fixture
def fails_on_stills(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A module with encoders that fail on CIFAR-100, whose clips are still images."""
    (tmp_path / "fails_on_stills.py").write_text(textwrap.dedent(FAILS_ON_STILLS))
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path / "out"


@pytest.mark.parametrize(
    ("function", "options", "sentence"),
    [
        (
            "memory",
            [],
            "model 'tubes': one clip of 8 frames x 32 px does not fit into the memory of the device (tried to "
            "allocate 29.00 GiB)",
        ),
        ("worker", ["--num-workers", "1"], "a process that decodes videos was killed"),
    ],
)
def test_any_exception_of_a_task_is_one_sentence_and_the_others_run(
    function, options, sentence, fails_on_stills, world, monkeypatch, capsys
) -> None:
    words = ["evaluate", f"fails_on_stills:{function}", "--data", world, "--output", fails_on_stills, *options]
    tasks = ["--task", "cifar100/knn", "--task", "ssv2/knn"]
    code, _, err = run(monkeypatch, capsys, *words, *tasks)
    said = " ".join(err.split())
    assert code == 1 and "Traceback" not in err
    assert f"1 of 2 tasks failed: cifar100/knn cifar100/knn: {sentence}" in said
    assert [record.task.task for _, record in Store(fails_on_stills).records()] == ["ssv2/knn"]
    logs = fails_on_stills / "logs"
    is_logged = function == "worker"  # a clip that does not fit into memory is a mistake that the user can mend
    for log in logs.iterdir() if is_logged else ():
        assert f"traceback in {log}" in said and "Traceback (most recent call last)" in log.read_text()
    assert logs.exists() == is_logged

    code, _, err = run(monkeypatch, capsys, *words, *tasks[:2])
    assert code == (1 if is_logged else 2) and "Traceback" not in err and len(err.splitlines()) < 5
    assert f"error: {sentence}" in " ".join(err.split())
    assert not is_logged or len(list(logs.iterdir())) == 2


@pytest.mark.slow
def test_an_exception_of_one_process_in_the_middle_of_training_ends_the_run_of_both(
    fails_on_stills: Path, world: Path, tmp_path: Path
) -> None:
    """The other process waits for gradients that never arrive."""
    module = """
        import os
        import torch
        from tests.models.tubes import SHAPE, Tubes
        from sigma_bench.models.encoder import Backbone
        from sigma_bench.models.custom_encoder import as_encoder

        class Failing(Backbone):
            def __init__(self, tubes):
                super().__init__()
                self.tubes = tubes.requires_grad_(True)

            def forward(self, clip):
                if os.environ["RANK"] == "1":
                    raise torch.OutOfMemoryError("tried to allocate 29.00 GiB")
                return self.tubes(clip)

        def build():
            encoder = as_encoder(Tubes(), name="trainable", **SHAPE)
            encoder.backbone = lambda drop_path: Failing(Tubes())
            return encoder
    """
    (tmp_path / "one_sided.py").write_text(textwrap.dedent(module))
    path = os.pathsep.join([str(Path(__file__).resolve().parents[2]), str(tmp_path)])
    words = ["evaluate", "one_sided:build", "--task", "ssv2/finetune_mini", "--data", world, "--nproc", "2"]
    environment = {"OMP_NUM_THREADS": "1", "PYTHONPATH": path}
    options = ["--output", tmp_path / "out", "--device", "cpu"]
    code, _, said = Command(*words, *options, folder=tmp_path, environment=environment).end()
    said = " ".join(said.split())
    assert code in (1, 2) and "Traceback" not in said, said
    assert "process 1: OutOfMemoryError: tried to allocate 29.00 GiB (one_sided.py, line 15, in forward)" in said
    assert len(list((tmp_path / "out" / "logs").iterdir())) == 1


def test_a_smoke_run_is_shown_as_partial_and_named_where_it_is_left_out(
    world: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    base = ["--task", "ssv2/kn*", "--asks", "motion", "--data", world, "--output", tmp_path, "--limit", "0.1"]
    code, out, err = run(monkeypatch, capsys, "evaluate", MODEL, *base)
    assert code == 0 and "partial, limit 0.1" in out + err
    run(monkeypatch, capsys, "table", "mini", "--output", tmp_path)
    assert "left out of 'mini', since it is partial (limit 0.1)" in caplog.text
    code, out, err = run(monkeypatch, capsys, "evaluate", MODEL, *base[:-1], "1.5")
    assert code == 2 and "give a number of samples per split" in " ".join(err.split())


def test_the_catalogue_is_printed_for_programs(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, _ = run(monkeypatch, capsys, "tasks", "davis2016/*", "--json")
    rows = json.loads(out)
    assert code == 0 and {row["task"] for row in rows} >= {"davis2016/propagation"}
    assert set(rows[0]) == {"task", "dataset", "protocol", "asks", "metrics", "fingerprint"}
    assert {row["asks"] for row in rows} == {"segmentation"}
    code, _, err = run(monkeypatch, capsys, "tasks", "davis2018/*")
    assert code == 2 and "no task matches 'davis2018/*'. Did you mean" in " ".join(err.split())
