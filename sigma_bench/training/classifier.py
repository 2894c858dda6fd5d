"""A backbone with a new head: mean over tokens, layer norm, one linear layer (SIGMA and VideoMAE as released).

The backbone ends before the encoder's final norm, whose place ``fc_norm`` takes.

Shapes: B clips, C colours, T frames, H W pixels, D width, L classes.
"""

from collections.abc import Callable

import torch
from timm.optim import param_groups_layer_decay, param_groups_weight_decay
from torch import Tensor, nn

from sigma_bench.models.encoder import Backbone
from sigma_bench.models.video_vit import LAYER_NORM_EPS
from sigma_bench.specs.training_protocol import SupervisedOptim

HEAD_DEVIATION = 0.02
NOT_DECAYED = ("*pos_embed", "*cls_token", "*reg_token")
"""Beside vectors and biases."""


class Classifier(nn.Module):
    """Clips (B, C, T, H, W) to logits (B, L); with ``frozen`` only norm and head learn."""

    def __init__(
        self, backbone: Backbone, width: int, num_classes: int, *, head_init_scale: float, frozen: bool
    ) -> None:
        super().__init__()
        self.backbone = backbone.requires_grad_(not frozen)
        self.frozen = frozen
        self.fc_norm = nn.LayerNorm(width, eps=LAYER_NORM_EPS)
        self.head = nn.Linear(width, num_classes)
        nn.init.trunc_normal_(self.head.weight, std=HEAD_DEVIATION)
        nn.init.zeros_(self.head.bias)
        with torch.no_grad():
            self.head.weight.mul_(head_init_scale)

    def forward(self, clip_BCTHW: Tensor) -> Tensor:
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.frozen):
            feature_BD = self.backbone(clip_BCTHW).mean(1)
        return self.head(self.fc_norm(feature_BD))

    @property
    def num_blocks(self) -> int:
        """Blocks of the backbone; 0 of one that has nothing to train."""
        return max((self.backbone.layer_of(name) for name, _ in self.backbone.named_parameters()), default=0)

    @property
    def num_branches(self) -> int:
        """Residual branches of all blocks of the backbone, to which the drop path applies."""
        return self.backbone.branches_per_block * self.num_blocks

    def group_matcher(self, coarse: bool = False) -> Callable[[str], int]:
        """Layer of a parameter by name, as timm asks for it; the new norm and head are the last layer."""
        last = self.num_blocks + 1

        def layer(name: str) -> int:
            part, _, rest = name.partition(".")
            return self.backbone.layer_of(rest) if part == "backbone" else last

        return layer


def layer_decay_optimiser(classifier: Classifier, optim: SupervisedOptim) -> torch.optim.AdamW:
    """AdamW whose groups learn at layer_decay^(L + 1 - i) of the rate, i from 0 (embedding) over L blocks to L + 1."""
    if classifier.num_blocks == 0:  # timm warns of layers without effect
        groups = [group | {"lr_scale": 1.0} for group in param_groups_weight_decay(classifier, optim.weight_decay)]
    else:
        groups = param_groups_layer_decay(
            classifier, optim.weight_decay, no_weight_decay_list=NOT_DECAYED, layer_decay=optim.layer_decay
        )
    return torch.optim.AdamW(groups, lr=0.0, betas=optim.betas, fused=True)
