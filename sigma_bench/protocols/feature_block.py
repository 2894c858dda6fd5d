"""Features of one block of samples, which are encoded together and written to the cache together.

Shapes: B clips, C colours, T frames, H W pixels, N tokens, D width.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from sigma_bench.models.encoder import Encoder
from sigma_bench.protocols.clip_batches import BatchEncoder


class FeatureBlock:
    """Arrays of one block of samples, filled batch by batch."""

    def __init__(self, encoder: Encoder, block: range, views: int, grid: tuple[int, int, int] | None) -> None:
        width = encoder.card.feature_width
        self._model, self._block, self._views = encoder.card.model, block, views
        self.arrays: dict[str, np.ndarray] = {"feature": np.zeros((len(block), width), np.float32)}
        if grid is not None:
            self.arrays["token"] = np.zeros((len(block), views, int(np.prod(grid)), width), np.float16)
        self.failures: dict[int, str] = {}
        """Sample index -> why the sample could not be decoded."""

    def fill(self, samples: Sequence[int], decoded: list[Tensor | str], encoder: BatchEncoder) -> None:
        """Fill the rows of some samples of the block."""
        self.failures |= {i: found for i, found in zip(samples, decoded, strict=True) if isinstance(found, str)}
        readable = [i for i in samples if i not in self.failures]
        if not readable:
            return
        frame_BTCHW = torch.cat([found for found in decoded if not isinstance(found, str)])
        mean_BD, half_BND = [], []
        for token_BND in encoder.tokens(frame_BTCHW):
            if not bool(torch.isfinite(token_BND).all()):
                raise ValueError(
                    f"model '{self._model}' gives features that are not finite for the block of samples that starts at "
                    f"index {self._block.start}"
                )
            mean_BD.append(token_BND.mean(1))
            if "token" in self.arrays:
                half_BND.append(self._half(token_BND))
        rows = [i - self._block.start for i in readable]
        self.arrays["feature"][rows] = torch.cat(mean_BD).unflatten(0, (-1, self._views)).mean(1).cpu().numpy()
        if half_BND:
            self.arrays["token"][rows] = torch.cat(half_BND).unflatten(0, (-1, self._views)).numpy()

    def _half(self, token_BND: Tensor) -> Tensor:
        half_BND = token_BND.half()
        if not bool(torch.isfinite(half_BND).all()):
            raise ValueError(
                f"model '{self._model}' gives features too large for half precision, in which tokens are kept"
            )
        return half_BND.cpu()
