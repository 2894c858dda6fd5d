"""Elements of a mini world clip: handwritten digits, solid shapes, smooth backgrounds, and their painting.

The canvas is a torus: an object that leaves on one side returns on the other.  An object is therefore equally likely to
be anywhere at every moment, and a single frame shows nothing about the direction of motion.

In the datasets of motion, a small flock of copies moves as one.  A copy that is masked in one place is visible
in another, so masked prediction learns something within minutes, which it does not with a single object.  The flock is
embossed: its strokes have flanks of the opposite sign, so the mean colour of an area hardly changes when the flock
passes.  Each copy is light with dark flanks or the reverse, at random; in Something-Something v2, it changes every few
frames.  The mean over frames and the colours of areas are therefore not related to the direction of motion.

The backgrounds of this module are smooth but not flat.  Sinkhorn could not tell tubes of flat patches apart, and sensor
noise would turn normalised patches into targets of pure noise.  ``patterns.py`` draws the scenes of the datasets of
appearance and of segmentation, and the surfaces of their objects.

Shapes: T frames, S canvas side in pixels, C copies in a row and in a column of a flock.  Images are (T, S, S, 3) float
in [0, 1].
"""

from dataclasses import dataclass, field
from functools import cache

import numpy as np
from scipy.ndimage import gaussian_filter, map_coordinates, zoom
from sklearn.datasets import load_digits

CANVAS = 64
"""Side of a clip in pixels, unless a dataset states another."""
SPRITE_PIXELS = 48
DIGITS = ("Zero", "One", "Two", "Three", "Four", "Five", "Six", "Seven", "Eight", "Nine")
EMBOSS_REACH = 0.084
"""Width of the flanks as a fraction of the side of the object."""
EMBOSS_GAIN = 2.2
"""Factor on the contrast of an embossed flock."""
SHAPES = ("disc", "square", "triangle", "ring", "cross")


@dataclass(frozen=True)
class Mover:
    """A moving object, or a regular flock of copies that moves as one."""

    sprite: np.ndarray
    """Opacity of the object, (48, 48) in [0, 1]."""
    colour: np.ndarray
    """RGB colour of a solid object, or contrast to the background of an embossed one, (3,)."""
    side: float
    """Side of the object in pixels."""
    centre_T2: np.ndarray
    """Centre (y, x) of the object in every frame, in pixels."""
    sign_TCC: np.ndarray = field(default_factory=lambda: np.ones((1, 1, 1)))
    """1 or -1 for every object of a flock in every frame, by which an embossed one is light or dark."""
    surface_TSS3: np.ndarray | float = 0.0
    """Pattern that is added to the colour of a solid object, (T, S, S, 3)."""

    @property
    def copies(self) -> int:
        """Number of objects in a row and in a column of the flock."""
        return self.sign_TCC.shape[1]


@cache
def _digits() -> tuple[np.ndarray, np.ndarray]:
    bunch = load_digits()
    return bunch.images / 16.0, bunch.target


def digit_sprite(digit: int, rng: np.random.Generator, part: str) -> np.ndarray:
    """The opacity (48, 48) of a real handwritten digit; the parts ``train`` and ``test`` have no image in common."""
    _, labels = _digits()
    (index,) = np.nonzero(labels == digit)
    half = index[: len(index) * 2 // 3] if part == "train" else index[len(index) * 2 // 3 :]
    return _sprite_of(int(rng.choice(half)))


@cache
def _sprite_of(writing: int) -> np.ndarray:
    images, _ = _digits()
    smooth = zoom(images[writing], SPRITE_PIXELS / 8, order=3)
    return np.clip((smooth - 0.35) / 0.3, 0, 1)


def shape_sprite(shape: str) -> np.ndarray:
    """The opacity (48, 48) of one of ``SHAPES``."""
    y, x = (np.mgrid[:SPRITE_PIXELS, :SPRITE_PIXELS] + 0.5) / SPRITE_PIXELS * 2 - 1
    radius = np.hypot(x, y)
    distance = {
        "disc": radius - 0.85,
        "square": np.maximum(abs(x), abs(y)) - 0.75,
        "triangle": np.maximum(y - 0.7, abs(x) * 1.7 - (y + 0.9)),
        "ring": abs(radius - 0.65) - 0.25,
        "cross": np.minimum(np.maximum(abs(x), abs(y) * 3), np.maximum(abs(y), abs(x) * 3)) - 0.9,
    }[shape]
    return np.clip(0.5 - distance * SPRITE_PIXELS / 4, 0, 1)


def texture(num_frames: int, side: int, rng: np.random.Generator, drift_px: float) -> tuple[np.ndarray, np.ndarray]:
    """A background of a brightness gradient and a drifting grating: (T, S, S, 3) and its mean colour (3,).

    Args:
        drift_px: speed of the grating in pixels per frame.
    """
    base = rng.uniform(0.3, 0.7, 3)
    y, x = np.ogrid[:side, :side]
    light, angle = rng.uniform(0, 2 * np.pi, 2)
    slope = (np.cos(light) * (x - side / 2) + np.sin(light) * (y - side / 2)) / side
    camera_T2 = path(num_frames, np.zeros(2), rng.uniform(0, 2 * np.pi), drift_px)[:, :, None, None]
    along = np.cos(angle) * (x - camera_T2[:, 1]) + np.sin(angle) * (y - camera_T2[:, 0])
    wave = np.sin(2 * np.pi * along / (rng.uniform(0.6, 1.4) * side) + rng.uniform(0, 2 * np.pi))
    grating = wave[..., None] * rng.uniform(0.03, 0.06) * rng.uniform(0.3, 1.0, 3)
    return base + 0.3 * slope[..., None] * rng.uniform(0.6, 1.0, 3) + grating, base


def path(num_frames: int, start_2: np.ndarray, angle: float, speed_px: float) -> np.ndarray:
    """Centres (y, x) of an object that moves along a straight line, (T, 2).

    Args:
        angle: direction in radians; 0 is to the right and a quarter turn is down.
    """
    step = speed_px * np.array([np.sin(angle), np.cos(angle)])
    return start_2 + np.arange(num_frames)[:, None] * step


def contrasting_colour(base_3: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A colour clearly lighter or darker than the background."""
    lighter = rng.random() < 0.5
    tint = rng.uniform(0, 0.2, 3)
    return np.clip(base_3 + 0.25 + tint, 0, 1) if lighter else np.clip(base_3 - 0.25 - tint, 0, 1)


def coverage(mover: Mover, side: int) -> np.ndarray:
    """Opacity of an object or of a whole flock on the torus, (T, S, S) in [0, 1]."""
    offset = [(place % 1 - 0.5) * side / mover.copies for place in _places(mover, side)]
    sprite_yx = np.broadcast_arrays(*(o / mover.side * SPRITE_PIXELS + (SPRITE_PIXELS - 1) / 2 for o in offset))
    return map_coordinates(mover.sprite, np.stack(sprite_yx), order=1, mode="constant")


def signs(flock: Mover, side: int) -> np.ndarray:
    """The sign of the nearest object of a flock on the torus, (T, S, S)."""
    row, column = (np.floor(place).astype(int) % flock.copies for place in _places(flock, side))
    return flock.sign_TCC[np.arange(len(row))[:, None, None], row, column]


def _places(mover: Mover, side: int) -> list[np.ndarray]:
    """Rows (T, S, 1) and columns (T, 1, S) of pixels in distances between objects; object i is at i + 0.5."""
    period = side / mover.copies
    return [
        (axis - mover.centre_T2[:, column, None, None]) / period + 0.5
        for column, axis in enumerate(np.ogrid[:side, :side])
    ]


def emboss(background_TSS3: np.ndarray, flock: Mover) -> np.ndarray:
    """Paint a flock without changing mean colours: (T, S, S, 3) uint8.

    The colour of the flock is a contrast: it is added where the opacity is above its local mean, and subtracted where
    the opacity is below, or the reverse for objects of sign -1.
    """
    side = background_TSS3.shape[1]
    alpha_TSS = coverage(flock, side)
    reach = EMBOSS_REACH * flock.side
    relief_TSS = signs(flock, side) * (alpha_TSS - gaussian_filter(alpha_TSS, (0, reach, reach), mode="wrap"))
    return _to_bytes(background_TSS3 + EMBOSS_GAIN * relief_TSS[..., None] * flock.colour)


def paint(background_TSS3: np.ndarray, movers: list[Mover]) -> tuple[np.ndarray, np.ndarray]:
    """Paint solid objects in order, so that later ones are in front.

    Returns:
        Frames (T, S, S, 3) uint8, and object ids (T, S, S), where 0 is background and the first object is 1.
    """
    image = background_TSS3.copy()
    owner = np.zeros(image.shape[:3], np.uint8)
    for number, mover in enumerate(movers, start=1):
        alpha = coverage(mover, image.shape[1])
        image += alpha[..., None] * (mover.colour + mover.surface_TSS3 - image)
        owner[alpha > 0.5] = number
    return _to_bytes(image), owner


def _to_bytes(image: np.ndarray) -> np.ndarray:
    return np.round(np.clip(image, 0, 1) * 255).astype(np.uint8)
