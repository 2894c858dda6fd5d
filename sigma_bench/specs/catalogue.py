"""The catalogue: everything declared, found by name, with near matches for a mistyped one."""

from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

from sigma_bench.resources import declarations
from sigma_bench.specs.dataset import DatasetCard
from sigma_bench.specs.protocol import parse_protocol
from sigma_bench.specs.recipe import Recipe, parse_recipe
from sigma_bench.specs.strict import S, is_yaml_file, load_spec, nearest, read_yaml
from sigma_bench.specs.task import ResolvedTask, Suite, Task, Variants, require_folds_used

_NOT_TASKS = ("datasets", "protocols", "suites", "variants")


def recipe_names() -> list[str]:
    """Names of all pretraining recipes."""
    return sorted(path.stem for path in declarations("pretrain").glob("*.yaml"))


def dataset_names() -> list[str]:
    """Names of all dataset cards."""
    return sorted(path.stem for path in (declarations("tasks") / "datasets").glob("*.yaml"))


def protocol_names() -> list[str]:
    """Names of all protocols, with their version."""
    return sorted(path.stem for path in (declarations("tasks") / "protocols").glob("*.yaml"))


def suite_names() -> list[str]:
    """Names of all suites."""
    return sorted(path.stem for path in (declarations("tasks") / "suites").glob("*.yaml"))


def variants_names() -> list[str]:
    """Names of all files of variants."""
    return sorted(path.stem for path in (declarations("tasks") / "variants").glob("*.yaml"))


def task_names() -> list[str]:
    """Names of all tasks, ``dataset/task``, without their variants."""
    return sorted(f"{path.parent.name}/{path.stem}" for path in _task_files())


def load_recipe(name: str) -> Recipe:
    """A recipe by name, or from a file: a name that ends in .yaml or .yml or contains a slash."""
    if is_yaml_file(name) or "/" in name:
        return parse_recipe(read_yaml(Path(name)), where=name)
    _require_known("recipe", name, recipe_names())
    path = declarations("pretrain") / f"{name}.yaml"
    recipe = parse_recipe(read_yaml(path), where=str(path))
    _require_same_name("recipe", recipe.recipe, name, path)
    return recipe


def load_dataset(name: str) -> DatasetCard:
    """A dataset card by name."""
    path = declarations("tasks") / "datasets" / f"{name}.yaml"
    return _load(DatasetCard, "dataset", name, dataset_names(), path)


def load_suite(name: str) -> Suite:
    """A suite by name, with the variants of its tasks where it asks for them."""
    suite = _load(Suite, "suite", name, suite_names(), declarations("tasks") / "suites" / f"{name}.yaml")
    if suite.variants is None:
        return suite
    endings = ["", *(f"+{variant}" for variant in load_variants(suite.variants).overrides)]
    return suite.model_copy(update={"tasks": tuple(task + ending for task in suite.tasks for ending in endings)})


def load_variants(name: str) -> Variants:
    """A file of variants by its name, or from a path that ends in .yaml or .yml or contains a slash."""
    if is_yaml_file(name) or "/" in name:
        return load_spec(Variants, Path(name))
    return _load(Variants, "variants", name, variants_names(), declarations("tasks") / "variants" / f"{name}.yaml")


def load_task(name: str) -> Task:
    """A task by name, ``dataset/task`` or ``dataset/task+variant``, or from a path that ends in .yaml or .yml."""
    if is_yaml_file(name):
        return load_spec(Task, Path(name))
    plain, plus, variant = name.partition("+")
    if plus:
        known = _all_variants()
        _require_known("variant", variant, list(known))
        task = load_task(plain)
        overrides = _merged(task.overrides, known[variant])
        return task.model_copy(update={"task": f"{task.task}+{variant}", "overrides": overrides})
    return _load(Task, "task", name, task_names(), declarations("tasks") / f"{name}.yaml")


def varied(task: Task, variants: Variants) -> list[Task]:
    """The task plain, then under every variant."""
    changed = [
        {"task": f"{task.task}+{name}", "overrides": _merged(task.overrides, more)}
        for name, more in variants.overrides.items()
    ]
    return [task, *(task.model_copy(update=change) for change in changed)]


def resolve(task: Task, overrides: dict[str, Any] | None = None) -> ResolvedTask:
    """Fill in card and protocol; overrides of the task, then of the caller, replace protocol keys.

    Raises:
        ValueError: unknown dataset or protocol, an override whose key the protocol does not have or that has no effect,
            or folds that the protocol does not use.
    """
    return resolve_with_card(task, load_dataset(task.dataset), overrides)


def resolve_with_card(task: Task, card: DatasetCard, overrides: dict[str, Any] | None = None) -> ResolvedTask:
    """As ``resolve``, for a dataset whose card is not in the catalogue (a user's own files)."""
    _require_known("protocol", task.protocol, protocol_names())
    path = declarations("tasks") / "protocols" / f"{task.protocol}.yaml"
    declared = read_yaml(path)
    content = _merged(_merged(declared, task.overrides), overrides or {})
    where = f"task '{task.task}' (protocol {path.name} with overrides)"
    protocol = parse_protocol(content, where=where)
    _require_same_name("protocol", protocol.protocol, task.protocol, path)
    resolved = ResolvedTask(task=task.task, dataset=card, protocol=protocol, asks=task.asks, folds=task.folds)
    require_folds_used(resolved)
    for key in protocol.unused_keys:
        if content[key] != declared[key]:
            raise ValueError(f"{where}: '{key}' has no effect under the other settings; leave it out")
    return resolved


@lru_cache(maxsize=1)
def _all_variants() -> dict[str, dict[str, Any]]:
    return {name: more for file in variants_names() for name, more in load_variants(file).overrides.items()}


def _task_files() -> Iterator[Path]:
    for path in declarations("tasks").glob("*/*.yaml"):
        if path.parent.name not in _NOT_TASKS:
            yield path


def _load(spec_type: type[S], kind: str, name: str, known: list[str], path: Path) -> S:
    _require_known(kind, name, known)
    spec = load_spec(spec_type, path)
    _require_same_name(kind, getattr(spec, kind), name, path)
    return spec


def _require_same_name(kind: str, declared: str, name: str, path: Path) -> None:
    if declared != name:
        raise ValueError(f"{path}: key '{kind}' says '{declared}', but the file's name says '{name}'")


def _require_known(kind: str, name: str, known: list[str]) -> None:
    if name not in known:
        raise ValueError(f"there is no {kind} '{name}'.{nearest(name, known)}")


def _merged(base: dict[str, Any], overrides: dict[str, Any]) -> dict[str, Any]:
    """Overrides win; mappings merge key by key, except where the discriminating ``sampler`` changes."""
    merged = dict(base)
    for key, value in overrides.items():
        inner = merged.get(key)
        if isinstance(inner, dict) and isinstance(value, dict) and value.get("sampler") in (None, inner.get("sampler")):
            merged[key] = _merged(inner, value)
        else:
            merged[key] = value
    return merged
