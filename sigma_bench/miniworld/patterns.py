"""Drifting patterns of stripes and checks: the scenes of the mini world, and the surfaces of its solid objects.

A pattern is a wave with a random phase.  The mean over any area that is larger than a wavelength is close to zero, so
mean colours do not show which pattern an area has.

Shapes: T frames, S canvas side in pixels.
"""

from typing import NamedTuple

import numpy as np

from sigma_bench.miniworld.scene import CANVAS, path

ANGLES = {"horizontal stripes": 90, "vertical stripes": 0, "diagonal stripes": 45, "checks": 0, "plaid": 45}
"""Angle of the gradient of the first wave of each pattern, in degrees; checks and plaid have a second wave across."""
PATTERNS = tuple(ANGLES)
CROSSED = ("checks", "plaid")
WAVELENGTHS = {"narrow": 9.0, "wide": 18.0}
"""Wavelength of a pattern in pixels, on a canvas of 64 pixels."""
WAVELENGTH_JITTER, TURN_JITTER = 0.15, 8
"""Largest difference of a clip from its class: of the logarithm of the wavelength, and of the angle in degrees."""
GRADIENT = 0.25
"""Difference of brightness between opposite sides of a scene."""
CONTRAST = (0.12, 0.25)
"""Range of the amplitude of a pattern in its strongest colour, on the scale from 0 to 1."""


class Scene(NamedTuple):
    """A class of scenes."""

    width: str
    """A key of ``WAVELENGTHS``."""
    pattern: str
    """One of ``PATTERNS``."""

    @property
    def words(self) -> str:
        """Such as ``narrow horizontal stripes``."""
        return f"{self.width} {self.pattern}"


SCENES = tuple(Scene(width, pattern) for width in WAVELENGTHS for pattern in PATTERNS)


def wavelength_of(width: str | None, rng: np.random.Generator) -> float:
    """The wavelength of a clip in pixels, on a canvas of 64 pixels; any between the classes if ``width`` is None."""
    if width is None:
        return float(np.exp(rng.uniform(*np.log(list(WAVELENGTHS.values())))))
    return float(WAVELENGTHS[width] * np.exp(rng.uniform(-WAVELENGTH_JITTER, WAVELENGTH_JITTER)))


def wave(
    pattern: str, wavelength: float, rng: np.random.Generator, *, num_frames: int, side: int, drift_px: float = 0.0
) -> np.ndarray:
    """A pattern that drifts in a random direction, (T, S, S) in [-1, 1].

    Args:
        wavelength: distance between stripes in pixels.
        drift_px: speed in pixels per frame.
    """
    turn = np.deg2rad(ANGLES[pattern] + rng.uniform(-TURN_JITTER, TURN_JITTER))
    camera_T2 = path(num_frames, rng.uniform(0, side, 2), rng.uniform(0, 2 * np.pi), drift_px)[:, :, None, None]
    y, x = (axis - camera_T2[:, column] for column, axis in enumerate(np.ogrid[:side, :side]))
    frequency = 2 * np.pi / wavelength
    along = np.sin(frequency * (np.cos(turn) * x + np.sin(turn) * y))
    return along * np.sin(frequency * (np.cos(turn) * y - np.sin(turn) * x)) if pattern in CROSSED else along


def contrast_colour(rng: np.random.Generator) -> np.ndarray:
    """The amplitude of a pattern in each colour, (3,)."""
    return rng.choice([-1, 1]) * rng.uniform(*CONTRAST) * rng.uniform(0.4, 1, 3)


def scenery(
    pattern: str, wavelength: float, rng: np.random.Generator, *, num_frames: int, side: int
) -> tuple[np.ndarray, np.ndarray]:
    """A background of a brightness gradient and a drifting pattern in random colours: (T, S, S, 3), mean colour (3,).

    Args:
        wavelength: distance between stripes in pixels.
    """
    base = rng.uniform(0.35, 0.65, 3)
    y, x = np.ogrid[:side, :side]
    light = rng.uniform(0, 2 * np.pi)
    slope = (np.cos(light) * (x - side / 2) + np.sin(light) * (y - side / 2)) / side
    drift_px = rng.uniform(0, 1) * side / CANVAS
    shown = wave(pattern, wavelength, rng, num_frames=num_frames, side=side, drift_px=drift_px)
    return base + GRADIENT * slope[..., None] * rng.uniform(0.6, 1, 3) + shown[..., None] * contrast_colour(rng), base
