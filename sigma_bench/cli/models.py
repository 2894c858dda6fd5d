"""``sigma-bench models``: which models are on this disk, and what a checkpoint is."""

from pathlib import Path

import typer
from rich.table import Table

from sigma_bench.cli.console import out


def models(
    folder: Path = typer.Argument(Path("results"), help="A checkpoint, or a folder to search for checkpoints."),
) -> None:
    """List checkpoints below a folder with what they are; the controls need none."""
    from sigma_bench.models.encoder import pretrained_encoder
    from sigma_bench.models.zoo import CHECKPOINT_NAME

    if not folder.exists():
        raise ValueError(f"{folder}: there is no such file or folder")
    paths = [folder] if folder.is_file() else sorted(folder.rglob(CHECKPOINT_NAME))
    listing = Table(box=None, header_style="bold", pad_edge=False)
    for column in ("family", "clip", "parameters", "pretrained on", "seed", "sha256", "checkpoint"):
        listing.add_column(column, overflow="fold")
    for path in paths:
        card = pretrained_encoder(path).card
        listing.add_row(
            card.family,
            f"{card.num_frames} x {card.image_size} px",
            f"{card.num_parameters / 1e6:.2f} M",
            f"{', '.join(card.pretraining_data)}, {card.pretraining_epochs} epochs",
            str(card.pretraining_seed),
            card.checkpoint_sha256[:12],
            str(path),
        )
    if paths:
        out.print(listing)
    else:
        out.print(f"no checkpoints below {folder}; make one with 'sigma-bench pretrain <recipe>'")
    out.print("controls: random:<recipe>, statistics:<recipe>")
