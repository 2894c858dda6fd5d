"""The catalogue: all declarations by name, with suggestions for unknown names."""

import re
from collections.abc import Callable, Iterable, Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, get_args

from sigma_bench.resources import hint_of_include
from sigma_bench.specs.dataset import Asks, DatasetCard, DatasetFile
from sigma_bench.specs.declared import content_of, files_of, require_known, require_same_name
from sigma_bench.specs.fingerprint import recipe_fingerprint, task_fingerprint
from sigma_bench.specs.overrides import merged, with_sampling
from sigma_bench.specs.protocol import BaseProtocol, parse_protocol
from sigma_bench.specs.recipe import Recipe, parse_recipe
from sigma_bench.specs.strict import is_yaml_file, load_spec, parse_spec, read_yaml, suggestion
from sigma_bench.specs.task import ResolvedTask, Suite, Task, Variants, require_folds_used


def recipe_names() -> list[str]:
    """Names of all pretraining recipes."""
    return sorted(files_of("recipe"))


def dataset_names() -> list[str]:
    """Names of all datasets."""
    return sorted(files_of("dataset"))


def protocol_names() -> list[str]:
    """Names of all protocols, with versions."""
    return sorted(files_of("protocol"))


def suite_names() -> list[str]:
    """Names of all suites."""
    return sorted(files_of("suite"))


def variants_names() -> list[str]:
    """Names of all files of variants."""
    return sorted(files_of("variants"))


def task_names() -> list[str]:
    """Names of all tasks, ``dataset/task``, without variants."""
    return sorted(f"{name}/{task}" for name in dataset_names() for task in load_dataset_file(name).tasks)


def load_recipe(name: str) -> Recipe:
    """A recipe by name or by the path of its file; a path ends in .yaml or .yml or contains a slash.

    Raises:
        ValueError: there is neither such a recipe nor such a file, or a key is wrong.
    """
    if not _is_path(name):
        if name not in files_of("recipe") and (file := _yaml_file_of(name)):
            raise ValueError(f"there is no recipe '{name}', but a file {file} here; name it with its ending")
        content, path = content_of("recipe", name)
        return parse_recipe(content, where=str(path))
    if not Path(name).exists():
        raise ValueError(f"there is no recipe file {name}.{suggestion(Path(name).stem, recipe_names())}")
    return parse_recipe(read_yaml(Path(name)), where=name)


def load_dataset_file(name: str) -> DatasetFile:
    """The content of the file of a dataset, with the keys of its base and the absolute path of custom data."""
    content, path = content_of("dataset", name)
    file = parse_spec(DatasetFile, content, where=str(path))
    return file if file.files is None else file.model_copy(update={"files": file.files.below(path.parent)})


def load_dataset(name: str) -> DatasetCard:
    """The card of a dataset by name."""
    return load_dataset_file(name).card


def is_custom_dataset(name: str) -> bool:
    """Whether a name is that of a dataset whose file states where its data are."""
    return name in files_of("dataset") and load_dataset_file(name).files is not None


def load_protocol(name: str) -> BaseProtocol:
    """A protocol by name and version, with the keys of its base."""
    content, path = content_of("protocol", name)
    return parse_protocol(content, where=str(path))


def load_suite(name: str) -> Suite:
    """A suite by name; each of its tasks is followed by its variants if the suite names a file of variants."""
    content, path = content_of("suite", name)
    suite = parse_spec(Suite, content, where=str(path))
    if suite.variants is None:
        return suite
    endings = ["", *(f"+{variant}" for variant in load_variants(suite.variants).overrides)]
    return suite.model_copy(update={"tasks": tuple(task + ending for task in suite.tasks for ending in endings)})


def load_variants(name: str) -> Variants:
    """A file of variants by name or by its path; a path ends in .yaml or .yml or contains a slash."""
    if _is_path(name):
        return load_spec(Variants, Path(name))
    content, path = content_of("variants", name)
    return parse_spec(Variants, content, where=str(path))


def load_task(name: str) -> Task:
    """A task by name, ``dataset/task`` or ``dataset/task+variant``, or by the path of its .yaml or .yml file."""
    if is_yaml_file(name):
        return load_spec(Task, Path(name))
    plain, variant = _without_variant(name)
    if plain != name:
        known = _all_variants()
        require_known("variant", variant, known)
        return _with_variant(load_task(plain), variant, known[variant])
    dataset, _, task_name = name.partition("/")
    file = load_dataset_file(dataset) if dataset in files_of("dataset") else None
    if file is None or task_name not in file.tasks:
        hint = "" if file else hint_of_include("tasks", dataset)
        raise ValueError(f"there is no task '{name}'.{hint or suggestion(name, task_names())}")
    task = file.tasks[task_name]
    keys = task.model_dump() | {"task": name, "dataset": dataset, "asks": file.asks, "note": task.note or file.note}
    return Task.model_validate(keys)


def selected_tasks(
    names: Iterable[str] = (), asks: str | None = None, overrides: dict[str, Any] | None = None
) -> list[ResolvedTask]:
    """Resolved tasks by names and patterns, each once, restricted to those that ask for something.

    Args:
        names: names as in ``load_task``, or patterns such as ``ssv2/*``, ``*/knn`` or ``ssv2/knn+*``, in which ``*``
            stands for any text, also an empty one; without names, all tasks of the catalogue.
        asks: what the tasks must depend on, such as ``motion``; None for any.
        overrides: as in ``resolve``.

    Raises:
        ValueError: a name does not exist, a pattern matches no task, or no task asks for this.
    """
    if asks is not None and asks not in get_args(Asks):
        raise ValueError(f"no task asks for '{asks}'.{suggestion(asks, get_args(Asks))}")
    chosen = dict.fromkeys(name for given in names or ("*",) for name in _expanded(given))
    found = [resolve(load_task(name), overrides) for name in chosen]
    fitting = [task for task in found if asks in (None, task.asks)]
    if not fitting:
        known = ", ".join(sorted({task.asks for task in found}))
        raise ValueError(f"none of the {len(found)} tasks asks for '{asks}'; they ask for {known}")
    return fitting


def task_row(task: ResolvedTask) -> dict[str, Any]:
    """What a list of tasks says about one of them, as a JSON-like mapping."""
    return {
        "task": task.task,
        "dataset": task.dataset.title,
        "protocol": task.protocol.protocol,
        "asks": task.asks,
        "metrics": list(task.protocol.metrics),
        "fingerprint": task_fingerprint(task),
    }


def _expanded(name: str) -> list[str]:
    """The names of the tasks that a pattern matches; any other name as it is."""
    if is_yaml_file(_without_variant(name)[0]) or not set(name) & set("*?["):
        return [name]
    known = task_names()
    if "+" in name:
        known = [f"{task}+{variant}" for task in known for variant in _all_variants()]
    found = [task for task in known if fnmatchcase(task, name)]
    if not found:
        raise ValueError(f"no task matches '{name}'.{suggestion(re.sub('[*?]', '', name), known)}")
    return found


def varied(task: Task, variants: Variants) -> list[Task]:
    """The task without a variant, then with each of ``variants``."""
    return [task, *(_with_variant(task, name, overrides) for name, overrides in variants.overrides.items())]


def resolve(task: Task, overrides: dict[str, Any] | None = None) -> ResolvedTask:
    """A task with its card and protocol filled in.

    The keys of the protocol are replaced by the sampling of the dataset, then by the overrides of the task, and then by
    ``overrides``.

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
    """As ``resolve``, for a dataset whose card is not in the catalogue, such as custom data."""
    content, path = content_of("protocol", task.protocol)
    default_keys = with_sampling(content, sampling or {})
    keys = merged(merged(default_keys, task.overrides), overrides or {})
    where = f"task '{task.task}' (protocol {path.name} with overrides)"
    protocol = parse_protocol(keys, where=where)
    require_same_name("protocol", protocol.protocol, task.protocol, path)
    resolved = ResolvedTask(task=task.task, dataset=card, protocol=protocol, asks=task.asks or asks, folds=task.folds)
    require_folds_used(resolved)
    for key in protocol.unused_keys:
        if keys.get(key) != default_keys.get(key):
            raise ValueError(f"{where}: '{key}' has no effect under the other settings; leave it out")
    return resolved


def described(name: str) -> list[dict[str, Any]]:
    """The resolved declarations of a name, as JSON-like mappings.

    Args:
        name: name of a task (with or without a variant), dataset, protocol, suite, file of variants or recipe, or the
            path of a task file.

    Returns:
        One mapping for every concept that has this name; that of a task holds its card, protocol, folds and
        fingerprint.

    Raises:
        ValueError: there is no such name, or a declaration is invalid.
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
        raise ValueError(f"there is no {concepts} '{name}'.{suggestion(name, names)}")
    return [_described(each) for each in found]


def _yaml_file_of(name: str) -> Path | None:
    """The YAML file of this name in the current folder; None if there is none."""
    return next((path for end in (".yaml", ".yml") if (path := Path(f"{name}{end}")).is_file()), None)


def _is_path(name: str) -> bool:
    return is_yaml_file(name) or "/" in name


def _with_variant(task: Task, name: str, overrides: dict[str, Any]) -> Task:
    changes = {"task": f"{task.task}+{name}", "overrides": merged(task.overrides, overrides)}
    return task.model_copy(update=changes)


def _without_variant(name: str) -> tuple[str, str]:
    """Name of a task, or path of its file, and the variant after the '+'; the variant may be empty."""
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
    """Name of a variant of any file -> its overrides; ValueError if two files define the same name."""
    known: dict[str, dict[str, Any]] = {}
    for file in variants_names():
        for name, overrides in load_variants(file).overrides.items():
            if name in known:
                raise ValueError(f"the variant '{name}' of '{file}' is also defined in another file; rename it")
            known[name] = overrides
    return known
