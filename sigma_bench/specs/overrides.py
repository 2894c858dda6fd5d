"""Replacement of keys of a declaration: overrides of a task, files with a base, sampling of a dataset."""

from collections.abc import Mapping
from typing import Any


def merged(base: Mapping[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    """``base`` with the keys of ``overrides``.

    Nested mappings are merged key by key, except that a mapping with another ``sampler`` replaces the whole mapping.
    """
    result = dict(base)
    for key, value in overrides.items():
        inner = result.get(key)
        if isinstance(inner, dict) and isinstance(value, dict) and value.get("sampler") in (None, inner.get("sampler")):
            result[key] = merged(inner, value)
        else:
            result[key] = value
    return result


def with_base(base: Mapping[str, Any], content: Mapping[str, Any]) -> dict[str, Any]:
    """The content of a declaration, with absent keys taken from its base.

    A dataset has only the tasks that it lists itself; the absent keys of a task are those of the task of the same name
    of the base.  Without the key ``folder``, its files are in the folder of the base.
    """
    result = merged(base, {key: value for key, value in content.items() if key != "base"})
    if "dataset" in base:
        result.setdefault("folder", base["dataset"])
        result["tasks"] = _with_base_tasks(base.get("tasks"), content.get("tasks", {}))
    return result


def with_sampling(protocol: Any, sampling: Mapping[str, Mapping[str, Any]]) -> Any:
    """The content of a protocol, in which ``sampling`` replaces keys of all samplers that it names, at any depth."""
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
