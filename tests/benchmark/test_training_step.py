"""What a benchmark of a step counts and reports; how long things take is not tested."""

import json

import pytest
import torch
from typer.testing import CliRunner

from sigma_bench.benchmark.result_table import BenchmarkResult
from sigma_bench.benchmark.training_step import PEAK_SIZES, build_steps, matmul_flops, measure_step, random_batch
from sigma_bench.cli.main import app
from sigma_bench.specs.recipe import parse_recipe
from sigma_bench.training.distribution import choose_device
from tests.benchmark.tiny import tiny_content, tiny_recipe

CPU = torch.device("cpu")


def linear(rows: int, inputs: int, outputs: int, *, input_gradient: bool = True) -> int:
    """A product forward, one for the gradient of the weight, one for that of the input."""
    return 2 * rows * inputs * outputs * (3 if input_gradient else 2)


def block(batch: int, tokens: int, width: int, queries: int | None = None) -> int:
    """Linear layers of 3, 1, 4 and 4 widths squared, and two L x L x width products with two gradients each.

    Where only some tokens are queries, qkv is computed of all, and the rest only of those.
    """
    queries = queries or tokens
    layers = linear(batch * tokens, width, 3 * width) + linear(batch * queries, width, 9 * width)
    return layers + batch * 2 * 2 * queries * tokens * width * 3


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
        + block(batch, visible + masked, 16, queries=masked)
        + linear(batch * masked, 16, target)
    )
    if kind == "sigma_mlp":
        expected += linear(batch * masked, pixels, 24, input_gradient=False) + linear(batch * masked, 24, 16)
        # Scores of both branches; gradients of two features and of the prototypes.
        expected += 2 * batch * masked * 16 * 6 * (2 + 3)
        # Sinkhorn: 2 branches, 4 iterations, in each of which one of two products counts as a matrix product.
        expected += 2 * 4 * 2 * batch * masked * 6
    assert matmul_flops(build_steps(recipe, CPU)[0], *random_batch(recipe, batch, CPU)) == expected


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_result_is_whole_and_survives_json(precision, monkeypatch):
    seen = []
    monkeypatch.setitem(PEAK_SIZES, "cpu", 64)
    result = measure_step(
        tiny_recipe("sigma_mlp"), batch_size=2, rounds=2, precision=precision, device=CPU, report=seen.append
    )
    assert BenchmarkResult.model_validate_json(result.model_dump_json()) == result
    assert [row["part"] for row in result.rows] == ["forward and loss", "backward", "optimiser", "step"]
    assert all(row["plain, ms"] > 0 and row["ours, ms"] > 0 for row in result.rows)
    assert seen == [1, 2, 3, 4]
    assert "| forward and loss |" in result.markdown()
    assert f"tiny_sigma_mlp, {precision}, 2 clips" in result.markdown()


def test_a_recipe_without_plain_computation_is_refused():
    content = tiny_content("sigma_mlp")
    teacher = {"model": "run:x", "width": 16, "resize": "none"}
    content["objective"] = {k: v for k, v in content["objective"].items() if k != "projector_widths"}
    content["objective"] |= {"kind": "sigma_dino", "teacher": teacher}
    with pytest.raises(ValueError, match=r"plain computation; choose a SIGMA-MLP"):
        measure_step(parse_recipe(content, where="test"), batch_size=1, rounds=1, precision="float32", device=CPU)


def test_devices_by_name():
    assert choose_device("cpu") == CPU
    with pytest.raises(ValueError, match="choose auto, cpu or cuda"):
        choose_device("tpu")
    if not torch.cuda.is_available():
        assert choose_device("auto") == CPU
        with pytest.raises(ValueError, match="finds no GPU"):
            choose_device("cuda")


def test_the_command_leaves_json_and_markdown(tmp_path, monkeypatch):
    monkeypatch.setitem(PEAK_SIZES, "cpu", 64)
    recipe = tmp_path / "tiny.yaml"
    recipe.write_text(json.dumps(tiny_content("videomae")))
    output = tmp_path / "out"
    done = CliRunner().invoke(app, ["bench", "step", str(recipe), "--rounds", "1", "--output", str(output)])
    assert done.exit_code == 0, done.output
    names = [f"step_tiny_videomae_{precision}" for precision in ("bfloat16", "float32")]
    assert sorted(path.name for path in output.iterdir()) == sorted(f"{n}.{s}" for n in names for s in ("json", "md"))
    assert "forward and loss" in done.output


@pytest.mark.parametrize("option", [("--precision", "float16"), ("--device", "tpu")])
def test_a_mistyped_option_is_refused_before_anything_is_measured(option, tmp_path):
    done = CliRunner().invoke(app, ["bench", "step", *option, "--output", str(tmp_path / "out")])
    assert isinstance(done.exception, ValueError)
    assert "choose" in str(done.exception)
    assert not (tmp_path / "out").exists()
