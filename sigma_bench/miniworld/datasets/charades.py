"""Mini Charades: several shapes that move one after another; an action is the movement of one shape.

A shape moves horizontally or vertically, so ten of the 157 actions occur.  A single frame shows the shapes, but not
which of them moves, or how.
"""

from pathlib import Path

from sigma_bench.miniworld.clips import separately_moving_shapes, stream
from sigma_bench.miniworld.generator import Counts, FileTask, Size, counts_of
from sigma_bench.miniworld.scene import SHAPES
from sigma_bench.miniworld.writers import FRAMES_PER_SECOND, write_video
from sigma_bench.records.store import write_atomically

NUM_FRAMES = 36
ACTION_STEP = 15
"""Factor between action ids: the n-th action, with n = 2 x shape + (1 if vertical), has the id 15 n."""
SIZE = (120, 60)
"""Number of training and test samples."""


def build(root: Path, seed: int, size: Size) -> tuple[Counts, list[FileTask]]:
    """Write the annotation files; return the counts and the tasks that write the media files."""
    tasks = []
    for part, count in counts_of(size).items():
        rows = ["id,subject,scene,quality,relevance,verified,script,objects,descriptions,actions,length"]
        for position in range(count):
            name = f"{'TR' if part == 'train' else 'TE'}{position:03d}"
            _, turns = separately_moving_shapes(stream(seed, "charades", name), num_frames=NUM_FRAMES)
            actions = ";".join(
                f"c{ACTION_STEP * (2 * SHAPES.index(turn.shape) + turn.is_vertical):03d} "
                f"{turn.first / FRAMES_PER_SECOND:.2f} {turn.end / FRAMES_PER_SECOND:.2f}"
                for turn in turns
            )
            rows.append(f"{name},,,,,,,,,{actions},{NUM_FRAMES / FRAMES_PER_SECOND:.2f}")
            tasks.append(FileTask(_write_clip, (root / "Charades_v1_480" / f"{name}.mp4", seed)))
        write_atomically(root / "Charades" / f"Charades_v1_{part}.csv", ("\n".join(rows) + "\n").encode())
    return {"charades": counts_of(size)}, tasks


def _write_clip(path: Path, seed: int) -> None:
    frames, _ = separately_moving_shapes(stream(seed, "charades", path.stem), num_frames=NUM_FRAMES)
    write_video(path, frames)
