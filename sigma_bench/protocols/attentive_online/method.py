"""Probes of a grid as a method of the training loop; they share the tokens of the frozen encoder.

Shapes: B videos, S windows of a video, V views of a video, C colours, T frames, H W pixels, N tokens of a clip,
D width, P probes, L classes.
"""

import copy
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sigma_bench.data.augmentation import augmented_clip
from sigma_bench.data.decoder import Decoder
from sigma_bench.data.examples import Example, Origin
from sigma_bench.data.sampling import segment_windows
from sigma_bench.models.encoder import Encoder
from sigma_bench.models.encoder_output import encoded
from sigma_bench.protocols.attentive_online.probe import AttentiveClassifier, num_attention_heads
from sigma_bench.protocols.attentive_online.spec import AttentiveOnlineProtocol
from sigma_bench.protocols.head_grid import Setting
from sigma_bench.training.accumulation import autocast
from sigma_bench.training.method import Method
from sigma_bench.training.step import StepOutput


class ProbeMethod(Method):
    """One probe per setting, all with the same initial weights, which are drawn from ``seed``.

    The saved state holds the probes only; the weights of the encoder are not part of it.
    """

    model: nn.ModuleList

    def __init__(
        self,
        encoder: Encoder,
        protocol: AttentiveOnlineProtocol,
        settings: Sequence[Setting],
        num_classes: int,
        *,
        seed: int,
    ) -> None:
        super().__init__()
        self.card, self.protocol, self.settings = encoder.card, protocol, settings
        self._encoded = partial(encoded, encoder)  # an attribute that is a module would become part of the state
        self.num_heads = num_attention_heads(self.card.feature_width, protocol.attention_heads)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            probe = AttentiveClassifier(
                *(self.card.feature_width, self.num_heads, num_classes),
                depth=protocol.depth,
                mlp_ratio=protocol.mlp_ratio,
            )
        self.model = nn.ModuleList(copy.deepcopy(probe) for _ in settings)

    def draw(self, video: Decoder, rng: np.random.Generator, origin: Origin) -> Example:
        """One augmented clip of every segment, (S, C, T, H, W), and the class of the video."""
        card, augmentation = self.card, self.protocol.augmentation
        index_ST = segment_windows(len(video), card.num_frames, self.protocol.windows, rng)
        wanted, position = np.unique(index_ST, return_inverse=True)
        frame_STHWC = video.frames(wanted.tolist())[position.reshape(index_ST.shape)]
        clips = [
            augmented_clip(frame_THWC, augmentation, card.image_size, card.mean, card.std, rng)
            for frame_THWC in frame_STHWC
        ]
        return torch.stack(clips), torch.tensor(origin.sample.label)

    def forward(self, clip_BSCTHW: Tensor, label_B: Tensor) -> StepOutput:
        """The sum of the losses of all probes; those that diverged are left out unless all did."""
        token_BND = self.tokens(clip_BSCTHW)
        loss_P = torch.stack([self._loss(probe, token_BND, label_B) for probe in self.model])
        finite_P = loss_P.isfinite()
        loss = torch.where(finite_P | ~finite_P.any(), loss_P, 0.0).sum()
        return StepOutput(loss)

    def tokens(self, clip_BSCTHW: Tensor) -> Tensor:
        """Tokens of all windows of every video, (B, S x N, D), without gradients."""
        token_MND = self._encoded(clip_BSCTHW.flatten(0, 1)).token_BND
        # A copy, because autograd cannot save tensors that were made in inference mode.
        return token_MND.clone().unflatten(0, clip_BSCTHW.shape[:2]).flatten(1, 2)

    @torch.inference_mode()
    def scores(self, clip_VCTHW: Tensor) -> Tensor:
        """Probabilities of the classes by each probe, as means over the crops of one video, (P, L).

        Args:
            clip_VCTHW: for each window in turn, its crops; windows of one crop are read together.
        """
        protocol = self.protocol
        with autocast(clip_VCTHW.device, protocol.optim.precision == "bfloat16"):
            parts = clip_VCTHW.split(protocol.clips_at_once)
            token_VND = torch.cat([self._encoded(part).token_BND for part in parts])
            token_SVND = token_VND.unflatten(0, (protocol.windows.num_segments, -1))
            token_VND = token_SVND.transpose(0, 1).flatten(1, 2)
            logits = [probe(token_VND).float() for probe in self.model]
        return torch.stack(logits).softmax(-1).mean(1)

    def build_optimiser(self) -> torch.optim.Optimizer:
        """AdamW with one group per probe, so that weight decay applies to biases, norms and the query, as released."""
        groups = [
            {
                "params": list(probe.parameters()),
                "lr_scale": setting.learning_rate,
                "weight_decay": setting.weight_decay,
            }
            for probe, setting in zip(self.model, self.settings, strict=True)
        ]
        return torch.optim.AdamW(groups, lr=0.0, betas=self.protocol.optim.betas, fused=True)

    @staticmethod
    def _loss(probe: nn.Module, token_BND: Tensor, label_B: Tensor) -> Tensor:
        loss = F.cross_entropy(probe(token_BND).float(), label_B)
        return with_gradients(loss, probe.parameters()) if torch.is_grad_enabled() else loss


def with_gradients(loss: Tensor, parameters: Iterable[nn.Parameter]) -> Tensor:
    """The same loss, whose gradients are computed now, so that its activations are freed before the next loss."""
    wanted = tuple(parameters)
    with autocast(loss.device, False):
        gradients = torch.autograd.grad(loss, wanted)
    return _KnownGradients.apply(loss.detach(), gradients, *wanted)


class _KnownGradients(torch.autograd.Function):
    """A scalar, the gradients of which with respect to some parameters are known."""

    @staticmethod
    def forward(ctx: Any, loss: Tensor, gradients: tuple[Tensor, ...], *parameters: Tensor) -> Tensor:
        ctx.gradients = gradients
        return loss.clone()

    @staticmethod
    def backward(ctx: Any, factor: Tensor) -> tuple[Tensor | None, ...]:
        return None, None, *(factor * gradient for gradient in ctx.gradients)
