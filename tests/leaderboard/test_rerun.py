"""The command to make a record again: what it sets leads to the record's own fingerprint, or there is none."""

import shlex

import pytest

from sigma_bench.cli.options import nested_overrides
from sigma_bench.leaderboard.rerun import rerun_command
from sigma_bench.models.zoo import load_encoder
from sigma_bench.records.record import Record
from sigma_bench.specs.catalogue import load_task, resolve
from sigma_bench.specs.fingerprint import task_fingerprint
from tests.factories import make_record


def record_of(task: str, *settings: str, model: str = "mini_sigma_mlp", pretraining_seed: int = 0) -> Record:
    resolved = resolve(load_task(task), nested_overrides(list(settings)))
    plain = make_record(model, "ucf101/knn", seed=3, pretraining_seed=pretraining_seed)
    changed = plain.model_copy(update={"task": resolved, "fingerprint": task_fingerprint(resolved)})
    return recorded_as(changed, "script.py")


def recorded_as(record: Record, *command: str) -> Record:
    return record.model_copy(update={"provenance": record.provenance.model_copy(update={"command": command})})


@pytest.mark.parametrize("task", ["ssv2/knn", "ssv2/knn+reversal", "davis2017/clustering", "ssv2/finetune_mini"])
def test_a_task_of_the_catalogue_needs_no_settings(task: str) -> None:
    expected = f"sigma-bench evaluate MODEL --task {task} --data ROOT --seed 3"
    assert rerun_command(record_of(task)) == expected


@pytest.mark.parametrize(
    "settings",
    [
        ("neighbours=5",),
        ("clip.sampling.stride_frames=2", "temperature=0.00001"),
        ("clip.sampling={sampler: uniform}",),
        ("metrics=[top1]", "uncertainty.unit=sample"),
    ],
)
def test_settings_read_by_the_command_line_give_the_same_fingerprint(settings: tuple[str, ...]) -> None:
    record = record_of("ucf101/knn", *settings)
    words = shlex.split(rerun_command(record) or "")
    found = [words[place + 1] for place, word in enumerate(words) if word == "--set"]
    assert len(found) == len(settings)
    again = resolve(load_task("ucf101/knn"), nested_overrides(found))
    assert task_fingerprint(again) == record.fingerprint != task_fingerprint(resolve(load_task("ucf101/knn")))


def test_controls_are_named_as_the_command_line_names_them() -> None:
    record = record_of("ssv2/knn", model="random_init", pretraining_seed=3)
    assert "evaluate random:RECIPE --task ssv2/knn --data ROOT --seed 3" in (rerun_command(record) or "")


def test_random_weights_of_another_seed_than_the_evaluations_name_their_own() -> None:
    command = rerun_command(record_of("ssv2/knn", model="random_init", pretraining_seed=1))
    assert command == "sigma-bench evaluate random:RECIPE@seed1 --task ssv2/knn --data ROOT --seed 3"
    name = shlex.split(command)[2].replace("RECIPE", "mini_videomae")
    assert load_encoder(name, seed=3).card == load_encoder("random:mini_videomae", seed=1).card


@pytest.mark.parametrize("suffix", ["@8x112", "@16x224"])
def test_a_model_given_clips_of_another_geometry_is_asked_for_by_it(suffix: str) -> None:
    command = rerun_command(record_of("ssv2/knn", model=f"videomae_vits{suffix}"))
    assert command == f"sigma-bench evaluate MODEL{suffix} --task ssv2/knn --data ROOT --seed 3"


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("sigma-bench evaluate runs/mine --suite frozen", "sigma-bench evaluate runs/mine"),
        ("__main__.py evaluate random:mini_dino@seed1 --seed 3", "sigma-bench evaluate random:mini_dino@seed1"),
        (
            "sigma-bench evaluate a.py:f --include=x --model-args k=1",
            "sigma-bench --include x evaluate a.py:f --model-args k=1",
        ),
        ("sigma-bench --include x --include 'y z' evaluate m", "sigma-bench --include x --include 'y z' evaluate m"),
        ("sigma-bench evaluate --seed 3 m", "sigma-bench evaluate MODEL"),
        ("sigma-bench demo --output evaluate", "sigma-bench evaluate MODEL"),
        ("script.py evaluate m --include", "sigma-bench evaluate MODEL"),
    ],
)
def test_model_and_included_folders_are_those_of_the_recorded_command(command: str, expected: str) -> None:
    record = recorded_as(record_of("ssv2/knn"), *shlex.split(command))
    assert rerun_command(record) == f"{expected} --task ssv2/knn --data ROOT --seed 3"


def test_a_task_that_is_gone_or_another_one_has_no_command() -> None:
    record = record_of("ssv2/knn")
    gone = record.task.model_copy(update={"task": "ssv2/never_was"})
    assert rerun_command(record.model_copy(update={"task": gone})) is None
    assert rerun_command(record.model_copy(update={"fingerprint": "0" * 16})) is None


def test_a_users_files_are_asked_for_by_file() -> None:
    record = record_of("ucf101/knn", "neighbours=5")
    mine = record.task.model_copy(
        update={"task": "mine/knn", "dataset": record.task.dataset.model_copy(update={"dataset": "mine"})}
    )
    own = record.model_copy(
        update={
            "task": mine,
            "fingerprint": task_fingerprint(mine),
            "data": record.data.model_copy(update={"world": "user"}),
        }
    )
    expected = "sigma-bench evaluate MODEL --csv FILE --protocol knn@1 --folds official --seed 3 --set neighbours=5"
    assert rerun_command(own) == expected
