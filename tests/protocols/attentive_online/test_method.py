"""Training of probes: gradients, tokens of several windows, saved state, frames of segments."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from sigma_bench.data.sampling import segment_windows
from sigma_bench.models.encoder import Encoder, Features
from sigma_bench.models.encoder_output import encoded
from sigma_bench.protocols.attentive_online.method import ProbeMethod
from sigma_bench.protocols.attentive_online.spec import AttentiveOnlineProtocol
from sigma_bench.protocols.head_grid import Setting
from sigma_bench.specs.clip import SegmentWindows
from sigma_bench.training.accumulation import accumulate_gradients
from sigma_bench.training.optimiser import learning_rate
from sigma_bench.training.resume import Done, save_state
from tests.protocols.tiny_training import tiny_encoder, tiny_task

SETTINGS = [Setting(0.001, 0.4), Setting(0.003, 0.01), Setting(0.01, 0.1)]


def protocol_of(name: str = "ssv2/attentive_mini_2", **changes: Any) -> AttentiveOnlineProtocol:
    protocol = tiny_task(name, {"depth": 2, **changes}).protocol
    assert isinstance(protocol, AttentiveOnlineProtocol)
    return protocol


def method_of(settings: list[Setting] = SETTINGS, encoder: Encoder | None = None, **changes: Any) -> ProbeMethod:
    return ProbeMethod(encoder or tiny_encoder(), protocol_of(**changes), settings, 8, seed=0)


def a_batch(videos: int = 4) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(videos, 2, 3, 4, 24, 24, generator=generator), torch.arange(videos) % 8


def gradients(method: ProbeMethod, **options: Any) -> list[list[torch.Tensor]]:
    method.zero_grad()
    accumulate_gradients(method, method, a_batch(), **options)
    return [[parameter.grad.clone() for parameter in probe.parameters()] for probe in method.model]


def test_gradients_are_those_of_each_probe_alone() -> None:
    """Computed one probe after the other, they equal those of plain autograd, and no probe changes those of another."""
    method = method_of()
    found = gradients(method)
    clip_BSCTHW, label_B = a_batch()
    for number, probe in enumerate(method.model):
        loss = F.cross_entropy(probe(method.tokens(clip_BSCTHW)), label_B)
        expected = torch.autograd.grad(loss, list(probe.parameters()))
        torch.testing.assert_close(found[number], list(expected), rtol=0, atol=0)
    with torch.no_grad():
        method.model[1].linear.weight.add_(1.0)
    changed = gradients(method)
    torch.testing.assert_close(changed[0], found[0], rtol=0, atol=0)
    torch.testing.assert_close(changed[2], found[2], rtol=0, atol=0)
    assert not torch.equal(changed[1][-1], found[1][-1])


def test_micro_batches_do_not_change_gradients() -> None:
    method = method_of()
    torch.testing.assert_close(gradients(method), gradients(method, num_micro_batches=4), rtol=1e-4, atol=1e-7)


def test_bfloat16_is_float32_rounded() -> None:
    """Encoder and probes run under autocast; gradients and probabilities stay near those of float32, and differ."""
    method = method_of()
    single, half = (torch.cat([g.flatten() for g in gradients(method, bfloat16=b)[0]]) for b in (False, True))
    assert half.dtype == torch.float32
    assert 1e-5 < float((half - single).norm() / single.norm()) < 0.05
    clip_VCTHW = a_batch()[0][0]
    rounded = method_of(optim={"precision": "bfloat16"}).scores(clip_VCTHW)
    assert rounded.dtype == torch.float32
    assert 1e-6 < float((rounded - method.scores(clip_VCTHW)).abs().max()) < 0.02


def test_the_loss_is_the_sum_over_probes_and_a_diverged_one_is_left_out() -> None:
    method = method_of()
    single = float(method_of(SETTINGS[:1])(*a_batch()).loss.detach())
    assert float(method(*a_batch()).loss.detach()) == pytest.approx(3 * single, rel=1e-6)
    for number, expected in ((0, 2 * single), (1, single), (2, float("nan"))):
        with torch.no_grad():
            method.model[number].linear.bias.fill_(float("nan"))
        found = gradients(method)
        assert [all(bool(part.isfinite().all()) for part in parts) for parts in found] == [n > number for n in range(3)]
        assert float(method(*a_batch()).loss.detach()) == pytest.approx(expected, rel=1e-6, nan_ok=True)


def test_a_probe_takes_the_steps_that_adamw_would_take_alone() -> None:
    """Two steps with the rate of its setting and its weight decay on all parameters, whatever the others do.

    Both take the same gradients, which another test compares: those of biases of keys are zero but for rounding, which
    AdamW would make as large as a step.
    """
    method = method_of()
    schedule = method.protocol.optim.schedule
    alone = method_of(SETTINGS[1:2]).model[0]
    plain = torch.optim.AdamW(alone.parameters(), weight_decay=0.01, betas=(0.9, 0.999), eps=1e-8)
    together = method.build_optimiser()
    for step in range(2):
        factor = learning_rate(schedule, step, 4, 2)
        assert factor == pytest.approx((1.0, 0.5 + 0.5 * 0.5**0.5)[step])
        for group in together.param_groups:
            group["lr"] = factor * group["lr_scale"]
        plain.param_groups[0]["lr"] = 0.003 * factor
        for parameter, gradient in zip(alone.parameters(), gradients(method)[1], strict=True):
            parameter.grad = gradient
        together.step()
        plain.step()
    for found, expected in zip(method.model[1].parameters(), alone.parameters(), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-7)
    moved = [probe.linear.weight.detach() for probe in method.model]
    assert not torch.equal(moved[0], moved[1]) and not torch.equal(moved[1], moved[2])


def test_windows_of_a_video_are_read_together_and_crops_apart() -> None:
    """Three crops of two windows: the second window of a crop is three clips after the first."""
    method = method_of(views={"crop": "three_along_longer_side"}, clips_at_once=4)
    clip_VCTHW = torch.randn(6, 3, 4, 24, 24, generator=torch.Generator().manual_seed(0))
    found = method.scores(clip_VCTHW)
    token_VND = encoded(tiny_encoder(), clip_VCTHW).token_BND.clone()
    for number, probe in enumerate(method.model):
        views = [probe(torch.cat([token_VND[crop], token_VND[crop + 3]])[None]).softmax(-1)[0] for crop in range(3)]
        torch.testing.assert_close(found[number], sum(views) / 3, rtol=1e-5, atol=1e-6)
    assert found.shape == (3, 8) and float(found.sum()) == pytest.approx(3)
    order = torch.tensor([3, 4, 5, 0, 1, 2])  # the order of windows does not matter
    torch.testing.assert_close(method.scores(clip_VCTHW[order]), found, rtol=1e-5, atol=1e-6)
    assert not torch.allclose(method.scores(clip_VCTHW[torch.tensor([1, 0, 2, 3, 4, 5])]), found, atol=1e-6)


class ModuleEncoder(torch.nn.Module):
    """An encoder that is a module, with more weights than all probes."""

    def __init__(self) -> None:
        super().__init__()
        self.large = torch.nn.Parameter(torch.zeros(1_000_000))
        self._inner = tiny_encoder()
        self.card = self._inner.card

    def encode(self, clip_BCTHW: torch.Tensor) -> Features:
        return self._inner.encode(clip_BCTHW)


def test_the_saved_state_holds_no_weight_of_the_encoder(tmp_path: Path) -> None:
    method = method_of(encoder=ModuleEncoder())  # type: ignore[arg-type]
    assert not [name for name, _ in method.named_parameters() if not name.startswith("model.")]
    save_state(tmp_path / "state.pt", method.model, method.build_optimiser(), identity="", done=Done())
    weights = sum(parameter.numel() for parameter in method.model.parameters())
    assert (tmp_path / "state.pt").stat().st_size < 4 * weights + 100_000 < 4_000_000


def test_activations_of_one_probe_are_held_at_a_time() -> None:
    """What autograd keeps at its peak does not grow with the number of probes."""

    def kept_at_once(settings: list[Setting]) -> int:
        method, sizes = method_of(settings), {"now": 0, "most": 0}

        class Kept:
            def __init__(self, tensor: torch.Tensor) -> None:
                self.tensor, self.size = tensor, tensor.numel()
                sizes["now"] += self.size
                sizes["most"] = max(sizes.values())

            def __del__(self) -> None:
                sizes["now"] -= self.size

        with torch.autograd.graph.saved_tensors_hooks(Kept, lambda kept: kept.tensor):
            gradients(method)
        return sizes["most"]

    assert kept_at_once(SETTINGS * 4) < 1.1 * kept_at_once(SETTINGS[:1])


@pytest.mark.parametrize(
    ("frames", "expected"),
    [
        (40, [[6, 8, 11, 13], [26, 28, 31, 33]]),  # segments of 20, windows of 8 in their middle: 6 to 13, 26 to 33
        (16, [[0, 3, 6, 6], [8, 11, 14, 14]]),
        (12, [[0, 3, 6, 6], [4, 7, 10, 10]]),
        (5, [[0, 3, 3, 3]] * 2),
        (1, [[0, 0, 0, 0]] * 2),
    ],
)
def test_windows_in_the_middle_of_segments(frames: int, expected: list[list[int]]) -> None:
    windows = SegmentWindows(sampler="segment_windows", stride_frames=2, num_segments=2)
    assert segment_windows(frames, 4, windows).tolist() == expected


def released(frames: int, fpc: int, step: int, segments: int, draw: Any) -> list[list[int]]:
    """The rule of the released code in words: a window of each segment, or overlapping windows of a short video."""
    span, length, found = fpc * step, frames // segments, []
    for segment in range(segments):
        if length > span:
            end = draw(span, length)
            places = [min(max(end - span + span * k / (fpc - 1), end - span), end - 1) for k in range(fpc)]
            found.append([int(place) + segment * length for place in places])
            continue
        last = min(span, frames) - 1
        count = last // step
        places = [last * k / (count - 1) if count > 1 else 0 for k in range(count)] + [last] * (fpc - count)
        shift = (frames - span) // (segments - 1) if frames > span else 0
        found.append([int(min(max(place, 0), max(last - 1, 0))) + segment * shift for place in places])
    return found


@pytest.mark.parametrize("segments", [1, 2, 8])
def test_training_windows_follow_the_release(segments: int) -> None:
    windows = SegmentWindows(sampler="segment_windows", stride_frames=3, num_segments=segments)
    for frames in (1, 2, 5, 23, 24, 25, 48, 49, 60, 193, 400):
        found = segment_windows(frames, 8, windows, np.random.default_rng(frames))
        rng = np.random.default_rng(frames)
        expected = released(frames, 8, 3, segments, lambda low, high, rng=rng: int(rng.integers(low, high)))
        assert found.tolist() == expected, frames
        assert found.min() >= 0 and found.max() < frames
        assert segment_windows(frames, 8, windows).max() < frames


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"views": {"sampling": {"sampler": "uniform"}}},
            "views.sampling.sampler is uniform, but attentive_online read",
        ),
        ({"augmentation": {"repeats": 2}}, r"augmentation.repeats is 2; attentive_online draws one clip \(1\)"),
        (
            {"held_out_fraction": None},
            "with held_out_fraction: null, and only with it, protocol and metrics are called",
        ),
        ({"optim": {"learning_rates": []}}, "learning_rates"),
        ({"depth": 0}, "depth"),
    ],
)
def test_what_does_not_fit_together_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        protocol_of(**changes)
    with pytest.raises(ValueError, match="and only with it, protocol and metrics are called"):
        protocol_of("ssv2/attentive_selected_on_test", held_out_fraction=0.5)
