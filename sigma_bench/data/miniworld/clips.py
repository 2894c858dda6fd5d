"""The mini world's single clips: what each dataset asks, drawn for one sample.

Every sample has its own random stream, named by world seed, dataset, split and number, so that the same
seed gives the same pixels whatever else is drawn and in whatever order.
"""

import zlib

import numpy as np

from sigma_bench.data.miniworld.scene import (
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
DIRECTIONS = (
    "left to right",
    "top left to bottom right",
    "top to bottom",
    "top right to bottom left",
    "right to left",
    "bottom right to top left",
    "bottom to top",
    "bottom left to top right",
)
"""Motion classes in steps of 45 degrees, counted from rightwards to downwards."""


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
    direction: int | None = None,
    speed_px: tuple[float, float] = (1.5, 3.0),
) -> np.ndarray:
    """An embossed flock of one handwritten digit over a drifting background, (T, S, S, 3) uint8.

    ``direction`` None moves it anywhere; ``speed_px`` is the range of pixels per frame on a 64-pixel canvas.
    """
    unit = side / CANVAS
    background, _ = texture(num_frames, side, rng, rng.uniform(0, 1) * unit)
    angle = rng.uniform(0, 2 * np.pi) if direction is None else direction * np.pi / 4
    centre_T2 = path(num_frames, rng.uniform(0, side, 2), angle, rng.uniform(*speed_px) * unit)
    contrast = rng.choice([-1, 1]) * rng.uniform(0.35, 0.6) * rng.uniform(0.7, 1, 3)
    flock = Mover(digit_sprite(digit, rng, part), contrast, rng.uniform(20, 23) * unit, centre_T2, FLOCK)
    return emboss(background, flock)


def occluding_shapes(rng: np.random.Generator, *, num_frames: int) -> tuple[np.ndarray, np.ndarray]:
    """Two or three shapes that cross and occlude each other: frames (T, S, S, 3) and object ids (T, S, S)."""
    side = CANVAS * 3 // 2
    background, base = texture(num_frames, side, rng, rng.uniform(0, 1))
    movers = []
    for shape in rng.choice(SHAPES, rng.integers(2, 4), replace=False):
        start = rng.uniform(0.2, 0.8, 2) * side
        centre_T2 = path(num_frames, start, rng.uniform(0, 2 * np.pi), rng.uniform(0.5, 1.5))
        colour = contrasting_colour(base, rng)
        movers.append(Mover(shape_sprite(str(shape)), colour, rng.uniform(34, 54), centre_T2))
    return paint(background, movers)
