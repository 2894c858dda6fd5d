"""Everything that ships under pretrain/ and tasks/ loads, resolves and refers to things that exist."""

import json
from pathlib import Path

import pytest

from sigma_bench.resources import declarations
from sigma_bench.specs import catalogue
from sigma_bench.specs.fingerprint import FINGERPRINT_LENGTH, recipe_fingerprint, task_fingerprint


@pytest.mark.parametrize("name", catalogue.recipe_names())
def test_recipe(name):
    recipe = catalogue.load_recipe(name)
    assert recipe.recipe == name
    assert len(recipe_fingerprint(recipe)) == FINGERPRINT_LENGTH
    assert set(recipe.data.datasets) <= set(catalogue.dataset_names())


@pytest.mark.parametrize("name", catalogue.dataset_names())
def test_dataset(name):
    assert catalogue.load_dataset(name).dataset == name


@pytest.mark.parametrize("name", catalogue.protocol_names())
def test_protocol(name):
    assert catalogue.load_protocol(name).protocol == name
    assert name.partition("@")[2].isdigit(), "a protocol's name ends in @ and its version"


@pytest.mark.parametrize("name", catalogue.task_names())
def test_task(name):
    task = catalogue.load_task(name)
    assert name.startswith(f"{task.dataset}/")
    resolved = catalogue.resolve(task)
    assert (resolved.task, resolved.dataset.dataset) == (name, task.dataset)
    assert len(task_fingerprint(resolved)) == FINGERPRINT_LENGTH


@pytest.mark.parametrize("name", catalogue.suite_names())
def test_suite(name):
    suite = catalogue.load_suite(name)
    assert suite.tasks
    assert len(set(suite.tasks)) == len(suite.tasks)
    assert {name.partition("+")[0] for name in suite.tasks} <= set(catalogue.task_names())


def fingerprints() -> dict[str, str]:
    return {name: task_fingerprint(catalogue.resolve(catalogue.load_task(name))) for name in catalogue.task_names()}


def test_the_fingerprint_of_every_task_is_the_recorded_one():
    """A declaration that is written in another way has the same fingerprint."""
    path = Path(__file__).with_name("task_fingerprints.txt")
    lines = [f"{name} {fingerprint}" for name, fingerprint in fingerprints().items()]
    recorded = path.read_text().splitlines()
    other, gone = sorted({*lines} - {*recorded}), sorted({*recorded} - {*lines})
    assert not other, f"for a new task, add its line to {path}; a known task has become another evaluation: {other}"
    assert (gone, lines) == ([], recorded), "tasks that are gone, or lines out of order"


def test_different_tasks_have_different_fingerprints():
    assert len(set(fingerprints().values())) == len(catalogue.task_names())


def test_no_yaml_file_escapes_the_catalogue():
    found = {path.relative_to(declarations("tasks")).as_posix() for path in declarations("tasks").rglob("*.yaml")}
    known = {f"{name}.yaml" for name in catalogue.dataset_names()}
    for folder, names in (
        ("protocols", catalogue.protocol_names()),
        ("suites", catalogue.suite_names()),
        ("variants", catalogue.variants_names()),
    ):
        known |= {f"{folder}/{name}.yaml" for name in names}
    assert found == known


@pytest.mark.parametrize(
    ("load", "kind"),
    [
        (catalogue.load_recipe, "recipe"),
        (catalogue.load_dataset, "dataset"),
        (catalogue.load_task, "task"),
        (catalogue.load_suite, "suite"),
    ],
)
def test_an_unknown_name_is_refused(load, kind):
    with pytest.raises(ValueError, match=f"there is no {kind} 'nonesuch'"):
        load("nonesuch")


@pytest.mark.parametrize("name", ["mine.yaml", "mine.yml", "./mine.yaml", "folder/mine"])
def test_a_recipe_file_needs_no_path_before_its_name(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=f"there is no recipe file .*{Path(name)}"):
        catalogue.load_recipe(name)
    Path(name).parent.mkdir(exist_ok=True)
    Path(name).write_text((declarations("pretrain") / "mini_videomae.yaml").read_text())
    assert catalogue.load_recipe(name) == catalogue.load_recipe("mini_videomae")


def test_files_of_variants_end_in_yaml_or_yml(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("sizes.yml").write_text("variants: sizes\nsummary: one\noverrides:\n  two: {train_per_class: 2}\n")
    assert list(catalogue.load_variants("sizes.yml").overrides) == ["two"]


def test_a_mistyped_task_is_answered_with_the_right_one():
    with pytest.raises(ValueError, match=r"Did you mean .*'ucf101/linear'"):
        catalogue.load_task("ucf101/liner")


def test_a_variant_of_a_task_file_is_named_after_the_task(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("task: ssv2/mine\ndataset: ssv2\nprotocol: knn@1\n")
    assert catalogue.load_task(f"{path}+reversal").task == "ssv2/mine+reversal"


def test_an_override_of_a_key_that_the_protocol_lacks_is_refused():
    with pytest.raises(ValueError, match=r"neighbors.*Did you mean 'neighbours'\?"):
        catalogue.resolve(catalogue.load_task("ucf101/knn"), {"neighbors": 5})


@pytest.mark.parametrize(
    ("name", "override", "switch"),
    [
        ("davis2017/propagation", {"long_side_multiple_px": 32}, {"aspect": "keep"}),
        ("davis2017/clustering", {"batch_clips": 7}, {"feature_scope": "batch"}),
    ],
)
def test_an_override_without_effect_is_refused(name, override, switch):
    task = catalogue.load_task(name)
    ((key, _),) = override.items()
    off = {"aspect": "squash"} if key == "long_side_multiple_px" else {"feature_scope": "clip"}
    with pytest.raises(ValueError, match=f"'{key}' has no effect under the other settings; leave it out"):
        catalogue.resolve(task, {**off, **override})
    changed, plain = catalogue.resolve(task, {**switch, **override}), catalogue.resolve(task, switch)
    assert task_fingerprint(changed) != task_fingerprint(plain)


def test_overrides_change_the_fingerprint_and_only_their_key():
    task = catalogue.load_task("ucf101/knn")
    plain, changed = catalogue.resolve(task), catalogue.resolve(task, {"uncertainty": {"replicates": 7}})
    assert changed.protocol.uncertainty.replicates == 7
    assert changed.protocol.uncertainty.level == plain.protocol.uncertainty.level
    assert changed.protocol.model_copy(update={"uncertainty": plain.protocol.uncertainty}) == plain.protocol
    assert task_fingerprint(changed) != task_fingerprint(plain)


def test_prose_is_not_part_of_a_fingerprint():
    task = catalogue.load_task("ucf101/knn")
    reworded = catalogue.resolve(task, {"summary": "the same, in other words"})
    assert task_fingerprint(reworded) == task_fingerprint(catalogue.resolve(task))


@pytest.mark.parametrize(
    ("name", "key", "value"),
    [
        ("ssv2/linear_online_mini", "fingerprint", None),
        ("ssv2/knn+blur-3", "task", "ssv2/knn+blur-3"),
        ("finegym_fx_s1", "folder", "finegym"),
        ("finetune_mini_selected_on_test@1", "select_on_test", {"every_epochs": 1}),
        ("severe_mini", "suite", "severe_mini"),
        ("sample_sizes", "variants", "sample_sizes"),
        ("mini_videomae", "fingerprint", None),
    ],
)
def test_what_a_name_stands_for_is_shown_resolved(name, key, value):
    (content,) = catalogue.described(name)
    assert "base" not in content
    assert json.loads(json.dumps(content)) == content
    assert content[key] == value or (key == "fingerprint" and len(content[key]) == FINGERPRINT_LENGTH)


def test_a_name_of_nothing_is_refused_with_near_names_of_all_concepts():
    with pytest.raises(ValueError, match=r"no task, dataset, .* 'finetun@1'\. Did you mean .*'finetune@1'"):
        catalogue.described("finetun@1")


def test_the_sampling_of_a_dataset_leaves_other_samplers_alone():
    """Protocols with the frames of the release keep this sampling on Something-Something v2."""
    sampled = {
        name: catalogue.resolve(catalogue.load_task(f"ssv2/{name}")).protocol.model_dump()["sampling"]["sampler"]
        for name in ("finetune", "finetune_mini", "finetune_released_sampling")
    }
    assert sampled == {
        "finetune": "random_segments",
        "finetune_mini": "random_segments",
        "finetune_released_sampling": "released_segments",
    }
    assert catalogue.load_protocol("finetune@1").model_dump()["sampling"]["sampler"] == "random_window"


@pytest.mark.parametrize(
    ("names", "asks", "expected"),
    [
        (["davis201?/propagation"], None, ["davis2016/propagation", "davis2017/propagation"]),
        (["ssv2/knn", "*/knn", "ssv2/knn"], "motion", None),
        (["ssv2/knn+r*"], None, ["ssv2/knn+reversal"]),
        ([], "segmentation", None),
    ],
)
def test_patterns_and_what_tasks_ask_for_select_tasks_once_each(names, asks, expected):
    found = [task.task for task in catalogue.selected_tasks(names, asks)]
    assert len(found) == len(set(found)) > 0
    assert expected is None or found == expected
    assert asks is None or {catalogue.load_task(name).asks or "" for name in found} == {asks}


@pytest.mark.parametrize(
    ("names", "asks", "sentence"),
    [
        (["ssv3/*"], None, r"no task matches 'ssv3/\*'. Did you mean 'ssv2/"),
        (["ssv2/knn+revers*l?"], None, r"no task matches 'ssv2/knn\+revers\*l\?'. Did you mean 'ssv2/knn\+reversal'"),
        ([], "motoin", "no task asks for 'motoin'. Did you mean 'motion'?"),
        (["ssv2/*"], "appearance", r"none of the \d+ tasks asks for 'appearance'; they ask for motion"),
    ],
)
def test_a_selection_of_no_task_is_refused_with_near_names(names, asks, sentence):
    with pytest.raises(ValueError, match=sentence):
        catalogue.selected_tasks(names, asks)


def test_a_recipe_file_is_suggested_by_its_ending(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine.yaml").touch()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=r"no recipe 'mine', but a file mine\.yaml here; name it with its ending"):
        catalogue.load_recipe("mine")
    with pytest.raises(ValueError, match=r"no recipe file mini_vidomae\.yaml\. Did you mean 'mini_videomae'"):
        catalogue.load_recipe("mini_vidomae.yaml")
