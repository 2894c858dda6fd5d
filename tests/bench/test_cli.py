"""``sigma-bench bench`` writes what it prints."""

import json

import pytest
from typer.testing import CliRunner

from sigma_bench.bench.compute import PEAK_SIZES
from sigma_bench.bench.result import StepBenchmark
from sigma_bench.cli.main import app
from tests.bench.tiny import tiny_content


@pytest.mark.slow
def test_a_run_leaves_json_and_markdown(tmp_path, monkeypatch):
    monkeypatch.setitem(PEAK_SIZES, "cpu", 64)
    recipes = []
    for kind in ("sigma_mlp", "videomae"):
        recipes.append(str(tmp_path / f"{kind}.yaml"))
        (tmp_path / f"{kind}.yaml").write_text(json.dumps(tiny_content(kind)))
    output = tmp_path / "out"
    done = CliRunner().invoke(app, ["bench", *recipes, "--rounds", "1", "--output", str(output)])
    assert done.exit_code == 0, done.output
    names = [
        f"step_tiny_{kind}_{precision}" for kind in ("sigma_mlp", "videomae") for precision in ("bfloat16", "float32")
    ]
    assert sorted(path.name for path in output.iterdir()) == sorted(f"{n}.{s}" for n in names for s in ("json", "md"))
    for name in names:
        text = (output / f"{name}.json").read_text()
        assert StepBenchmark.model_validate_json(text).batch_size == json.loads(text)["batch_size"] == 2
        assert "| step |" in (output / f"{name}.md").read_text()
    assert "plain / ours" in done.output


@pytest.mark.parametrize("option", [("--precision", "float16"), ("--device", "tpu")])
def test_a_mistyped_option_is_refused_before_anything_is_measured(option, tmp_path):
    done = CliRunner().invoke(app, ["bench", *option, "--output", str(tmp_path / "out")])
    assert isinstance(done.exception, ValueError)
    assert "choose" in str(done.exception)
    assert not (tmp_path / "out").exists()
