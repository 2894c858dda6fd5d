"""Training steps and frozen passes on a pretended GPU: results of the CPU, and no tensor on a wrong device."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from sigma_bench.models.encoder import NetworkEncoder, require_trainable
from sigma_bench.models.zoo import load_encoder
from sigma_bench.protocols.attentive import run as attentive
from sigma_bench.protocols.classification import TrainFeatures
from sigma_bench.protocols.clip_batches import BatchEncoder
from sigma_bench.protocols.features import SplitFeatures
from sigma_bench.protocols.finetune.spec import FinetuneProtocol
from sigma_bench.protocols.head_grid import FitHeads, Setting
from sigma_bench.protocols.linear import run as linear
from sigma_bench.specs.catalogue import load_recipe, load_task, resolve
from sigma_bench.training.method import PretrainingMethod, build_method
from sigma_bench.training.supervised import SupervisedMethod
from sigma_bench.training.targets import OneClass
from tests.pretended_cuda import held, pretended_cuda
from tests.protocols.tiny_training import tiny_encoder, tiny_task


def frames(number: int = 4, size: int = 48) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (number, 8, 3, size, size), dtype=torch.uint8, generator=generator)


def mask_of(method: PretrainingMethod, number: int = 4) -> Tensor:
    slots, rows, columns = method.recipe.encoder.grid()
    hidden = torch.zeros(slots, rows * columns, dtype=torch.bool)
    hidden[:, : rows * columns * 3 // 4] = True
    return hidden.flatten().expand(number, -1).clone()


def gradients(method: nn.Module) -> dict[str, Tensor]:
    return {name: p.grad for name, p in method.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("recipe", ["mini_sigma_mlp", "mini_videomae"])
@pytest.mark.parametrize("mixed", [False, True])
def test_a_pretraining_step_is_that_of_the_cpu(recipe: str, mixed: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = build_method(load_recipe(recipe), seed=0)
    with torch.autocast("cpu", torch.bfloat16, enabled=mixed):
        loss = expected(frames(), mask_of(expected)).loss
    loss.backward()
    method = build_method(load_recipe(recipe), seed=0)
    mask = mask_of(method)
    with pretended_cuda(monkeypatch) as device:
        method.to(device)
        optimiser = method.build_optimiser()
        with torch.autocast("cuda", torch.bfloat16, enabled=mixed):
            output = method(frames().to(device), mask.to(device))
        output.loss.backward()
        tolerance = 0.02 if mixed else 1e-5
        assert float(held(output.loss)) == pytest.approx(float(loss), rel=tolerance)
        found = gradients(method)
        assert found.keys() == gradients(expected).keys()
        if not mixed:
            for name, gradient in gradients(expected).items():
                torch.testing.assert_close(held(found[name]), gradient, rtol=1e-3, atol=1e-6)
        before = held(next(method.parameters())).clone()
        for group in optimiser.param_groups:
            group["lr"] = 0.1
        optimiser.step()
        assert not torch.equal(held(next(method.parameters())), before)


def test_a_frozen_pass_is_that_of_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("random:mini_videomae", "random:mini_dino"):
        encoder = load_encoder(name)
        expected = next(BatchEncoder(encoder, "float32", 4).tokens(frames()))
        with pretended_cuda(monkeypatch) as device:
            encoder.to(device)
            token_BND = next(BatchEncoder(encoder, "float32", 4).tokens(frames()))
            torch.testing.assert_close(held(token_BND), expected, rtol=0, atol=1e-5)
            assert isinstance(token_BND.mean(1).cpu().numpy(), np.ndarray)


class WithMistake(nn.Module):
    """A network that brings its tokens to the CPU, or adds a tensor that is there."""

    def __init__(self, inner: nn.Module, mistake: str) -> None:
        super().__init__()
        self.inner, self.mistake, self.spec = inner, mistake, inner.spec

    def forward(self, clip_BCTHW: Tensor) -> Tensor:
        token_BND = self.inner(clip_BCTHW)
        if self.mistake == "cpu":
            return self.inner.norm(token_BND.cpu())
        return token_BND + torch.zeros(token_BND.shape[-1])


@pytest.mark.parametrize("mistake", ["cpu", "other device"])
def test_a_tensor_on_the_wrong_device_is_found(mistake: str, monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = load_encoder("random:mini_videomae")
    assert isinstance(encoder, NetworkEncoder)
    encoder.network = WithMistake(encoder.network, mistake)
    assert next(BatchEncoder(encoder, "float32", 4).tokens(frames())).shape[0] == 4
    with pretended_cuda(monkeypatch) as device:
        encoder.to(device)
        with pytest.raises(RuntimeError, match="tensors on cuda:0 and on the CPU"):
            next(BatchEncoder(encoder, "float32", 4).tokens(frames()))


def supervised() -> SupervisedMethod:
    protocol = tiny_task().protocol
    assert isinstance(protocol, FinetuneProtocol)
    return SupervisedMethod(require_trainable(tiny_encoder()), protocol, OneClass(5, 0.1), frozen=False, seed=0)


def supervised_batch() -> tuple[Tensor, ...]:
    """Two clips with targets, positions, numbers for drop paths and for mixing."""
    generator = torch.Generator().manual_seed(0)
    clip_BRCTHW = torch.randn(2, 1, 3, 4, 24, 24, generator=generator)
    numbers = torch.rand(2, 1, 2, generator=generator), torch.rand(2, 1, 4, generator=generator)
    return clip_BRCTHW, torch.eye(5)[:2], torch.tensor([0, 1]), *numbers


def test_a_step_of_fine_tuning_is_that_of_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = supervised()
    loss = expected(*supervised_batch()).loss
    loss.backward()
    method = supervised()
    with pretended_cuda(monkeypatch) as device:
        method.to(device)
        found = method(*(part.to(device) for part in supervised_batch())).loss
        found.backward()
        assert float(held(found)) == pytest.approx(float(loss), rel=1e-5)
        for name, gradient in gradients(expected).items():
            torch.testing.assert_close(held(gradients(method)[name]), gradient, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize(("task", "fit"), [("ssv2/linear", linear.fit_heads), ("ssv2/attentive", attentive.fit_probes)])
def test_heads_on_features_are_those_of_the_cpu(task: str, fit: FitHeads, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    features = SplitFeatures(
        rng.normal(size=(30, 12)).astype(np.float32), {}, rng.normal(size=(30, 1, 4, 12)).astype(np.float16), (4, 1, 1)
    )
    rows = np.arange(30)
    train = TrainFeatures(features, rows, rows % 3, rows, 3)
    protocol = resolve(load_task(task), {"epochs": 1, "least_steps": 4, "batch_size": 10}).protocol
    settings = [Setting(0.01, 0.01), Setting(0.001, 0.0)]
    expected = fit(train, rows, settings, protocol, 0, torch.device("cpu"), lambda done, total: None)
    with pretended_cuda(monkeypatch) as device:
        found = fit(train, rows, settings, protocol, 0, device, lambda done, total: None)
        score = held(found.scores(features, rows))
    torch.testing.assert_close(score, expected.scores(features, rows), rtol=1e-4, atol=1e-5)
