"""Opening a dataset: card -> official reader -> manifest."""

from collections.abc import Callable
from importlib import import_module
from pathlib import Path

from sigma_bench.data.ledger import Ledger, ledger_path, with_decoders
from sigma_bench.data.manifest import Manifest
from sigma_bench.specs.dataset import DatasetCard

READERS = {
    "ucf101": "sigma_bench.data.readers.ucf101:read",
    "ssv2": "sigma_bench.data.readers.ssv2:read",
    "kinetics400": "sigma_bench.data.readers.kinetics400:read",
    "cifar100": "sigma_bench.data.readers.cifar100:read",
    "davis2017": "sigma_bench.data.readers.davis2017:read",
}


def open_dataset(card: DatasetCard, root: Path) -> Manifest:
    """The manifest of one dataset below a data root (``<root>/<folder of the card>/...``), with what is verified of it.

    Raises:
        ValueError: the root or the dataset's folder is missing or empty, or an official file is wrong;
            one sentence that says what was looked for.
    """
    if not root.is_dir():
        raise ValueError(
            f"{root}: there is no such data root; write the mini world with 'sigma-bench data mini {root}'"
        )
    folder = root / card.home
    if not folder.is_dir() or not any(folder.iterdir()):
        raise ValueError(
            f"{folder}: {card.title} is not here; its official layout is {', '.join(card.layout)} (from {card.source})"
        )
    module, attribute = READERS[card.reader].split(":")
    read: Callable[[Path, DatasetCard], Manifest] = getattr(import_module(module), attribute)
    return with_decoders(read(folder, card), Ledger.read(ledger_path(root, card.home)), folder)
