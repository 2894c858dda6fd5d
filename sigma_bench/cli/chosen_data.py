"""The data that a command reads: datasets below a data root, custom datasets by name, or custom data by path."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import typer

from sigma_bench.specs import catalogue

if TYPE_CHECKING:
    from sigma_bench.data.manifest import Manifest

WORDS = "Data root and names of datasets below it, or names of custom datasets, see 'data describe'."
CSV: Path = typer.Option(
    None,
    help="Custom data: a CSV with path,label[,split][,group] or path,masks[,split][,group], a list of lines "
    "'path label', or a folder of train.csv with val.csv or test.csv.  ';' separates several labels.",
)
FOLDERS: Path = typer.Option(
    None, help="Custom data: a folder per class (below train and test or val), or frames and masks as in DAVIS."
)


class Chosen(NamedTuple):
    """A dataset that a command reads."""

    name: str
    title: str
    manifest: "Manifest"


def root_and_names(words: Sequence[str]) -> tuple[Path | None, list[str]]:
    """The data root and the names of datasets; the first word is the root unless it names a custom dataset."""
    if not words or catalogue.is_custom_dataset(words[0]):
        return None, list(words)
    return Path(words[0]), list(words[1:])


def require_named(words: Sequence[str] | None, csv: Path | None, folders: Path | None) -> None:
    """ValueError if no data are named, or both datasets and custom data by path."""
    is_custom = csv is not None or folders is not None
    if is_custom and words:
        raise ValueError(f"{words[0]}: --csv and --folders name the data; leave the data root and datasets out")
    if not is_custom and not words:
        raise ValueError("no data are named: give a data root, the name of a custom dataset, or --csv or --folders")


def chosen_one(words: Sequence[str] | None, csv: Path | None, folders: Path | None) -> Chosen:
    """The one dataset that a command reads.

    Raises:
        ValueError: as ``chosen``, or none or several datasets are named.
    """
    require_named(words, csv, folders)
    if words and len(root_and_names(words)[1]) != 1:
        raise ValueError(
            f"{' '.join(words)}: give a data root and the name of one dataset below it, or the name of one custom "
            "dataset in a folder that is included"
        )
    return chosen(words, csv, folders)[0]


def chosen(words: Sequence[str] | None, csv: Path | None, folders: Path | None) -> list[Chosen]:
    """The datasets that a command reads; all datasets below the data root if none is named.

    Raises:
        ValueError: as ``require_named``, or a dataset cannot be opened.
    """
    from sigma_bench.data.custom_data import open_custom
    from sigma_bench.data.datasets import open_dataset
    from sigma_bench.data.inventory import cards_below

    require_named(words, csv, folders)
    if not words:
        manifest = open_custom(csv, folders)
        return [Chosen(manifest.dataset, manifest.dataset, manifest)]
    root, names = root_and_names(words)
    cards = cards_below(root) if root is not None and not names else [catalogue.load_dataset(name) for name in names]
    if not cards:
        raise ValueError(f"{words[0]}: there is no folder of a dataset here; see 'sigma-bench data prepare {words[0]}'")
    return [Chosen(card.dataset, card.title, open_dataset(card, root)) for card in cards]
