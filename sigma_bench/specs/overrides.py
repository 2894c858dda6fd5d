"""How keys of one declaration replace those of another: overrides of a task, a base, the sampling of a dataset."""

from collections.abc import Mapping
from typing import Any


def merged(base: Mapping[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    """Overrides win; mappings merge key by key, except where the discriminating ``sampler`` changes."""
    result = dict(base)
    for key, value in overrides.items():
        inner = result.get(key)
        if isinstance(inner, dict) and isinstance(value, dict) and value.get("sampler") in (None, inner.get("sampler")):
            result[key] = merged(inner, value)
        else:
            result[key] = value
    return result


def with_base(base: Mapping[str, Any], content: Mapping[str, Any]) -> dict[str, Any]:
    """A declaration whose absent keys are those of its base.

    A dataset has only the tasks that it lists; one of a name that the base has as well starts from the base's.  Its
    files are in the folder of the base where it names none.
    """
    result = merged(base, {key: value for key, value in content.items() if key != "base"})
    if "dataset" in base:
        result.setdefault("folder", base["dataset"])
        result["tasks"] = _with_base_tasks(base.get("tasks"), content.get("tasks", {}))
    return result


def with_sampling(protocol: Any, sampling: Mapping[str, Mapping[str, Any]]) -> Any:
    """The content of a protocol, with every sampler that the dataset changes changed, wherever it is."""
    if not isinstance(protocol, dict):
        return protocol
    changed = {key: with_sampling(value, sampling) for key, value in protocol.items()}
    sampler = changed.get("sampler")
    if isinstance(sampler, str) and sampler in sampling:
        return merged({"": changed}, {"": dict(sampling[sampler])})[""]
    return changed


def _with_base_tasks(base: Any, tasks: Any) -> Any:
    if not isinstance(base, dict) or not isinstance(tasks, dict):
        return tasks
    starts = {name: task for name, task in base.items() if isinstance(task, dict)}
    return {
        name: merged(starts[name], task) if name in starts and isinstance(task, dict) else task
        for name, task in tasks.items()
    }
