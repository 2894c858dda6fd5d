"""The projection network phi of SIGMA-MLP: it turns a tube's pixels into the features that get clustered."""

from collections.abc import Sequence

from torch import nn


class MlpProjector(nn.Sequential):
    """Linear layers with GELU between them; released widths 1024, 1024, 512, 256, default initialisation."""

    def __init__(self, input_width: int, widths: Sequence[int]) -> None:
        layers: list[nn.Module] = []
        for index, width in enumerate(widths):
            layers += [nn.GELU()] if index else []
            layers.append(nn.Linear(input_width, width))
            input_width = width
        super().__init__(*layers)
