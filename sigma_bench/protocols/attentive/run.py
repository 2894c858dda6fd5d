"""attentive: a grid of V-JEPA's probes (arXiv 2404.08471, section 5) on cached tokens, trained together.

A probe is one cross-attention block (norm, attention of one learned query, projection, MLP) and a linear layer.  Since
the query does not depend on the clip, its product with the key matrix is one direction per attention head.  All probes
share the normalised tokens and one matrix product for their attention scores, and values are projected after pooling
instead of before.  The function is the same, but keys and values of single tokens are never computed.  There is no key
bias, since it would cancel in the softmax.

Shapes: F samples to fit on, B samples of a batch, N tokens of a sample, D width, H probes, K directions of all probes,
A attention heads of width E, L classes.
"""

from collections.abc import Callable, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sigma_bench.protocols.attentive.spec import AttentiveProtocol
from sigma_bench.protocols.classification import TrainFeatures
from sigma_bench.protocols.features import SplitFeatures
from sigma_bench.protocols.head_grid import Setting, grid_seconds, run_head_grid, train_heads
from sigma_bench.protocols.interface import Evaluation, HeadSizes, Predictions

INITIAL_STD = 0.02


def run(evaluation: Evaluation[AttentiveProtocol]) -> Predictions | None:
    """Fit on the tokens of train, predict every sample of the test split."""
    return run_head_grid(evaluation, fit_probes, "probes")


def head_seconds(protocol: AttentiveProtocol, sizes: HeadSizes) -> float:
    """Predicted time of the training of all probes."""
    return grid_seconds(fit_probes, protocol, sizes, num_tokens=protocol.clip.sampling.num_views * sizes.num_tokens)


class Probe(nn.Module):
    """V-JEPA's attentive probe with one query.

    ``directions`` is what the attention needs; ``forward`` continues with the pooled tokens.
    """

    def __init__(self, width: int, attention_heads: int, mlp_ratio: int, num_classes: int) -> None:
        super().__init__()
        self.attention_heads = attention_heads
        self.query = nn.Parameter(torch.empty(1, width))
        self.token_norm = nn.LayerNorm(width)
        self.to_query = nn.Linear(width, width)
        self.to_key = nn.Linear(width, width, bias=False)
        self.to_value = nn.Linear(width, width)
        self.projection = nn.Linear(width, width)
        self.norm = nn.LayerNorm(width)
        wide, self.narrow = nn.Linear(width, mlp_ratio * width), nn.Linear(mlp_ratio * width, width)
        self.mlp = nn.Sequential(wide, nn.GELU(), self.narrow)
        self.classifier = nn.Linear(width, num_classes)
        for name, parameter in self.named_parameters():
            if parameter.ndim > 1:
                nn.init.trunc_normal_(parameter, std=INITIAL_STD)
            elif name.endswith("bias"):
                nn.init.zeros_(parameter)
        with torch.no_grad():  # as V-JEPA scales the two layers that end in a residual connection
            self.projection.weight /= 2**0.5
            self.narrow.weight /= 2**0.5

    def directions(self) -> Tensor:
        """Product of query and keys of each attention head, as a direction in the space of normalised tokens, (A,
        D)."""
        query_AE = self.to_query(self.query).view(self.attention_heads, -1)
        key_AED = self.to_key.weight.unflatten(0, query_AE.shape)
        direction_AD = torch.einsum("ae,aed->ad", query_AE, key_AED)
        return direction_AD * self.token_norm.weight / query_AE.shape[1] ** 0.5

    def forward(self, pooled_BAD: Tensor) -> Tensor:
        """Logits (B, L) from the normalised tokens pooled by each attention head, (B, A, D)."""
        pooled_BAD = pooled_BAD * self.token_norm.weight + self.token_norm.bias
        value_AED = self.to_value.weight.unflatten(0, (self.attention_heads, -1))
        value_BD = torch.einsum("bad,aed->bae", pooled_BAD, value_AED).flatten(1) + self.to_value.bias
        output_BD = self.query + self.projection(value_BD)
        return self.classifier(output_BD + self.mlp(self.norm(output_BD)))


class Probes(nn.Module):
    """Probes that read the same tokens."""

    def __init__(self, probes: Sequence[Probe]) -> None:
        super().__init__()
        self.probes = list(probes)
        self.members = nn.ModuleList(probes)

    def forward(self, token_BND: Tensor) -> Tensor:
        """Logits, (B, H, L)."""
        token_BND = F.layer_norm(token_BND, token_BND.shape[-1:])
        direction_KD = torch.cat([probe.directions() for probe in self.probes])
        weight_BKN = (token_BND @ direction_KD.T).softmax(1).transpose(1, 2)
        pooled_BHAD = (weight_BKN @ token_BND).unflatten(1, (len(self.probes), -1))
        return torch.stack([probe(pooled_BHAD[:, h]) for h, probe in enumerate(self.probes)], 1)

    @torch.inference_mode()
    def scores(self, features: SplitFeatures, index_B: np.ndarray) -> Tensor:
        """Logits of some samples, (B, H, L)."""
        return self(tokens(features, index_B, self.probes[0].query.device))


def tokens(features: SplitFeatures, index_B: np.ndarray, device: torch.device) -> Tensor:
    """Tokens of all clips of some samples, (B, N, D) float32."""
    assert features.token_SVND is not None
    return torch.from_numpy(features.token_SVND[index_B]).to(device).float().flatten(1, 2)


def fit_probes(
    train: TrainFeatures,
    row_F: np.ndarray,
    settings: Sequence[Setting],
    protocol: AttentiveProtocol,
    seed: int,
    device: torch.device,
    report: Callable[[int, int], None] = lambda done, total: None,
) -> Probes:
    """Probes trained by AdamW from the same initial weights; weight decay does not apply to biases and norms.

    Args:
        row_F: rows of ``train`` to fit on, (F,).
    """
    index_F, label_F = train.index_S[row_F], torch.from_numpy(train.label_S[row_F]).to(device)
    width = train.features.feature_SD.shape[1]
    heads = max(number for number in range(1, protocol.attention_heads + 1) if width % number == 0)
    model = Probes([_fresh(width, heads, protocol, train.num_classes, seed) for _ in settings]).to(device)
    optimiser = torch.optim.AdamW(
        [group for probe, setting in zip(model.probes, settings, strict=True) for group in _groups(probe, setting)]
    )

    def step(batch: np.ndarray, share: float) -> None:
        for group in optimiser.param_groups:
            group["lr"] = share * group["initial_lr"]
        logit_BHL = model(tokens(train.features, index_F[batch], device))
        label_BH = label_F[batch][:, None].expand(-1, len(settings))
        # Probes share no parameter, so the gradient of the sum of their losses is that of each single loss.
        loss = F.cross_entropy(logit_BHL.flatten(0, 1), label_BH.flatten()) * len(settings)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()

    train_heads(len(row_F), protocol, seed, step, report)
    return model.eval()


def _fresh(width: int, heads: int, protocol: AttentiveProtocol, num_classes: int, seed: int) -> Probe:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Probe(width, heads, protocol.mlp_ratio, num_classes)


def _groups(probe: nn.Module, setting: Setting) -> list[dict[str, object]]:
    decay = [parameter for parameter in probe.parameters() if parameter.ndim > 1]
    others = [parameter for parameter in probe.parameters() if parameter.ndim == 1]
    return [
        {"params": decay, "initial_lr": setting.learning_rate, "weight_decay": setting.weight_decay},
        {"params": others, "initial_lr": setting.learning_rate, "weight_decay": 0.0},
    ]
