"""``mini_world``: small generated versions of datasets, on which everything can be tried in minutes."""

from collections.abc import Iterable
from pathlib import Path

from sigma_bench.api.arguments import names_of, path_of, seed_of
from sigma_bench.api.progress import progress_bars
from sigma_bench.miniworld.world import DATASETS, write_miniworld
from sigma_bench.specs.strict import suggestion


def mini_world(root: str | Path, *, datasets: str | Iterable[str] = (), seed: int = 0, progress: bool = True) -> Path:
    """Write the mini world, or some of its datasets, and return its folder, which is a data root.

    The datasets have their official layouts.  A dataset that is complete is not written again.

    Args:
        root: folder to write into.
        datasets: names of the folders of datasets, such as ``ssv2``; all of them by default.
        seed: seed of the generator; the same seed gives the same bytes.
        progress: whether to show a progress bar.

    Raises:
        ValueError: there is no such dataset, a folder of its name holds something else or cannot be written, or another
            process is writing into ``root``.
    """
    root, seed = path_of("root", root), seed_of(seed)
    folders = names_of("datasets", datasets) or DATASETS
    for name in folders:
        if name not in DATASETS:
            raise ValueError(f"the mini world has no dataset '{name}'.{suggestion(name, DATASETS)}")
    with progress_bars(disable=not progress) as bars:
        bar = bars.add_task("mini world", total=1.0)
        for fraction in write_miniworld(root, seed, folders=folders):
            bars.update(bar, completed=fraction)
        bars.update(bar, completed=1.0)
    return root
