"""Which tubes are hidden during pretraining (VideoMAE section 3.2, kept by SIGMA).

Tube masking hides the same spatial places in every time slot, so that a hidden place cannot be
copied from the next frame.

Shapes: B clips, N = T' x H' x W' tubes.  True means masked.
"""

import torch
from torch import Tensor


def tube_mask(batch_size: int, grid: tuple[int, int, int], ratio: float, generator: torch.Generator) -> Tensor:
    """One random spatial mask per clip, repeated over time: (B, N) bool with int(ratio * H' * W') hidden places.

    Raises:
        ValueError: the ratio hides nothing or everything on this grid.
    """
    slots, rows, columns = grid
    num_places = rows * columns
    num_masked = int(ratio * num_places)
    if not 0 < num_masked < num_places:
        raise ValueError(f"mask ratio {ratio} hides {num_masked} of {num_places} places; choose one strictly between")
    order = torch.rand(batch_size, num_places, generator=generator).argsort(dim=1)
    place_mask = order < num_masked
    return place_mask[:, None].expand(batch_size, slots, num_places).reshape(batch_size, -1)
