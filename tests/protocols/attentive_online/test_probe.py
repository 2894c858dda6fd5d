"""The probe of attentive@2: official outputs, a direct second implementation, and initial weights."""

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from timm.layers import Mlp
from torch import Tensor, nn

from sigma_bench.protocols.attentive_online.probe import AttentiveClassifier, AttentivePooler, num_attention_heads
from tests.golden.fill import fill

FRONTIER = Path(__file__).resolve().parents[4] / "shared" / "golden" / "frontier"
NAMES = ("vjepa2_probe_depth4", "vjepa2_pooler_3queries", "vjepa1_probe")


def golden(name: str) -> dict[str, Any]:
    """A file of official outputs; the test is skipped where it is absent."""
    path = FRONTIER / f"{name}.pt"
    if not path.exists():
        pytest.skip("needs the official outputs, which do not come with a clone")
    return torch.load(path, weights_only=True)


def probe_of(found: dict[str, Any]) -> nn.Module:
    """The network of a file, with the weights that its rule gives; ``xattn.proj`` of V-JEPA is not used."""
    config = found["config"]
    width, heads, depth = config["embed_dim"], config["num_heads"], config["depth"]
    probe = (
        AttentivePooler(width, heads, depth=depth, num_queries=config["num_queries"])
        if "num_queries" in config
        else AttentiveClassifier(width, heads, config["num_classes"], depth=depth)
    )
    weights = fill(found["shapes"])
    for tensor, gain in found["gain"].items():
        weights[tensor] = gain * weights[tensor]
    probe.load_state_dict({key: value for key, value in weights.items() if "xattn.proj" not in key})
    return probe.eval()


@pytest.mark.parametrize("name", NAMES)
def test_the_output_is_that_of_the_official_code(name: str) -> None:
    found = golden(name)
    shape = found["batch"], found["tokens"], found["config"]["embed_dim"]
    token = torch.randn(*shape, generator=torch.Generator().manual_seed(found["clip_seed"]))
    probe = probe_of(found)
    with torch.no_grad():
        single, double = probe(token), probe.double()(token.double())
    assert list(single.shape) == found["output_shape"]
    for output, suffix, tolerance in ((single, "", 2e-5), (double, "_fp64", 1e-10)):
        flat = output.flatten()
        torch.testing.assert_close(flat[:64], found[f"output_head{suffix}"], rtol=0, atol=tolerance)
        torch.testing.assert_close(flat[-16:], found[f"output_tail{suffix}"], rtol=0, atol=tolerance)
        assert float(output.norm()) == pytest.approx(found[f"output_norm{suffix}"], rel=tolerance)


def written_out(weights: dict[str, Tensor], token_BND: Tensor, heads: int, depth: int) -> Tensor:
    """The probe from its weights, with the attention as two matrix products and a softmax."""
    width = token_BND.shape[-1]

    def linear(name: str, value: Tensor) -> Tensor:
        return value @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]

    def norm(name: str, value: Tensor) -> Tensor:
        centred = value - value.mean(-1, keepdim=True)
        scaled = centred / (centred.square().mean(-1, keepdim=True) + 1e-5).sqrt()
        return scaled * weights[f"{name}.weight"] + weights[f"{name}.bias"]

    def attention(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        parts = []
        for start in range(0, width, width // heads):
            part = slice(start, start + width // heads)
            score = query[..., part] @ key[..., part].transpose(1, 2) / (width // heads) ** 0.5
            parts.append(score.softmax(-1) @ value[..., part])
        return torch.cat(parts, -1)

    def mlp(name: str, value: Tensor) -> Tensor:
        hidden = linear(f"{name}.fc1", value)
        return linear(f"{name}.fc2", hidden * 0.5 * (1 + torch.erf(hidden / 2**0.5)))

    for number in range(depth - 1):
        block = f"pooler.blocks.{number}"
        query, key, value = linear(f"{block}.attn.qkv", norm(f"{block}.norm1", token_BND)).split(width, -1)
        token_BND = token_BND + linear(f"{block}.attn.proj", attention(query, key, value))
        token_BND = token_BND + mlp(f"{block}.mlp", norm(f"{block}.norm2", token_BND))
    block = "pooler.cross_attention_block"
    asked = weights["pooler.query_tokens"].expand(len(token_BND), -1, -1)
    key, value = linear(f"{block}.xattn.kv", norm(f"{block}.norm1", token_BND)).split(width, -1)
    asked = asked + attention(linear(f"{block}.xattn.q", asked), key, value)
    asked = asked + mlp(f"{block}.mlp", norm(f"{block}.norm2", asked))
    return linear("linear", asked[:, 0])


@pytest.mark.parametrize("depth", [1, 2, 4])
def test_the_probe_is_its_blocks_written_out(depth: int) -> None:
    torch.manual_seed(0)
    probe = AttentiveClassifier(12, 3, 5, depth=depth).double()
    for parameter in probe.parameters():
        nn.init.normal_(parameter, std=0.5)
    token = torch.randn(2, 7, 12, dtype=torch.float64)
    with torch.no_grad():
        expected = written_out(dict(probe.named_parameters()), token, 3, depth)
        torch.testing.assert_close(probe(token), expected, rtol=1e-10, atol=1e-10)
        torch.testing.assert_close(probe(token[:, torch.randperm(7)]), expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("depth", [1, 4])
def test_initial_weights_are_those_of_the_release(depth: int) -> None:
    torch.manual_seed(0)
    probe = AttentiveClassifier(192, 16, 50, depth=depth)
    scales = {"pooler.cross_attention_block.mlp.fc2": 6**0.5 if depth == 4 else 2**0.5}
    for number in range(depth - 1):
        scales |= {f"pooler.blocks.{number}.{part}": (2 * number + 2) ** 0.5 for part in ("attn.proj", "mlp.fc2")}
    linears = {name: part for name, part in probe.pooler.named_modules(prefix="pooler") if isinstance(part, nn.Linear)}
    assert len(linears) == 4 + 4 * (depth - 1)
    for name, layer in linears.items():
        assert float(layer.weight.detach().std()) * scales.get(name, 1.0) == pytest.approx(0.02, rel=0.05), name
        assert not layer.bias.any()
    assert float(probe.pooler.query_tokens.detach().std()) == pytest.approx(0.02, rel=0.2)
    assert float(probe.linear.weight.detach().abs().max()) == pytest.approx(
        192**-0.5, rel=0.01
    )  # torch's own, as released


def test_details_that_outputs_hardly_show() -> None:
    """The approximation of GELU, and eps, change golden outputs by less than 1e-5."""
    probe = AttentiveClassifier(32, 4, 3)
    assert {part.eps for part in probe.modules() if isinstance(part, nn.LayerNorm)} == {1e-5}
    mlps = [part for part in probe.modules() if isinstance(part, Mlp)]
    assert len(mlps) == 4
    for mlp in mlps:
        assert isinstance(mlp.act, nn.GELU) and mlp.act.approximate == "none"
        assert mlp.fc1.out_features == 128
    value = torch.randn(9)
    torch.testing.assert_close(mlps[0].act(value), F.gelu(value))


@pytest.mark.parametrize(("width", "heads"), [(1024, 16), (1408, 16), (219, 3), (36, 12), (7, 7)])
def test_the_width_divides_into_heads(width: int, heads: int) -> None:
    assert num_attention_heads(width, 16) == heads
