"""The mini world's single clips: what each dataset asks, drawn for one sample.

Every sample has its own random stream, named by world seed, dataset, split and number, so that the same
seed gives the same pixels whatever else is drawn and in whatever order.
"""

import zlib
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from sigma_bench.miniworld.scene import (
    SHAPES,
    Mover,
    contrasting_colour,
    digit_sprite,
    emboss,
    paint,
    path,
    shape_sprite,
    texture,
)

CANVAS = 64
FLOCK = 3
MOVE_FRAMES, REST_FRAMES, MOVE_PIXELS = 6, 2, 12
GLIDE_FRAMES, GLIDE_COPIES = 16, 4
WAYS = {
    "left to right, slowly down": (1, 2),
    "left to right, slowly up": (-1, 2),
    "right to left, slowly down": (1, -2),
    "right to left, slowly up": (-1, -2),
    "top to bottom, slowly right": (2, 1),
    "top to bottom, slowly left": (2, -1),
    "bottom to top, slowly right": (-2, 1),
    "bottom to top, slowly left": (-2, -1),
}
"""How many times (down, right) a flock comes to where its neighbour was, in one clip."""


def stream(seed: int, *name: str | int) -> np.random.Generator:
    """The random stream of one sample."""
    return np.random.default_rng([seed, zlib.crc32("/".join(map(str, name)).encode())])


def flock_clip(
    rng: np.random.Generator,
    *,
    digit: int,
    part: str,
    num_frames: int,
    side: int = CANVAS,
    speed_px: tuple[float, float] = (0.5, 2.0),
    copies: int = FLOCK,
) -> np.ndarray:
    """An embossed flock of one handwritten digit over a drifting background, (T, S, S, 3) uint8.

    It moves straight, in any direction; ``speed_px`` is the range of pixels per frame on a 64-pixel canvas.
    """
    unit = side / CANVAS
    background, _ = texture(num_frames, side, rng, rng.uniform(0, 1) * unit)
    angle = rng.uniform(0, 2 * np.pi)
    centre_T2 = path(num_frames, rng.uniform(0, side, 2), angle, rng.uniform(*speed_px) * unit)
    return emboss(background, _flock(rng, digit, part, centre_T2, unit, copies))


def moving_flock(
    rng: np.random.Generator, moves: Sequence[tuple[int, int]], *, part: str, num_frames: int
) -> np.ndarray:
    """An embossed flock of any digit that makes some movements one after another, (T, S, S, 3) uint8.

    A movement (y, x) takes six frames and 12 pixels; the flock rests in between, before and after, for as long as is
    left, and anywhere: no frame tells what comes or came.
    """
    background, _ = texture(num_frames, CANVAS, rng, rng.uniform(0, 0.5))
    step_T2 = np.zeros((num_frames, 2))
    first = int(rng.integers(1, num_frames - len(moves) * (MOVE_FRAMES + REST_FRAMES) + 1))
    for move in moves:
        step_T2[first : first + MOVE_FRAMES] = np.array(move) * MOVE_PIXELS / MOVE_FRAMES
        first += MOVE_FRAMES + REST_FRAMES
    centre_T2 = rng.uniform(0, CANVAS, 2) + step_T2.cumsum(0)
    return emboss(background, _flock(rng, int(rng.integers(10)), part, centre_T2, 1.0, FLOCK))


def gliding_flock(rng: np.random.Generator, way: tuple[int, int], *, digit: int, part: str) -> np.ndarray:
    """An embossed flock of one digit that glides, see ``glide_path``, (T, S, S, 3) uint8."""
    path_T2 = glide_path(way)
    background, _ = texture(len(path_T2), CANVAS, rng, rng.uniform(0, 1))
    centre_T2 = rng.uniform(0, CANVAS, 2) + path_T2
    return emboss(background, _flock(rng, digit, part, centre_T2, 1.0, GLIDE_COPIES))


def glide_path(way: tuple[int, int]) -> np.ndarray:
    """The path (y, x) of a flock from where it begins, in pixels, (T, 2): 2.2 px a frame.

    In one clip every digit comes once to where its neighbour was in one axis and twice in the other, so that over the
    clip it stands everywhere between the two alike, in both axes: positions, taken together without their order, tell
    neither direction nor axis.  (Along a single axis they would: the other coordinate would stand still.)
    """
    return np.arange(GLIDE_FRAMES)[:, None] * np.array(way) * CANVAS / GLIDE_COPIES / GLIDE_FRAMES


class Turn(NamedTuple):
    """What one shape does: it moves from a frame to another, which is not part of it, across or up and down."""

    shape: str
    first: int
    end: int
    is_vertical: bool


def taking_turns(rng: np.random.Generator, *, num_frames: int) -> tuple[np.ndarray, list[Turn]]:
    """Two or three solid shapes, each of which moves for a third to two thirds of the clip: frames and turns."""
    background, base = texture(num_frames, CANVAS, rng, rng.uniform(0, 0.5))
    movers, turns = [], []
    for shape in rng.choice(SHAPES, rng.integers(2, 4), replace=False):
        length = int(rng.integers(num_frames // 3, 2 * num_frames // 3))
        first = int(rng.integers(0, num_frames - length + 1))
        turn = Turn(str(shape), first, first + length, bool(rng.integers(2)))
        step_T2 = np.zeros((num_frames, 2))
        step_T2[first : first + length, 0 if turn.is_vertical else 1] = rng.choice([-1, 1]) * rng.uniform(1, 2)
        centre_T2 = rng.uniform(0, CANVAS, 2) + step_T2.cumsum(0)
        movers.append(Mover(shape_sprite(turn.shape), contrasting_colour(base, rng), rng.uniform(16, 22), centre_T2))
        turns.append(turn)
    return paint(background, movers)[0], turns


def occluding_shapes(rng: np.random.Generator, *, num_frames: int) -> tuple[np.ndarray, np.ndarray]:
    """Two or three shapes that cross and occlude each other: frames (T, S, S, 3) and object ids (T, S, S)."""
    side = CANVAS * 3 // 2
    background, base = texture(num_frames, side, rng, rng.uniform(0, 1))
    shapes = rng.choice(SHAPES, rng.integers(2, 4), replace=False)
    return paint(background, [_wanderer(rng, str(shape), base, num_frames, side) for shape in shapes])


def crossing_shapes(
    rng: np.random.Generator, shapes: Sequence[str], *, num_frames: int, side: int = CANVAS * 3 // 2
) -> tuple[np.ndarray, np.ndarray]:
    """These shapes, which may be equal, crossing and occluding each other: frames (T, S, S, 3), ids (T, S, S)."""
    background, base = texture(num_frames, side, rng, rng.uniform(0, 1))
    return paint(background, [_wanderer(rng, shape, base, num_frames, side) for shape in shapes])


def _wanderer(rng: np.random.Generator, shape: str, base_3: np.ndarray, num_frames: int, side: int) -> Mover:
    start = rng.uniform(0.2, 0.8, 2) * side
    centre_T2 = path(num_frames, start, rng.uniform(0, 2 * np.pi), rng.uniform(0.5, 1.5))
    colour = contrasting_colour(base_3, rng)
    return Mover(shape_sprite(shape), colour, rng.uniform(34, 54) * side / (CANVAS * 3 // 2), centre_T2)


def _flock(rng: np.random.Generator, digit: int, part: str, centre_T2: np.ndarray, unit: float, copies: int) -> Mover:
    """Copies of one digit that fill the canvas like a flock of three by three does."""
    contrast = rng.choice([-1, 1]) * rng.uniform(0.35, 0.6) * rng.uniform(0.7, 1, 3)
    side = rng.uniform(20, 23) * unit * FLOCK / copies
    return Mover(digit_sprite(digit, rng, part), contrast, side, centre_T2, copies)
