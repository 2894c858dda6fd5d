"""Variants of tasks, axes of suites, and optional keys that do not change fingerprints of declarations without them."""

import pytest

from sigma_bench.specs import catalogue
from sigma_bench.specs.clip import ClipSpec
from sigma_bench.specs.fingerprint import task_fingerprint
from sigma_bench.specs.strict import parse_spec
from sigma_bench.specs.task import Suite

SEVERE = {
    "domain_shift": ("ssv2", "finegym_gym99"),
    "sample_efficiency": ("ucf101_1k", "finegym_gym99_1k"),
    "action_granularity": ("finegym_fx_s1", "finegym_ub_s1"),
    "task_shift": ("ucfrep", "charades"),
}
SMALL_SETS = ("finegym_gym99", "finegym_gym99_1k", "finegym_fx_s1", "finegym_ub_s1", "ucf101_1k")


@pytest.mark.parametrize("name", ["severe", "severe_mini"])
def test_severe_is_two_tasks_on_each_of_four_axes(name: str) -> None:
    suite = catalogue.load_suite(name)
    assert suite.axes is not None
    datasets = {axis: tuple(task.split("/")[0] for task in tasks) for axis, tasks in suite.axes.items()}
    assert datasets == SEVERE
    assert [task for tasks in suite.axes.values() for task in tasks] == list(suite.tasks)


def test_a_task_stands_on_one_axis() -> None:
    base = {"suite": "s", "summary": "", "tasks": ["a/x", "b/x"]}
    for axes, sentence in (
        ({"one": ["a/x"]}, "the task 'b/x' is on 0 axes; every task belongs to one"),
        ({"one": ["a/x", "b/x"], "two": ["a/x"]}, "the task 'a/x' is on 2 axes"),
        ({"one": ["a/x", "b/x", "c/x"]}, "the axes contain 'c/x', which is not a task of the suite"),
    ):
        with pytest.raises(ValueError, match=sentence):
            parse_spec(Suite, {**base, "axes": axes}, where="s.yaml")


def test_severes_small_sets_share_one_recipe() -> None:
    protocols = [catalogue.resolve(catalogue.load_task(f"{name}/finetune")).protocol for name in SMALL_SETS]
    recipes = [protocol.model_dump(exclude={"sampling", "views"}) for protocol in protocols]
    assert all(recipe == recipes[0] for recipe in recipes)
    frames = [(p.sampling.stride_frames, p.sampling.short_video) for p in protocols]  # type: ignore[union-attr]
    assert frames == [(2, "loop")] * 4 + [(4, "repeat_last")]
    for protocol in protocols:
        views = protocol.views.sampling  # type: ignore[union-attr]
        assert (views.stride_frames, views.short_video) == (
            protocol.sampling.stride_frames,  # type: ignore[union-attr]
            protocol.sampling.short_video,  # type: ignore[union-attr]
        )


@pytest.mark.parametrize("name", [*(f"{name}/finetune" for name in (*SMALL_SETS, "ssv2")), "ucf101_1k/finetune_mini"])
def test_what_is_selected_on_test_differs_from_the_clean_task_in_nothing_else(name: str) -> None:
    clean, selected = (
        catalogue.resolve(catalogue.load_task(name + end)).protocol.model_dump() for end in ("", "_selected_on_test")
    )
    assert {key for key in selected if selected[key] != clean.get(key)} == {
        *("protocol", "summary", "select_on_test", "metrics")
    }
    assert selected["select_on_test"] == {"every_epochs": 1}


@pytest.mark.parametrize("name", ["ssv2/finetune", "ssv2/linear_online"])
def test_released_sampling_differs_from_ours_in_the_training_frames_alone(name: str) -> None:
    ours, released = (
        catalogue.resolve(catalogue.load_task(name + end)).protocol.model_dump() for end in ("", "_released_sampling")
    )
    assert ours.keys() == released.keys()
    assert {key for key in ours if ours[key] != released[key]} == {"protocol", "summary", "sampling"}
    assert (ours["sampling"], released["sampling"]) == (
        {"sampler": "random_segments"},
        {"sampler": "released_segments"},
    )


def test_a_variant_is_the_task_with_its_overrides() -> None:
    plain = catalogue.resolve(catalogue.load_task("ssv2/knn"))
    blurred = catalogue.resolve(catalogue.load_task("ssv2/knn+blur-3"))
    assert blurred.task == "ssv2/knn+blur-3"
    condition = blurred.protocol.test_condition  # type: ignore[union-attr]
    assert condition.model_dump() == {"kind": "blur", "severity": 3, "sigma_share": 0.02}  # type: ignore[union-attr]
    assert blurred.protocol.model_copy(update={"test_condition": None}) == plain.protocol
    with pytest.raises(ValueError, match=r"there is no variant 'blurr-3'\. Did you mean 'blur-3'"):
        catalogue.load_task("ssv2/knn+blurr-3")


def test_what_a_condition_does_is_part_of_the_fingerprint() -> None:
    task = catalogue.load_task("ssv2/knn+occlusion-5")
    of = {
        (hidden, grey): task_fingerprint(
            catalogue.resolve(task, {"test_condition": {"hidden_share": hidden, "grey": grey}})
        )
        for hidden in (0.5, 0.6)
        for grey in (127, 0)
    }
    assert len(set(of.values())) == 4
    assert of[0.5, 127] == task_fingerprint(catalogue.resolve(task))
    with pytest.raises(ValueError, match=r"test_condition.blur.sigma_share' is missing"):
        catalogue.resolve(catalogue.load_task("ssv2/knn"), {"test_condition": {"kind": "blur", "severity": 3}})


def test_a_suite_with_variants_does_every_task_plain_and_under_each() -> None:
    suite = catalogue.load_suite("robustness")
    resolved = [catalogue.resolve(catalogue.load_task(name)) for name in suite.tasks]
    assert len(resolved) == 2 * (1 + 1 + 7 * 5)
    assert resolved[0].task == "ssv2/knn" and resolved[37].task == "ucf101/knn"
    assert len({task_fingerprint(task) for task in resolved}) == len(resolved)


def test_a_name_of_a_variant_means_one_thing() -> None:
    names = [name for file in catalogue.variants_names() for name in catalogue.load_variants(file).overrides]
    assert len(set(names)) == len(names)


def test_optional_keys_leave_what_was_measured_without_them_as_it_was() -> None:
    """Fingerprints since keys with one possible value left the protocols (schema 4 of records)."""
    before = {
        "ssv2/knn": "2dea7b5f3b4fb1d1",
        "ssv2/linear": "2693b3843f60154d",
        "ssv2/finetune": "dee475224ef256f5",
        "davis2017/clustering": "1f95de1b2a6a316b",
    }
    assert {name: task_fingerprint(catalogue.resolve(catalogue.load_task(name))) for name in before} == before
    protocol = catalogue.resolve(catalogue.load_task("ssv2/knn")).protocol
    assert not {"test_condition", "train_per_class"} & protocol.model_dump().keys()
    assert isinstance(protocol.clip, ClipSpec)  # type: ignore[union-attr]
    assert protocol.clip.model_dump().keys() == {"sampling", "crop"}  # type: ignore[union-attr]
    tuned = catalogue.resolve(catalogue.load_task("ssv2/finetune_mini")).protocol
    assert tuned.model_dump()["mixing"] is None  # a key that must be written is kept
