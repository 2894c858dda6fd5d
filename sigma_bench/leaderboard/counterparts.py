"""Finding the records of two models that can be compared, and the reason for each record that cannot."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from sigma_bench.leaderboard.rerun import set_options_of
from sigma_bench.leaderboard.settings import Filed, data_digest, shown, task_settings, telling
from sigma_bench.records.record import Record


class Conditions(NamedTuple):
    """Conditions, besides the seed, that two evaluations must share to be compared."""

    task: str
    fingerprint: str
    data: str
    """Digest of the data source and of all splits."""


def conditions_of(record: Record) -> Conditions:
    return Conditions(record.task.task, record.fingerprint, data_digest(record))


def matched(
    measured: Mapping[Conditions, Mapping[str, list[Filed]]], first: str, second: str
) -> tuple[dict[Conditions, tuple[list[Filed], list[Filed]]], list[str]]:
    """Records of both models with the same conditions and evaluation seeds, and a line for each other record."""
    common: dict[Conditions, tuple[list[Filed], list[Filed]]] = {}
    left_out = []
    for conditions, models in sorted(measured.items(), key=lambda entry: entry[0]):
        ours, theirs = (models.get(name, []) for name in (first, second))
        seeds = {record.seed for _, record in ours} & {record.seed for _, record in theirs}
        if seeds:
            common[conditions] = (_of_seeds(ours, seeds), _of_seeds(theirs, seeds))
        for name, other, found in ((first, second, ours), (second, first, theirs)):
            alone = sorted({record.seed for _, record in found} - seeds)
            if alone:
                left_out.append(_left_out(conditions, name, other, alone, measured))
    return common, list(dict.fromkeys(left_out))


def _of_seeds(found: list[Filed], seeds: set[int]) -> list[Filed]:
    return [(path, record) for path, record in found if record.seed in seeds]


def _left_out(
    conditions: Conditions,
    name: str,
    other: str,
    seeds: list[int],
    measured: Mapping[Conditions, Mapping[str, list[Filed]]],
) -> str:
    """Why some records of model ``name`` have no counterpart of model ``other``."""
    of_other = [found for found, models in measured.items() if found.task == conditions.task and other in models]
    if not of_other:
        return f"{conditions.task}: no record of {other}"
    if conditions in of_other:
        words = f"with {'seeds' if len(seeds) > 1 else 'seed'} {', '.join(map(str, seeds))}"
    elif any(found.fingerprint == conditions.fingerprint for found in of_other):
        words = f"on other data (digest {conditions.data[:8]})"
    else:
        own = measured[conditions][name][0][1]
        others = [measured[found][other][0][1] for found in of_other]
        words = f"under another version of the protocol ({_version(own, others)})"
    return f"{conditions.task}: {name} was measured {words}, {other} was not"


def _version(record: Record, others: Iterable[Record]) -> str:
    """What tells a record from others of its task: folds, the settings that are not those of the task, or a digest."""
    folds = record.task.folds
    words = [f"folds={folds}"] if any(other.task.folds != folds for other in others) else []
    return " ".join([*words, *(set_options_of(record) or ())]) or f"fingerprint {record.fingerprint[:8]}"


def condition_names(common: Mapping[Conditions, tuple[list[Filed], list[Filed]]]) -> dict[Conditions, str]:
    """The name of each task, with the settings that differ if it is compared under several."""
    names = {}
    for conditions in common:
        alike = [found for found in common if found.task == conditions.task]
        told = dict(zip(alike, telling([task_settings(common[found][0][0][1]) for found in alike]), strict=True))
        words = shown(told[conditions])
        names[conditions] = f"{conditions.task} ({words})" if words else conditions.task
    return names
