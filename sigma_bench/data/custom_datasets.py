"""Custom datasets: custom data whose declaration in the catalogue states where they are and how many there are."""

from dataclasses import replace
from pathlib import Path

from sigma_bench.data.custom_data import open_custom
from sigma_bench.data.manifest import Manifest
from sigma_bench.specs import catalogue
from sigma_bench.specs.dataset import DatasetCard
from sigma_bench.specs.declared import files_of


def open_declared(card: DatasetCard) -> Manifest:
    """The manifest of a custom dataset, from the files that its declaration in the catalogue names.

    Raises:
        ValueError: there is no such declaration, its files have moved, or their classes, splits or numbers of samples
            are not those that it states.
    """
    files = catalogue.load_dataset_file(card.dataset).files if card.dataset in files_of("dataset") else None
    if files is None:
        raise ValueError(
            f"{card.dataset}: these custom data are not declared as a dataset; write a declaration with 'sigma-bench "
            "data describe', and include its folder"
        )
    where = files_of("dataset")[card.dataset]
    ((key, path),) = files.model_dump(exclude_none=True).items()
    if not Path(path).exists():
        raise ValueError(
            f"{path}: not found; {where} states that the data of {card.dataset} are here: correct '{key}' below "
            "'files' there, or move the data back"
        )
    manifest = open_custom(**{key: Path(path)})
    _require_as_declared(manifest, card, f"{path}: has", str(where))
    return replace(manifest, dataset=card.dataset)


def _require_as_declared(manifest: Manifest, card: DatasetCard, found_in: str, declared_in: str) -> None:
    """ValueError that names all numbers in which the files differ from the card."""
    counts = [("classes", card.classes, manifest.classes and len(manifest.classes))]
    for name in (*card.splits, *(name for name in manifest.splits if name not in card.splits)):
        declared, found = card.splits.get(name), manifest.splits.get(name)
        counts.append((f"{name} samples", declared.samples if declared else 0, len(found.samples) if found else 0))
    differing = [(unit, expected or 0, number or 0) for unit, expected, number in counts if expected != number]
    if differing:
        raise ValueError(
            f"{found_in} {' and '.join(f'{number} {unit}' for unit, _, number in differing)}, but {declared_in} states "
            f"{' and '.join(str(expected) for _, expected, _ in differing)}: undo the change, or correct the numbers "
            "there; scores on changed data are stored as those of other data"
        )
