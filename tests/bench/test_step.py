"""What a benchmark counts and reports; how long things take is not tested."""

import pytest
import torch

from sigma_bench.bench.alternation import Setting, Side, time_steps
from sigma_bench.bench.compute import PEAK_SIZES
from sigma_bench.bench.report import markdown
from sigma_bench.bench.result import PHASES, StepBenchmark
from sigma_bench.bench.sides import comparable_method, make_batch
from sigma_bench.bench.step import loss_head_memory, measure_step, step_flops
from sigma_bench.bench.timing import Marks, alternate, extra_bytes
from sigma_bench.specs.recipe import parse_recipe
from sigma_bench.training.distribution import choose_device
from tests.bench.tiny import tiny_content, tiny_recipe

CPU = torch.device("cpu")


def linear(rows: int, inputs: int, outputs: int, *, input_gradient: bool = True) -> int:
    """A product forward, one for the gradient of the weight, one for that of the input."""
    return 2 * rows * inputs * outputs * (3 if input_gradient else 2)


def block(batch: int, tokens: int, width: int, asking: int | None = None) -> int:
    """Linear layers of 3, 1, 4 and 4 widths squared, and two L x L x width products with two gradients each.

    Where only some tokens ask, the queries of all are made, but the rest only of those.
    """
    asking = asking or tokens
    layers = linear(batch * tokens, width, 3 * width) + linear(batch * asking, width, 9 * width)
    return layers + batch * 2 * 2 * asking * tokens * width * 3


@pytest.mark.parametrize("kind", ["videomae", "sigma_mlp"])
def test_flops_are_those_of_a_hand_count(kind):
    recipe = tiny_recipe(kind)
    batch, slots, places, hidden = 2, 2, 16, 12
    visible, masked, pixels = slots * (places - hidden), slots * hidden, 2 * 8 * 8 * 3
    target = pixels if kind == "videomae" else 16
    expected = (
        linear(batch * visible, pixels, 32, input_gradient=False)
        + 2 * block(batch, visible, 32)
        + linear(batch * visible, 32, 16)
        + block(batch, visible + masked, 16, asking=masked)
        + linear(batch * masked, 16, target)
    )
    if kind == "sigma_mlp":
        expected += linear(batch * masked, pixels, 24, input_gradient=False) + linear(batch * masked, 24, 16)
        # Scores of both branches; gradients of two features and of the prototypes.
        expected += 2 * batch * masked * 16 * 6 * (2 + 3)
        # Matrix times vector: 2 branches, 4 iterations with 2 scales each; the first is a sum, the last in the softmax.
        expected += 2 * batch * masked * 6 * 2 * (2 * 4 - 2)
    assert step_flops(comparable_method(recipe), make_batch(recipe, batch, CPU)) == expected


def test_extra_bytes_sees_a_matrix():
    size = 2**26
    found = extra_bytes(lambda: torch.ones(size // 4, dtype=torch.float32), CPU)
    if found is None:
        pytest.skip("this system does not tell a process's peak memory")
    assert 0.9 * size < found < 1.2 * size


def test_loss_head_takes_at_most_half_the_plain_memory():
    content = tiny_content("sigma_mlp")
    content["objective"]["num_prototypes"] = 2048
    content["encoder"] |= {"num_frames": 8, "image_size": 64}
    recipe = parse_recipe(content, where="test")
    batch = make_batch(recipe, 8, CPU)
    found = loss_head_memory(comparable_method(recipe), batch)
    if found is None:
        pytest.skip("this system does not tell a process's peak memory")
    assert found.unit_bytes == 4 * int(batch.mask_BN.sum()) * 2048
    assert found.plain_units > 4  # at least two scores, a log-softmax of each and a gradient
    assert found.ours_units < found.plain_units / 2


def test_videomae_has_no_loss_head():
    recipe = tiny_recipe("videomae")
    assert loss_head_memory(comparable_method(recipe), make_batch(recipe, 1, CPU)) is None


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_result_is_whole_and_survives_json(precision, monkeypatch):
    seen = []
    monkeypatch.setitem(PEAK_SIZES, "cpu", 64)
    result = measure_step(
        tiny_recipe("sigma_mlp"),
        batch_size=2,
        rounds=2,
        precision=precision,
        device=CPU,
        report=lambda *progress: seen.append(progress),
    )
    assert StepBenchmark.model_validate_json(result.model_dump_json()) == result
    assert [phase.name for phase in result.phases] == list(PHASES)
    assert {"Sinkhorn", "loss head", "AdamW", "tube embedding"} <= {piece.name for piece in result.pieces}
    assert all(c.ratio.low <= c.ratio.median <= c.ratio.high for c in (*result.phases, *result.steps, *result.pieces))
    float32 = ["step, plain in float32"] if precision == "bfloat16" else []
    assert [c.name for c in result.steps] == ["step", "step, plain keeping freed memory", *float32]
    assert result.hardware and result.versions["torch"] and result.num_threads >= 1
    assert seen[-1] == ("floor", 1, 1)
    assert f"tiny_sigma_mlp, {precision}" in markdown(result)


def test_marks_are_the_lengths_between_them():
    marks = Marks(CPU)
    marks("first")
    marks("second")
    assert list(marks.seconds()) == ["first", "second"]
    assert min(marks.seconds().values()) >= 0


def test_sides_alternate_and_take_turns_at_going_first():
    calls = []
    plain, ours = alternate(lambda: calls.append("plain"), lambda: calls.append("ours"), 2, CPU)
    assert len(plain) == len(ours) == 2
    assert calls == ["ours", "plain", "plain", "ours"] * 2


def test_a_recipe_without_plain_formulation_is_refused():
    content = tiny_content("sigma_mlp")
    teacher = {"model": "run:x", "width": 16, "resize": "none"}
    content["objective"] = {k: v for k, v in content["objective"].items() if k != "projector_widths"}
    content["objective"] |= {"kind": "sigma_dino", "teacher": teacher}
    with pytest.raises(ValueError, match=r"no plain formulation.*choose a SIGMA-MLP"):
        measure_step(parse_recipe(content, where="test"), batch_size=1, rounds=1, precision="float32", device=CPU)


def test_devices_by_name():
    assert choose_device("cpu") == CPU
    with pytest.raises(ValueError, match="choose auto, cpu or cuda"):
        choose_device("tpu")
    if not torch.cuda.is_available():
        assert choose_device("auto") == CPU
        with pytest.raises(ValueError, match="finds no GPU"):
            choose_device("cuda")


def test_a_side_whose_process_ends_is_named():
    side, setting = (
        Side(is_ours=True, dtype=torch.float32, keeps_memory=False),
        Setting(tiny_recipe("videomae"), 0, CPU, 1),
    )
    with pytest.raises(ValueError, match=r"side 'ours' ended with exit code 1, perhaps out of memory"):
        time_steps({"ours": side}, setting, 1, lambda done, total: None)
