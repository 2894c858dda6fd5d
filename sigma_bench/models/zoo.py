"""Model names on the command line, and the encoders they stand for.

``path/to/model.safetensors`` or the run folder that holds it; ``random:<recipe>`` and ``statistics:<recipe>``
for the controls with that recipe's geometry.
"""

from pathlib import Path

from sigma_bench.models.controls import ImageStatistics, random_encoder
from sigma_bench.models.encoder import Encoder, pretrained_encoder
from sigma_bench.specs.catalogue import load_recipe
from sigma_bench.specs.strict import nearest

CHECKPOINT_NAME = "model.safetensors"
CONTROLS = ("random", "statistics")


def load_encoder(name: str, *, seed: int = 0) -> Encoder:
    """The encoder a name stands for; ``seed`` draws the weights of ``random:<recipe>``.

    Raises:
        ValueError: no such file or control; near matches are offered.
    """
    kind, colon, recipe = name.partition(":")
    if colon and kind in CONTROLS:
        spec = load_recipe(recipe).encoder
        return random_encoder(spec, seed) if kind == "random" else ImageStatistics(spec)
    path = Path(name)
    if path.is_dir():
        path = path / CHECKPOINT_NAME
    if not path.exists():
        hint = nearest(kind, CONTROLS) if colon else f" Controls are {' and '.join(f'{c}:<recipe>' for c in CONTROLS)}."
        raise ValueError(f"there is no model '{name}': no such checkpoint file or run folder.{hint}")
    return pretrained_encoder(path)
