"""The catalogue: everything declared, found by name, with near matches for a mistyped one."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from sigma_bench.specs.dataset import Asks, DatasetCard, DatasetFile
from sigma_bench.specs.declared import content_of, files_of, require_known, require_same_name
from sigma_bench.specs.fingerprint import recipe_fingerprint, task_fingerprint
from sigma_bench.specs.overrides import merged, with_sampling
from sigma_bench.specs.protocol import BaseProtocol, parse_protocol
from sigma_bench.specs.recipe import Recipe, parse_recipe
from sigma_bench.specs.strict import is_yaml_file, load_spec, nearest, parse_spec, read_yaml
from sigma_bench.specs.task import ResolvedTask, Suite, Task, Variants, require_folds_used


def recipe_names() -> list[str]:
    """Names of all pretraining recipes."""
    return sorted(files_of("recipe"))


def dataset_names() -> list[str]:
    """Names of all datasets."""
    return sorted(files_of("dataset"))


def protocol_names() -> list[str]:
    """Names of all protocols, with their version."""
    return sorted(files_of("protocol"))


def suite_names() -> list[str]:
    """Names of all suites."""
    return sorted(files_of("suite"))


def variants_names() -> list[str]:
    """Names of all files of variants."""
    return sorted(files_of("variants"))


def task_names() -> list[str]:
    """Names of all tasks, ``dataset/task``, without their variants."""
    return sorted(f"{name}/{task}" for name in dataset_names() for task in load_dataset_file(name).tasks)


def load_recipe(name: str) -> Recipe:
    """A recipe by name, or from a file: a name that ends in .yaml or .yml or contains a slash."""
    if is_yaml_file(name) or "/" in name:
        return parse_recipe(read_yaml(Path(name)), where=name)
    content, path = content_of("recipe", name)
    return parse_recipe(content, where=str(path))


def load_dataset_file(name: str) -> DatasetFile:
    """All that is declared of a dataset, with what it has from its base."""
    content, path = content_of("dataset", name)
    return parse_spec(DatasetFile, content, where=str(path))


def load_dataset(name: str) -> DatasetCard:
    """The card of a dataset by name."""
    return load_dataset_file(name).card


def load_protocol(name: str) -> BaseProtocol:
    """A protocol by name and version, with what it has from its base."""
    content, path = content_of("protocol", name)
    return parse_protocol(content, where=str(path))


def load_suite(name: str) -> Suite:
    """A suite by name, with the variants of its tasks where it asks for them."""
    content, path = content_of("suite", name)
    suite = parse_spec(Suite, content, where=str(path))
    if suite.variants is None:
        return suite
    endings = ["", *(f"+{variant}" for variant in load_variants(suite.variants).overrides)]
    return suite.model_copy(update={"tasks": tuple(task + ending for task in suite.tasks for ending in endings)})


def load_variants(name: str) -> Variants:
    """A file of variants by its name, or from a path that ends in .yaml or .yml or contains a slash."""
    if is_yaml_file(name) or "/" in name:
        return load_spec(Variants, Path(name))
    content, path = content_of("variants", name)
    return parse_spec(Variants, content, where=str(path))


def load_task(name: str) -> Task:
    """A task by name, ``dataset/task`` or ``dataset/task+variant``, or from a path that ends in .yaml or .yml."""
    if is_yaml_file(name):
        return load_spec(Task, Path(name))
    plain, variant = _without_variant(name)
    if plain != name:
        known = _all_variants()
        require_known("variant", variant, known)
        task = load_task(plain)
        overrides = merged(task.overrides, known[variant])
        return task.model_copy(update={"task": f"{task.task}+{variant}", "overrides": overrides})
    dataset, _, of_dataset = name.partition("/")
    file = load_dataset_file(dataset) if dataset in files_of("dataset") else None
    if file is None or of_dataset not in file.tasks:
        raise ValueError(f"there is no task '{name}'.{nearest(name, task_names())}")
    found = file.tasks[of_dataset]
    keys = found.model_dump() | {"task": name, "dataset": dataset, "asks": file.asks, "note": found.note or file.note}
    return Task.model_validate(keys)


def varied(task: Task, variants: Variants) -> list[Task]:
    """The task plain, then under every variant."""
    changed = [
        {"task": f"{task.task}+{name}", "overrides": merged(task.overrides, more)}
        for name, more in variants.overrides.items()
    ]
    return [task, *(task.model_copy(update=change) for change in changed)]


def resolve(task: Task, overrides: dict[str, Any] | None = None) -> ResolvedTask:
    """Fill in card and protocol; the sampling of the dataset, then overrides of the task, then of the caller, replace
    protocol keys.

    Raises:
        ValueError: unknown dataset or protocol, an override whose key the protocol does not have or that has no effect,
            or folds that the protocol does not use.
    """
    file = load_dataset_file(task.dataset)
    return resolve_with_card(task, file.card, overrides, sampling=file.sampling, asks=file.asks)


def resolve_with_card(
    task: Task,
    card: DatasetCard,
    overrides: dict[str, Any] | None = None,
    *,
    sampling: Mapping[str, Mapping[str, Any]] | None = None,
    asks: Asks = "unspecified",
) -> ResolvedTask:
    """As ``resolve``, for a dataset whose card is not in the catalogue (a user's own files)."""
    content, path = content_of("protocol", task.protocol)
    declared_keys = with_sampling(content, sampling or {})
    keys = merged(merged(declared_keys, task.overrides), overrides or {})
    where = f"task '{task.task}' (protocol {path.name} with overrides)"
    protocol = parse_protocol(keys, where=where)
    require_same_name("protocol", protocol.protocol, task.protocol, path)
    resolved = ResolvedTask(task=task.task, dataset=card, protocol=protocol, asks=task.asks or asks, folds=task.folds)
    require_folds_used(resolved)
    for key in protocol.unused_keys:
        if keys.get(key) != declared_keys.get(key):
            raise ValueError(f"{where}: '{key}' has no effect under the other settings; leave it out")
    return resolved


def described(name: str) -> list[dict[str, Any]]:
    """All that a name stands for, resolved, as JSON-like content: of a task card, protocol, folds and fingerprint.

    Args:
        name: of a task (also with a variant, or a file), dataset, protocol, suite, file of variants or recipe.

    Returns:
        One mapping for every concept that has this name.

    Raises:
        ValueError: nothing has this name, or what has it is declared wrongly.
    """
    if "/" in name or is_yaml_file(_without_variant(name)[0]):
        return [_described_task(load_task(name))]
    loads: dict[str, Callable[[str], Any]] = {
        "dataset": load_dataset_file,
        "protocol": load_protocol,
        "suite": load_suite,
        "variants": load_variants,
        "recipe": load_recipe,
    }
    known = {concept: files_of(concept) for concept in loads}
    found = [load(name) for concept, load in loads.items() if name in known[concept]]
    if not found:
        names = [*task_names(), *(each for names in known.values() for each in names)]
        concepts = "task, dataset, protocol, suite, file of variants or recipe"
        raise ValueError(f"there is no {concepts} '{name}'.{nearest(name, names)}")
    return [_described(each) for each in found]


def _without_variant(name: str) -> tuple[str, str]:
    """Name of a task, or path of its file, and the variant after the '+'."""
    folder, slash, last = name.rpartition("/")
    last, _, variant = last.partition("+")
    return f"{folder}{slash}{last}", variant


def _described(spec: Any) -> dict[str, Any]:
    content: dict[str, Any] = spec.model_dump(mode="json")
    return content | ({"fingerprint": recipe_fingerprint(spec)} if "recipe" in content else {})


def _described_task(task: Task) -> dict[str, Any]:
    resolved = resolve(task)
    return resolved.model_dump(mode="json") | {"fingerprint": task_fingerprint(resolved), "note": task.note}


def _all_variants() -> dict[str, dict[str, Any]]:
    """Overrides by the name of their variant, which one file alone may define."""
    found: dict[str, dict[str, Any]] = {}
    for file in variants_names():
        for name, more in load_variants(file).overrides.items():
            if name in found:
                raise ValueError(f"the variant '{name}' of '{file}' has the name of another file's variant; rename it")
            found[name] = more
    return found
