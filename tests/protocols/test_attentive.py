"""attentive: comparison of the fast probe with a direct implementation, and classes that a mean cannot separate."""

import numpy as np
import torch
import torch.nn.functional as F

from sigma_bench.protocols.attentive.run import Probe, Probes, fit_probes
from sigma_bench.protocols.attentive.spec import AttentiveProtocol
from sigma_bench.protocols.classification import TrainFeatures
from sigma_bench.protocols.features import SplitFeatures
from sigma_bench.protocols.head_grid import Setting
from sigma_bench.specs.catalogue import load_task, resolve


def written_out(probe: Probe, token_BND: torch.Tensor) -> torch.Tensor:
    """Keys and values of every token, then attention, as V-JEPA's block says."""
    batch, width = len(token_BND), token_BND.shape[2]
    normal = probe.token_norm(token_BND)
    query, key, value = (
        part.unflatten(-1, (probe.attention_heads, -1)).transpose(1, 2)
        for part in (probe.to_query(probe.query).expand(batch, 1, width), probe.to_key(normal), probe.to_value(normal))
    )
    gathered = F.scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(1)
    answer = probe.query + probe.projection(gathered)
    return probe.classifier(answer + probe.mlp(probe.norm(answer)))


def test_probes_are_the_cross_attention_block_written_out() -> None:
    torch.manual_seed(0)
    probes = [Probe(12, 3, 4, 5).double() for _ in range(2)]
    for parameter in (p for probe in probes for p in probe.parameters()):
        torch.nn.init.normal_(parameter)
    token = torch.randn(4, 7, 12, dtype=torch.float64)
    together = Probes(probes)(token)
    for head, probe in enumerate(probes):
        torch.testing.assert_close(together[:, head], written_out(probe, token))


def protocol(**changes: object) -> AttentiveProtocol:
    base = resolve(load_task("ucf101/attentive")).protocol
    assert isinstance(base, AttentiveProtocol)
    return base.model_copy(update={"epochs": 1, "mlp_ratio": 2, "batch_size": 32, **changes})


def needle(num: int, seed: int) -> tuple[SplitFeatures, np.ndarray]:
    """One of ten tokens marks the class and another one, which is recognisable, its opposite; their mean is 0."""
    rng = np.random.default_rng(seed)
    label = np.arange(num) % 2
    token = rng.normal(size=(num, 1, 10, 16)) * 0.3
    said = np.stack([label * 2 - 1, np.ones(num)], 1) * 3
    token[:, 0, 0, :2] += said
    token[:, 0, 1, :2] -= said
    place = rng.permuted(np.tile(np.arange(10), (num, 1)), axis=1)
    token = np.take_along_axis(token, place[:, None, :, None], axis=2)
    return SplitFeatures(token.mean((1, 2)).astype(np.float32), {}, token.astype(np.float16), (10, 1, 1)), label


def trained(settings: list[Setting], **changes: object):
    features, label = needle(256, 0)
    everything = np.arange(256)
    train = TrainFeatures(features, everything, label, everything, 2)
    return fit_probes(train, everything, settings, protocol(**changes), 0, torch.device("cpu"))


def test_a_token_is_found_that_the_mean_hides() -> None:
    features, label = needle(64, 1)
    predicted = trained([Setting(0.003, 0.01)], least_steps=300).scores(features, np.arange(64))[:, 0].argmax(-1)
    assert (predicted.numpy() == label).mean() > 0.95


def test_a_probe_is_the_same_alone_and_in_company() -> None:
    features, _ = needle(16, 1)
    settings = [Setting(0.001, 0.4), Setting(0.003, 0.01)]
    both = trained(settings, least_steps=10).scores(features, np.arange(16))
    for head, setting in enumerate(settings):
        alone = trained([setting], least_steps=10).scores(features, np.arange(16))
        torch.testing.assert_close(both[:, head], alone[:, 0], rtol=1e-3, atol=1e-4)
    assert torch.equal(both, trained(settings, least_steps=10).scores(features, np.arange(16)))
