"""A folder to attach to a paper: tables, figures, records and a manifest with the digest of every file."""

import hashlib
import json
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path, PurePosixPath

from matplotlib.figure import Figure

from sigma_bench import __version__
from sigma_bench.leaderboard.exports import jsonl, table_files
from sigma_bench.leaderboard.figures import draw_scores, saved
from sigma_bench.leaderboard.fill import Filled
from sigma_bench.leaderboard.latex import latex_document
from sigma_bench.leaderboard.model_styles import model_styles
from sigma_bench.leaderboard.mteb import mteb_files
from sigma_bench.leaderboard.training_figure import Curves, draw_training
from sigma_bench.records.record import Record
from sigma_bench.records.store import Store, reduced_file, write_atomically
from sigma_bench.records.verification import MANIFEST


def write_bundle(
    folder: Path, boards: Sequence[Filled], store: Store, curves: Curves, *, with_predictions: bool
) -> list[str]:
    """Write the folder; the same records give the same bytes.

    Args:
        folder: must not exist, or be empty.
        boards: filled boards.
        store: store of the records.
        curves: training logs by model; may be empty.
        with_predictions: copy the stored predictions too, so that the folder can be verified by itself.

    Returns:
        The files, relative to the folder.

    Raises:
        ValueError: something is in the folder already, it cannot be written, or predictions are missing.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ValueError(f"{folder}: {'not empty' if folder.is_dir() else 'a file'}; choose a new folder")
    files = _tables(boards, store) | _figures(boards, curves) | _records(boards, store, with_predictions)
    for name, content in files.items():
        assert not PurePosixPath(name).is_absolute() and ".." not in PurePosixPath(name).parts, name
        write_atomically(folder / name, content)
    manifest = {
        "sigma_bench": __version__,
        "boards": [filled.table.name for filled in boards],
        "verify": "sigma-bench verify <this folder>",
        "files": {
            name: {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
            for name, content in sorted(files.items())
        },
    }
    write_atomically(folder / MANIFEST, (json.dumps(manifest, indent=1) + "\n").encode())
    return [*sorted(files), MANIFEST]


def _tables(boards: Sequence[Filled], store: Store) -> dict[str, bytes]:
    texts: dict[str, str] = {}
    for filled in boards:
        name = filled.table.name
        texts |= {f"tables/{file}": text for file, text in table_files(filled.table, name).items()}
        texts[f"tables/{name}_long.jsonl"] = jsonl(
            filled.long.assign(path=[_place(p, store) for p in filled.long["path"]])
        )
    names = [f"{filled.table.name}.tex" for filled in boards]
    texts["tables/preview.tex"] = latex_document([filled.table for filled in boards], names)
    labels = {name: label for filled in boards for name, label in filled.labels.items()}
    files = mteb_files((record for _, record in _chosen(boards)), labels)
    texts |= {f"mteb/{path}": text for path, text in files.items()}
    return {name: text.encode() for name, text in texts.items()}


def _figures(boards: Sequence[Filled], curves: Curves) -> dict[str, bytes]:
    styles = model_styles((filled.table for filled in boards), curves)
    drawn: dict[str, Callable[[], Figure]] = {
        f"{filled.table.name}_scores": partial(draw_scores, filled.table, styles) for filled in boards if filled.records
    }
    if curves:
        drawn["training"] = partial(draw_training, curves, styles)
    files: dict[str, bytes] = {}
    for name, draw in drawn.items():
        files |= {f"figures/{name}.pdf": saved(draw, "pdf"), f"figures/{name}.png": saved(draw, "png")}
    return files


def _records(boards: Sequence[Filled], store: Store, with_predictions: bool) -> dict[str, bytes]:
    """Unchanged record files in the layout of a store, and their predictions if requested."""
    files = {}
    for path, record in _chosen(boards):
        files[_place(path, store)] = path.read_bytes()
        if with_predictions:
            names = (record.predictions.file, reduced_file(record.predictions))
            name = next((name for name in names if (store.root / name).is_file()), None)
            if name is None:
                raise ValueError(f"{path}: its predictions are not here; export with --no-predictions")
            files[name] = (store.root / name).read_bytes()
    return files


def _place(path: Path | str, store: Store) -> str:
    """Path of a record relative to its store, which is also its path in the folder."""
    return Path(path).relative_to(store.root).as_posix()


def _chosen(boards: Sequence[Filled]) -> list[tuple[Path, Record]]:
    """All records of the boards, without repetition."""
    return list({path: (path, record) for filled in boards for path, record in filled.records}.values())
