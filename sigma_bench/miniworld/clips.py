"""Drawing one clip of the mini world: each function draws what one kind of dataset distinguishes.

The datasets of appearance distinguish patterns of the scene (``scene_clip``), those of motion the paths of flocks of
handwritten digits, and those of segmentation patterned objects in front of a patterned background.

Every sample has a random stream of its own, which is derived from the seed, the dataset, the split and the number of
the sample.  The pixels therefore do not depend on which other samples are drawn, or in which order.

Shapes: T frames, S canvas side in pixels.
"""

import zlib
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from sigma_bench.miniworld.patterns import PATTERNS, contrast_colour, scenery, wave, wavelength_of
from sigma_bench.miniworld.scene import (
    CANVAS,
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

FLOCK = 3
ACTOR_PIXELS, OBJECT_PIXELS = (16, 24), (23, 36)
"""Range of the size of a solid object on a canvas of 64 pixels: in a scene, and where the object is what matters."""
MOVE_FRAMES, REST_FRAMES, MOVE_PIXELS = 6, 2, 12
GLIDE_FRAMES, GLIDE_COPIES, GLIDE_SIGN_FRAMES = 16, 4, 4
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
"""Displacement (down, right) of a flock over one clip, in distances between neighbours."""


def stream(seed: int, *name: str | int) -> np.random.Generator:
    """The random stream of one sample."""
    return np.random.default_rng([seed, zlib.crc32("/".join(map(str, name)).encode())])


def scene_clip(
    rng: np.random.Generator, pattern: str, width: str | None = None, *, num_frames: int, side: int = CANVAS
) -> np.ndarray:
    """A small solid object of any shape and pattern that moves over a scene of the given pattern, (T, S, S, 3) uint8.

    Args:
        width: a key of ``WAVELENGTHS``, or None for any wavelength.
    """
    unit = side / CANVAS
    background, base = scenery(pattern, wavelength_of(width, rng) * unit, rng, num_frames=num_frames, side=side)
    shape, surface = str(rng.choice(SHAPES)), str(rng.choice(PATTERNS))
    start_2, size = rng.uniform(0, side, 2), rng.uniform(*ACTOR_PIXELS) * unit
    return paint(background, [_wanderer(rng, shape, surface, base, start_2, size, num_frames, side)])[0]


def moving_flock(
    rng: np.random.Generator, moves: Sequence[tuple[int, int]], *, part: str, num_frames: int
) -> np.ndarray:
    """An embossed flock of a random digit that makes several movements one after another, (T, S, S, 3) uint8.

    A movement (y, x) takes six frames and covers 12 pixels.  The flock rests between movements for two frames, and
    before the first and after the last movement for the frames that are left.  It starts at a random place, so a single
    frame does not show earlier or later movements.
    """
    background, _ = texture(num_frames, CANVAS, rng, rng.uniform(0, 0.5))
    step_T2 = np.zeros((num_frames, 2))
    first = int(rng.integers(1, num_frames - len(moves) * (MOVE_FRAMES + REST_FRAMES) + 1))
    for move in moves:
        step_T2[first : first + MOVE_FRAMES] = np.array(move) * MOVE_PIXELS / MOVE_FRAMES
        first += MOVE_FRAMES + REST_FRAMES
    centre_T2 = rng.uniform(0, CANVAS, 2) + step_T2.cumsum(0)
    return emboss(background, _flock(rng, int(rng.integers(10)), part, centre_T2, FLOCK, num_frames))


def gliding_flock(rng: np.random.Generator, way: tuple[int, int], *, digit: int, part: str) -> np.ndarray:
    """An embossed flock of one digit that moves along ``glide_path``, (T, S, S, 3) uint8."""
    path_T2 = glide_path(way)
    background, _ = texture(len(path_T2), CANVAS, rng, rng.uniform(0, 1))
    centre_T2 = rng.uniform(0, CANVAS, 2) + path_T2
    return emboss(background, _flock(rng, digit, part, centre_T2, GLIDE_COPIES, GLIDE_SIGN_FRAMES))


def glide_path(way: tuple[int, int]) -> np.ndarray:
    """The path (y, x) of a flock relative to its start, in pixels, (T, 2); its speed is 2.2 pixels per frame.

    Over a clip, every digit moves by the distance between neighbours along one axis and by twice that distance along
    the other.  All coordinates between neighbours are thus occupied equally often along both axes, and a single frame
    shows nothing of the motion.  The set of positions, without their order, shows the line but not in which of its two
    senses the flock moves, so the mean over frames separates the eight directions into four pairs at most.
    """
    return np.arange(GLIDE_FRAMES)[:, None] * np.array(way) * CANVAS / GLIDE_COPIES / GLIDE_FRAMES


class Movement(NamedTuple):
    """The movement of one shape."""

    shape: str
    first: int
    """Index of the first frame of the movement."""
    end: int
    """Index of the first frame after the movement."""
    is_vertical: bool
    """Whether the shape moves up or down instead of left or right."""


def separately_moving_shapes(rng: np.random.Generator, *, num_frames: int) -> tuple[np.ndarray, list[Movement]]:
    """Two or three solid shapes, each of which moves during a third to two thirds of the clip.

    Returns:
        Frames (T, S, S, 3) uint8, and the movement of each shape.
    """
    background, base = texture(num_frames, CANVAS, rng, rng.uniform(0, 0.5))
    movers, turns = [], []
    for shape in rng.choice(SHAPES, rng.integers(2, 4), replace=False):
        length = int(rng.integers(num_frames // 3, 2 * num_frames // 3))
        first = int(rng.integers(0, num_frames - length + 1))
        turn = Movement(str(shape), first, first + length, bool(rng.integers(2)))
        step_T2 = np.zeros((num_frames, 2))
        step_T2[first : first + length, 0 if turn.is_vertical else 1] = rng.choice([-1, 1]) * rng.uniform(1, 2)
        centre_T2 = rng.uniform(0, CANVAS, 2) + step_T2.cumsum(0)
        movers.append(Mover(shape_sprite(turn.shape), contrasting_colour(base, rng), rng.uniform(16, 22), centre_T2))
        turns.append(turn)
    return paint(background, movers)[0], turns


def occluding_shapes(rng: np.random.Generator, *, num_frames: int) -> tuple[np.ndarray, np.ndarray]:
    """Two or three different shapes that occlude each other: frames (T, S, S, 3) and object ids (T, S, S), uint8."""
    shapes = rng.choice(SHAPES, rng.integers(2, 4), replace=False)
    return crossing_shapes(rng, list(map(str, shapes)), num_frames=num_frames)


def crossing_shapes(
    rng: np.random.Generator, shapes: Sequence[str], *, num_frames: int, side: int = CANVAS * 3 // 2
) -> tuple[np.ndarray, np.ndarray]:
    """The given shapes, occluding each other: frames (T, S, S, 3) and object ids (T, S, S), uint8.

    The background and the objects have different patterns, and objects of the same shape have the same one.

    Args:
        shapes: names of at most four different shapes; a name may occur more than once.
    """
    kinds = list(dict.fromkeys(shapes))
    behind, *surfaces = map(str, rng.choice(PATTERNS, 1 + len(kinds), replace=False))
    unit = side / CANVAS
    background, base = scenery(behind, wavelength_of(None, rng) * unit, rng, num_frames=num_frames, side=side)
    movers = []
    for shape in shapes:
        start_2, size = rng.uniform(0.2, 0.8, 2) * side, rng.uniform(*OBJECT_PIXELS) * unit
        surface = surfaces[kinds.index(shape)]
        movers.append(_wanderer(rng, shape, surface, base, start_2, size, num_frames, side))
    return paint(background, movers)


def _wanderer(
    rng: np.random.Generator,
    shape: str,
    surface: str,
    base_3: np.ndarray,
    start_2: np.ndarray,
    size: float,
    num_frames: int,
    side: int,
) -> Mover:
    """A solid object with a pattern on its surface that moves along a straight line."""
    centre_T2 = path(num_frames, start_2, rng.uniform(0, 2 * np.pi), rng.uniform(0.5, 1.5) * side / CANVAS)
    wavelength = wavelength_of(None, rng) * side / CANVAS
    surface_TSS = wave(surface, wavelength, rng, num_frames=num_frames, side=side)
    colour = contrasting_colour(base_3, rng)
    pattern_TSS3 = surface_TSS[..., None] * contrast_colour(rng)
    return Mover(shape_sprite(shape), colour, size, centre_T2, surface_TSS3=pattern_TSS3)


def _flock(
    rng: np.random.Generator, digit: int, part: str, centre_T2: np.ndarray, copies: int, sign_frames: int
) -> Mover:
    """A flock of copies x copies digits, scaled so that it covers as much of the canvas as one of 3 x 3.

    Args:
        sign_frames: number of frames after which every digit is light or dark anew.
    """
    contrast = rng.uniform(0.35, 0.6) * rng.uniform(0.7, 1, 3)
    side = rng.uniform(20, 23) * FLOCK / copies
    num_frames = len(centre_T2)
    sign_BCC = rng.choice([-1, 1], (-(-num_frames // sign_frames), copies, copies))
    sign_TCC = sign_BCC.repeat(sign_frames, axis=0)[:num_frames]
    return Mover(digit_sprite(digit, rng, part), contrast, side, centre_T2, sign_TCC)
