"""Settings of records: everything that tells two evaluations of one model or task apart, as flat names and texts.

Keys of a protocol have the names of ``--set``, such as ``neighbours`` or ``clip.sampling.stride_frames``; a name that a
model has as well is written ``protocol.num_frames``.  Digests may be given by their first characters.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from sigma_bench.leaderboard.rerun import as_scalar
from sigma_bench.records.record import Record
from sigma_bench.specs.encoder_card import EncoderCard
from sigma_bench.specs.fingerprint import digest
from sigma_bench.specs.strict import read_scalar, suggestion

Filed = tuple[Path, Record]
"""A record and its file."""
Settings = dict[str, str]
"""Name of a setting -> its value in the notation of the command line, in the order in which they tell things apart."""
_DIGESTS = ("recipe", "code", "checkpoint", "fingerprint", "data")
_SHOWN_DIGITS, _LEAST_DIGITS = 8, 4
_MOST_VALUES = 6
"""Number of values of a setting that a message lists."""
_LABEL = re.compile(r"(?P<model>.+) \((?P<settings>[\w.]+=.*)\)", re.DOTALL)


def model_settings(card: EncoderCard) -> Settings:
    """The settings of a model."""
    values: dict[str, Any] = {
        "num_frames": card.num_frames,
        "image_size": card.image_size,
        "family": card.family,
        "pretraining_data": ",".join(card.pretraining_data),
        "pretraining_epochs": card.pretraining_epochs,
        "num_parameters": card.num_parameters,
        "feature_width": card.feature_width,
        "tubelet_frames": card.tubelet_frames,
        "min_frames": card.min_frames,
        "mean": list(card.mean),
        "std": list(card.std),
        "pretraining_seed": card.pretraining_seed,
        "recipe": card.recipe_fingerprint,
        "code": card.code_sha256,
        "checkpoint": card.checkpoint_sha256,
    }
    return {name: str(value) if name in _DIGESTS else as_scalar(value) for name, value in values.items()}


def task_settings(record: Record) -> Settings:
    """The settings of the task and the data of a record."""
    protocol = record.task.protocol
    keys = protocol.model_dump(mode="json", exclude={"summary", "kind", "protocol", *protocol.run_options})
    taken = EncoderCard.model_fields
    return {
        "data_source": record.data.world,
        "protocol": protocol.protocol,
        "folds": record.task.folds,
        **{f"protocol.{name}" if name in taken else name: value for name, value in _flat(keys).items()},
        "fingerprint": record.fingerprint,
        "data": data_digest(record),
    }


def data_digest(record: Record) -> str:
    """Digest of the data source and of all splits of a record."""
    return digest([record.data.world, {name: split.manifest_sha256 for name, split in record.data.splits.items()}])


def settings_of(record: Record) -> Settings:
    """All settings of a record, among them the seed of the evaluation."""
    return model_settings(record.model) | task_settings(record) | {"seed": str(record.seed)}


def shown(settings: Mapping[str, str]) -> str:
    """Settings as text: ``image_size=112, num_frames=8``."""
    return ", ".join(f"{name}={value}" for name, value in settings.items())


def telling(all_settings: Sequence[Settings]) -> list[Settings]:
    """For each of several different settings the few values that tell it from all others, with digests shortened."""
    names: list[str] = []
    told = 1
    for name in (name for name in all_settings[0] if all(name in settings for settings in all_settings)):
        found = len({tuple(settings.get(one) for one in (*names, name)) for settings in all_settings})
        if found > told:
            names.append(name)
            told = found
    return [{name: _short(name, settings[name]) for name in names} for settings in all_settings]


def plain_values(settings: Settings) -> dict[str, str | int | float | bool]:
    """Settings with numbers and truth values as such, for a file."""
    values: dict[str, str | int | float | bool] = {}
    for name, text in settings.items():
        value = text if name in _DIGESTS else read_scalar(text)
        values[name] = value if isinstance(value, int | float | bool) and as_scalar(value) == text else text
    return values


def differences(all_settings: Sequence[Settings]) -> str:
    """The settings with several values, as text: ``image_size (64, 112), num_frames (8, 16)``."""
    words = []
    for name in dict.fromkeys(name for settings in all_settings for name in settings):
        values = _ordered(_short(name, settings.get(name, "none")) for settings in all_settings)
        if len(values) > 1:
            more = [f"and {len(values) - _MOST_VALUES} more"] if len(values) > _MOST_VALUES else []
            words.append(f"{name} ({', '.join(values[:_MOST_VALUES] + more)})")
    return ", ".join(words)


def is_fulfilled(where: Mapping[str, Any], settings: Settings) -> bool:
    """Whether settings have all of these values."""
    return all(name in settings and _is_value(name, given, settings[name]) for name, given in where.items())


def chosen(filed: Iterable[Filed], where: Mapping[str, Any], whose: str = "") -> list[Filed]:
    """The records with these settings, in order.

    Args:
        where: name of a setting -> value, as text in the notation of the command line or as a Python value.
        whose: words in error messages about the records, such as `` of the model 'mine'``.

    Raises:
        ValueError: a setting does not exist, or no record has its value.
    """
    kept = list(filed)
    if not where:
        return kept
    settings = {path: settings_of(record) for path, record in kept}
    for name, given in where.items():
        values = _ordered(_short(name, one[name]) for path, _ in kept if name in (one := settings[path]))
        if not values:
            known = {setting for one in settings.values() for setting in one}
            raise ValueError(f"no record{whose} has a setting '{name}'.{suggestion(name, known)}")
        kept = [(path, record) for path, record in kept if is_fulfilled({name: given}, settings[path])]
        if not kept:
            raise ValueError(f"no record{whose} has {name}={given}; its values here: {', '.join(values)}")
    return kept


def narrowed(filed: Sequence[Filed], where: Mapping[str, Any], whose: str) -> tuple[list[Filed], Settings]:
    """The records of one model with these settings, and the settings that chose among them.

    A setting of which all records have one other value chooses nothing.

    Args:
        where, whose: as in ``chosen``.

    Raises:
        ValueError: the records have several values of a setting, and not the given one.
    """
    kept, used = list(filed), {}
    for name, given in where.items():
        fitting = [(path, record) for path, record in kept if is_fulfilled({name: given}, settings_of(record))]
        values = {settings_of(record).get(name) for _, record in kept}
        if len(values) > 1:
            kept = fitting or chosen(kept, {name: given}, whose)
            used[name] = str(given)
    return kept, used


def named_model(label: str, models: Iterable[str]) -> tuple[str, Settings]:
    """Name and settings of a model that is named as in a table: ``mine`` or ``mine (image_size=112)``.

    Raises:
        ValueError: there is no such model.
    """
    known = set(models)
    found = _LABEL.fullmatch(label)
    if label in known:
        return label, {}
    if found is None or found["model"] not in known:
        raise ValueError(f"there is no record of a model '{label}' here.{suggestion(label, known)}")
    pairs = (pair.partition("=") for pair in re.split(r", (?=[\w.]+=)", found["settings"]))
    return found["model"], {name: value for name, _, value in pairs}


def row_labels(filed: Iterable[Filed]) -> dict[Path, str]:
    """Labels of records whose model's name stands for several encoders, such as ``mine (image_size=112)``.

    Several pretraining seeds of one encoder share a label.  Records of other models are absent.
    """
    cards: dict[str, dict[EncoderCard, list[Path]]] = {}
    for path, record in filed:
        cards.setdefault(record.model.model, {}).setdefault(record.model, []).append(path)
    labels: dict[Path, str] = {}
    for name, of_name in cards.items():
        kinds = _kinds(list(of_name))
        words = dict(zip(kinds, telling([dict(kind) for kind in kinds]), strict=True))
        for kind, of_kind in kinds.items() if len(kinds) > 1 else ():
            label = f"{name} ({shown(words[kind])})"
            labels |= {path: label for card in of_kind for path in of_name[card]}
    return labels


def name_in(label: str) -> str:
    """The name of the model in a row label, such as ``mine`` in ``mine (image_size=112)``."""
    found = _LABEL.fullmatch(label)
    return found["model"] if found else label


_Kind = tuple[tuple[str, str], ...]


def _kinds(cards: Sequence[EncoderCard]) -> dict[_Kind, list[EncoderCard]]:
    """Cards of one name by their settings; one kind if all are pretraining seeds of one encoder."""
    if not _are_several(cards):
        return {(): list(cards)}
    kinds = _grouped(cards, ("pretraining_seed", "checkpoint"))
    if any(_are_several(of_kind) for of_kind in kinds.values()):
        kinds = _grouped(cards, ("pretraining_seed",))
    return kinds


def _grouped(cards: Sequence[EncoderCard], besides: tuple[str, ...]) -> dict[_Kind, list[EncoderCard]]:
    kinds: dict[_Kind, list[EncoderCard]] = {}
    for card in cards:
        kind = tuple((name, value) for name, value in model_settings(card).items() if name not in besides)
        kinds.setdefault(kind, []).append(card)
    return kinds


def _are_several(cards: Sequence[EncoderCard]) -> bool:
    """Whether cards of one name are more than pretraining seeds of one encoder."""
    encoders = {(card.pretraining_seed, digest(card.identity)) for card in cards}
    alike = {
        (card.family, card.num_parameters, card.feature_width, card.pretraining_data, card.pretraining_epochs)
        for card in cards
    }
    return len(encoders) > len({seed for seed, _ in encoders}) or len(alike) > 1


def _is_value(name: str, given: Any, own: str) -> bool:
    if name in _DIGESTS:
        return own == given or (len(str(given)) >= _LEAST_DIGITS and own.startswith(str(given)))
    if not isinstance(given, str):
        return own == as_scalar(list(given) if isinstance(given, tuple) else given)
    try:
        return own in (given, as_scalar(read_scalar(given)))
    except (ValueError, TypeError):
        return own == given


def _ordered(values: Iterable[str]) -> list[str]:
    """Distinct values: whole numbers by size, then other texts."""
    return sorted(set(values), key=lambda value: (not value.isdecimal(), value.isdecimal() and int(value), value))


def _short(name: str, value: str) -> str:
    return value[:_SHOWN_DIGITS] if name in _DIGESTS else value


def _flat(keys: Mapping[str, Any], before: str = "") -> Settings:
    found: Settings = {}
    for name, value in keys.items():
        if isinstance(value, Mapping) and value:
            found |= _flat(value, f"{before}{name}.")
        else:
            found[f"{before}{name}"] = as_scalar(value)
    return found
