"""``sigma-bench doctor``: check that this installation decodes, searches and computes correctly."""

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import typer
from rich.markup import escape

from sigma_bench.cli.console import out


def doctor() -> None:
    """Check decoder, FAISS, torch and declarations on small examples; the exit code is 1 if a check fails."""
    from sigma_bench.records.provenance import hardware, versions

    out.print(f"[bold]hardware[/]  {hardware()}")
    out.print(f"[bold]versions[/]  {', '.join(f'{name} {version}' for name, version in versions().items())}")
    checks: dict[str, Callable[[], str]] = {
        "declarations": _declarations,
        "torch": _torch,
        "faiss": _faiss,
        "video": _video,
    }
    failed = 0
    for name, check in checks.items():
        try:
            out.print(f"[green]ok[/]    {name}: {check()}")
        except (ValueError, RuntimeError, ImportError, OSError) as error:
            failed += 1
            out.print(f"[red]fails[/] {name}: {escape(str(error))}")
    if failed:
        raise typer.Exit(1)


def _declarations() -> str:
    from sigma_bench.specs import catalogue

    for name in catalogue.task_names():
        catalogue.resolve(catalogue.load_task(name))
    for name in catalogue.recipe_names():
        catalogue.load_recipe(name)
    return f"{len(catalogue.task_names())} tasks and {len(catalogue.recipe_names())} recipes load"


def _torch() -> str:
    import torch

    identity = torch.eye(3)
    if not torch.equal(identity @ identity, identity):
        raise RuntimeError("a matrix product is wrong")
    accelerator = torch.cuda.get_device_name(0) if torch.cuda.is_available() else "no GPU"
    return f"{torch.get_num_threads()} threads, {accelerator}"


def _faiss() -> str:
    import faiss
    import numpy as np

    index = faiss.IndexFlatIP(2)
    index.add(np.eye(2, dtype=np.float32))
    if index.search(np.array([[0.1, 0.9]], np.float32), 1)[1][0, 0] != 1:
        raise RuntimeError("a nearest neighbour is wrong")
    return f"{faiss.__version__}, {faiss.get_num_gpus()} GPUs"


def _video() -> str:
    import numpy as np

    from sigma_bench.data.video import DecordDecoder
    from sigma_bench.miniworld.writers import write_video

    ramp_THWC = np.broadcast_to(np.arange(8, dtype=np.uint8)[:, None, None, None] * 30, (8, 64, 64, 3))
    with TemporaryDirectory() as folder:
        for suffix in (".avi", ".webm", ".mp4"):
            path = Path(folder) / f"ramp{suffix}"
            write_video(path, ramp_THWC)
            grey = DecordDecoder(path).frames([6])[0].mean()
            if abs(grey - 180) > 6:
                raise RuntimeError(f"frame 6 of a {suffix} file has grey level {grey:.0f} instead of 180")
    return "AVI (MPEG-4), WebM (VP9) and MP4 (H.264) written and read back, frames in order"
