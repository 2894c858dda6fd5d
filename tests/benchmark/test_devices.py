import json

import numpy as np
import torch
from typer.testing import CliRunner

from sigma_bench.benchmark import devices, encoding
from sigma_bench.benchmark.training_step import PEAK_SIZES
from sigma_bench.cli.main import app
from tests.benchmark.tiny import tiny_content, tiny_recipe

CPU = torch.device("cpu")


def test_a_device_agrees_with_itself_and_a_planted_difference_is_found(tmp_path, monkeypatch):
    monkeypatch.setattr(devices, "SEARCHED", 500)
    recipe = tiny_recipe("sigma_mlp")
    result = devices.measure_agreement([recipe], [], tmp_path, tmp_path, CPU)
    differences = {row["quantity"]: (float(row["difference"]), row["agrees"]) for row in result.rows}
    exact = ["tokens of tiny_sigma_mlp, float32", "loss of tiny_sigma_mlp, float32"]
    assert [differences[name] for name in exact] == [(0.0, "yes")] * 2
    rounded, agrees = differences["tokens of tiny_sigma_mlp, bfloat16"]
    assert 1e-4 < rounded < 5e-2  # 8 bits of precision
    assert agrees == "yes"
    assert differences["20 nearest of 500: share that differs"] == (0.0, "yes")

    plain = devices.nearest
    monkeypatch.setattr(devices, "nearest", lambda *args: (None, np.roll(plain(*args)[1], 1, axis=0)))
    planted = devices.measure_agreement([recipe], [], tmp_path, tmp_path, CPU)
    assert [row["quantity"] for row in planted.rows if row["agrees"] == "no"] == [
        "20 nearest of 500: share that differs"
    ]


def test_the_two_searches_find_the_same_neighbours():
    result = encoding.measure_neighbours(400, 30, 16)
    assert result.remarks == ("neighbours that differ between the two: 0.00%",)


def test_the_command_runs_every_part_without_a_gpu(world, tmp_path, monkeypatch):
    monkeypatch.setattr(encoding, "encoders_of", lambda spec: {"tiny": spec})
    monkeypatch.setitem(PEAK_SIZES, "cpu", 64)
    monkeypatch.setattr(devices, "SEARCHED", 500)
    recipe = tmp_path / "tiny.yaml"
    recipe.write_text(json.dumps(tiny_content("videomae")))
    data = ["--data", str(world), "--task", "ucf101/knn"]
    sizes = ["--batch", "2", "--clips", "2", "--bank", "300", "--queries", "10", "--rounds", "1"]
    done = CliRunner().invoke(
        app,
        ["bench", "gpu", "--recipe", str(recipe), *data, *sizes, "--device", "cpu", "--output", str(tmp_path)],
    )
    assert done.exit_code == 0, done.output
    written = {path.stem: json.loads(path.read_text()) for path in tmp_path.glob("*.json")}
    assert {"agreement", "encoding", "neighbours", "step_tiny_videomae_float32"} <= written.keys()
    score = next(row for row in written["agreement"]["rows"] if row["quantity"].startswith("ucf101/knn"))
    assert float(score["difference"]) == 0.0
    assert [row["precision"] for row in written["encoding"]["rows"]] == ["float32", "bfloat16"]
