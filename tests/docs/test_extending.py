"""The pages about extending: each example is built, installed and used by the commands that its page states."""

import ast
import importlib
import inspect
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch.nn.functional import smooth_l1_loss
from typer.testing import CliRunner

import sigma_bench.extend
from sigma_bench.cli.main import app
from sigma_bench.data.datasets import open_dataset
from sigma_bench.metrics.accuracy import top1
from sigma_bench.models.video_vit import tubes
from sigma_bench.records.store import Store
from sigma_bench.resources import INCLUDE_VARIABLE
from sigma_bench.specs.catalogue import load_dataset, load_recipe
from sigma_bench.training.method import build_method
from tests.other_packages import install_project, visible

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES, PAGES = ROOT / "docs" / "examples", ROOT / "docs" / "extending"


def blocks(page: str, language: str) -> list[str]:
    """The blocks of a page in one language, in order."""
    return re.findall(rf"^```{language}\n(.*?)^```", (PAGES / f"{page}.md").read_text(), re.DOTALL | re.MULTILINE)


def commands(page: str) -> list[str]:
    """The commands of a page for a copy of its example: all of ``sigma-bench`` in the blocks after 'pip install .'."""
    lines = [line for block in blocks(page, "sh") for line in block.splitlines() if line.strip()]
    assert lines.count("pip install .") == 1
    return [line for line in lines[lines.index("pip install .") + 1 :] if line.startswith("sigma-bench ")]


def copied(example: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of an example, which becomes the current folder, and whose package is installed in the returned folder."""
    shutil.copytree(EXAMPLES / example, folder / "work", ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.chdir(folder / "work")
    install_project(folder / "site", folder / "work")
    return folder / "site"


def outputs(lines: list[str], data: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The output of every command, each with exit code 0, by the command."""
    found = {}
    for line in lines:
        monkeypatch.setenv(INCLUDE_VARIABLE, "")
        done = CliRunner().invoke(app, [word.replace("DATA", str(data)) for word in shlex.split(line)[1:]])
        assert done.exit_code == 0, (line, done.output, done.exception)
        found[line] = " ".join(done.output.split())
    return found


@pytest.mark.slow
def test_the_protocol_of_its_page_is_evaluated_and_verified(
    world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = [line.replace("random:", "statistics:") for line in commands("protocol")]
    with visible(copied("nearest_class_mean", tmp_path, monkeypatch)):
        shown = outputs(lines, world, monkeypatch)
    assert "2 scores computed again, which agree" in shown["sigma-bench verify results/runs"]
    store = Store(tmp_path / "work" / "results" / "runs")
    ((_, record),) = store.records()
    scores = {score.metric: score.value for score in record.scores}
    stored = store.load_predictions(record.predictions)
    assert scores["top1"] == top1(stored["truth"], stored["predicted"]) <= scores["mean_reciprocal_rank"]
    assert record.controls == {"chance": pytest.approx(1 / 8)}


@pytest.mark.slow
def test_the_run_without_classify_of_its_page_is_evaluated_and_verified(
    world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (code,) = (block for block in blocks("protocol", "python") if "def run(" in block)
    site = copied("nearest_class_mean", tmp_path, monkeypatch)
    (site / "nearest_class_mean" / "run.py").write_text(code)
    model = "sigma-bench --include . evaluate statistics:mini_sigma_mlp --task ssv2_means.yaml"
    lines = [f"{model} --set 'metrics=[top1]' --data DATA", "sigma-bench verify results/runs", "sigma-bench table"]
    with visible(site):
        assert "1 scores computed again, which agree" in outputs(lines, world, monkeypatch)[lines[1]]
    store = Store(tmp_path / "work" / "results" / "runs")
    ((_, record),) = store.records()
    assert record.controls["chance"] == pytest.approx(1 / 8)
    assert record.controls["chance"] < record.scores[0].value < 1


def test_the_metric_of_repetitions_of_its_page_has_a_spread() -> None:
    import numpy as np

    (code,) = (block for block in blocks("protocol", "python") if "of_repetition" in block)
    exec(compile(code, "protocol.md", "exec"), defined := {})
    predicted_S2 = np.array([[0, 0], [1, 0], [1, 1], [0, 1]])
    stored = {"truth": np.array([0, 1, 1, 1]), "predicted_of_draw": predicted_S2}
    metric = defined["METRICS"]["top1"]
    assert metric.of_repetition(stored).tolist() == [0.75, 0.75]
    assert metric.statistic(metric.prepare(stored), np.array([0, 1])) == 0.75
    stored["truth"][3] = 0
    assert metric.of_repetition(stored).tolist() == [1.0, 0.5]


def test_class_means_are_those_of_scikit_learn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import numpy as np
    from sklearn.neighbors import NearestCentroid

    rng = np.random.default_rng(0)
    feature_SD, label_S = rng.normal(size=(60, 8)), rng.integers(0, 5, 60)
    with visible(copied("nearest_class_mean", tmp_path, monkeypatch)):
        class_means = importlib.import_module("nearest_class_mean.run").class_means
        mean_LD = class_means(feature_SD, label_S, 6)
    assert np.allclose(mean_LD[:5], NearestCentroid().fit(feature_SD, label_S).centroids_)
    assert np.isnan(mean_LD[5]).all()


@pytest.mark.slow
def test_the_method_of_its_page_is_trained_and_evaluated(
    world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with visible(copied("mean_colour", tmp_path, monkeypatch)):
        shown = outputs(commands("method"), world, monkeypatch)
    assert "mini_mean_colour" in shown["sigma-bench compare mini_mean_colour image_statistics"]
    records = {record.model.model: record for _, record in Store(tmp_path / "work" / "results" / "runs").records()}
    card = records["mini_mean_colour"].model
    assert (card.family, card.pretraining_data, card.feature_width) == ("mean colour", ("ssv2",), 64)


def test_the_targets_of_the_method_are_the_mean_colours_of_the_masked_tubes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with visible(copied("mean_colour", tmp_path, monkeypatch)):
        recipe = load_recipe("pretrain/mini_mean_colour.yaml")
        method = build_method(recipe, seed=0)
        clip_BCTHW = torch.randn(2, 3, 8, 48, 48, generator=torch.Generator().manual_seed(0))
        mask_BN = torch.zeros(2, 144, dtype=torch.bool)
        mask_BN[:, ::4] = mask_BN[0, 1] = mask_BN[1, 143] = True
        found = method.step(clip_BCTHW, mask_BN).loss
        guess_BMC = method.model.decode(method.model.encode(clip_BCTHW, ~mask_BN), mask_BN)
    colour_BNC = tubes(clip_BCTHW, 2, 8).mean((3, 4, 5))
    target_BMC = torch.stack([colour_NC[mask_N] for colour_NC, mask_N in zip(colour_BNC, mask_BN, strict=True)])
    assert torch.allclose(found, smooth_l1_loss(guess_BMC, target_BMC, beta=0.5))


@pytest.mark.slow
def test_the_encoder_of_its_page_is_checked_and_evaluated(
    world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with visible(copied("tube_vit", tmp_path, monkeypatch)):
        shown = outputs(commands("encoder"), world, monkeypatch)
        plain = outputs(["sigma-bench check tube_vit:build"], world, monkeypatch)
    checked = shown["sigma-bench check small_tubes"]
    speed = re.compile(r"[\d.]+ clips/s")
    assert speed.sub("", checked) == speed.sub("", plain["sigma-bench check tube_vit:build"])
    (printed,) = (block for block in blocks("encoder", "text") if "small_tubes" in block)
    assert " ".join(printed.split()) in checked and "the network can be fine-tuned: embedding and 2 blocks" in checked
    assert "registered by tube_vit" in shown["sigma-bench models"]


@pytest.mark.slow
def test_the_dataset_of_its_page_is_read_and_evaluated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (script,) = (block for block in blocks("dataset", "python") if "gestures.mini" in block)
    lines = [line.replace("random:", "statistics:") for line in commands("dataset")]
    with visible(copied("gestures", tmp_path, monkeypatch)):
        exec(compile(script, "dataset.md", "exec"), {})
        shown = outputs(lines, tmp_path, monkeypatch)
        home = tmp_path / "work" / "root" / "gestures"
        (home / "videos").rename(home / "mp4")
        linked = outputs(["sigma-bench --include . data prepare root gestures --link"], tmp_path, monkeypatch)
        monkeypatch.setenv(INCLUDE_VARIABLE, str(tmp_path / "work"))
        (test_of_reader,) = (block for block in blocks("dataset", "python") if "def test_" in block)
        exec(compile(test_of_reader, "dataset.md", "exec"), defined := {})
        (tmp_path / "copy").mkdir()
        (test,) = (value for name, value in defined.items() if name.startswith("test_"))
        test(tmp_path / "work" / "root", tmp_path / "copy")
    assert "gestures train 48 48 48 0" in shown["sigma-bench --include . data prepare root gestures"]
    assert "gestures train 48 48 48 0" in next(iter(linked.values())) and (home / "videos").is_symlink()
    records = {record.task.task: record for _, record in Store(tmp_path / "work" / "results" / "runs").records()}
    assert records.keys() == {"gestures/knn", "gestures/linear"}
    assert all(record.scores[0].interval.num_units == 2 for record in records.values())  # persons
    assert records["gestures/knn"].scores[0].value > 0.5  # the shortcut that the page mentions


def test_inside_the_repository_three_files_are_enough(tmp_path: Path) -> None:
    for folder in ("sigma_bench", "tasks", "pretrain"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    example = EXAMPLES / "gestures"
    shutil.copy(example / "tasks" / "gestures.yaml", tmp_path / "tasks")
    shutil.copy(example / "gestures" / "reader.py", tmp_path / "sigma_bench" / "data" / "readers" / "gestures.py")
    shutil.copy(example / "gestures" / "mini.py", tmp_path / "sigma_bench" / "miniworld" / "datasets" / "gestures.py")
    code = """
from pathlib import Path
from sigma_bench.data.datasets import open_dataset
from sigma_bench.miniworld.world import write_miniworld
from sigma_bench.specs.catalogue import load_dataset, task_names

list(write_miniworld(Path("world"), 0, folders=["gestures"], sizes={"gestures": (24, 12)}, num_workers=1))
manifest = open_dataset(load_dataset("gestures"), Path("world"))
print(manifest.data_source, *(len(split.samples) - len(split.missing) for split in manifest.splits.values()))
print(*(name for name in task_names() if name.startswith("gestures/")))
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["mini", "24", "12", "gestures/knn", "gestures/linear"], done.stderr


def test_a_dataset_in_a_known_layout_needs_yaml_only(
    world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "verbs").mkdir()
    for part in ("labels", "20bn-something-something-v2"):
        (tmp_path / "verbs" / part).symlink_to(world / "ssv2" / part)
    monkeypatch.setenv(INCLUDE_VARIABLE, str(EXAMPLES / "known_layout"))
    manifest = open_dataset(load_dataset("verbs"), tmp_path)
    found = {name: (split.expected, len(split.samples), len(split.missing)) for name, split in manifest.splits.items()}
    assert found == {"train": (900, 80, 0), "test": (300, 40, 0)} and len(manifest.classes or ()) == 8


def test_the_declaration_of_a_csv_is_the_one_that_is_shown(
    world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    script = blocks("dataset", "python")[0].replace("DATA", str(world))
    exec(compile(script, "dataset.md", "exec"), {})
    (describe,) = (line for block in blocks("dataset", "sh") for line in block.splitlines() if " describe " in line)
    outputs([describe], world, monkeypatch)
    written = [
        line for line in (tmp_path / "tasks" / "stripes.yaml").read_text().splitlines() if line[:8] != "# Custom"
    ]
    assert blocks("dataset", "yaml")[0].splitlines() == written[1:]


def test_the_table_of_stable_names_is_complete_and_says_which_do_without_torch() -> None:
    text = (PAGES / "index.md").read_text().split("<!-- names: begin -->")[1].split("<!-- names: end -->")[0]
    rows = [line.split("|") for line in text.splitlines() if line.startswith("| ")][1:]
    named = {name: "\\*" in row[1] for row in rows for name in re.findall(r"`(\w+)`", row[2])}
    assert named.keys() == set(sigma_bench.extend.__all__)
    plain = [name for name, is_plain in named.items() if is_plain]
    code = f"import sys; from sigma_bench.extend import {', '.join(plain)}; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stdout == "False\n", done.stderr
    values = {name: getattr(sigma_bench.extend, name) for name in sigma_bench.extend.__all__}
    assert all(value.__doc__ for value in values.values() if inspect.isclass(value) or inspect.isfunction(value))
    with pytest.raises(AttributeError, match=r"module 'sigma_bench.extend' has no attribute 'Manifst'"):
        sigma_bench.extend.Manifst  # noqa: B018


def test_the_reference_describes_every_stable_name() -> None:
    text = (PAGES / "reference.md").read_text()
    described = re.findall(
        r"^\.\. (?:autofunction|autoclass|py:data):: sigma_bench\.extend\.(\w+)$", text, re.MULTILINE
    )
    assert sorted([*described, "EncoderCard"]) == sorted(sigma_bench.extend.__all__)
    assert "[`EncoderCard`](../api.md#encoders)" in text


@pytest.mark.parametrize("page", ["index", "dataset", "protocol", "method", "encoder"])
def test_included_files_are_named_where_they_are_shown(page: str) -> None:
    text = (PAGES / f"{page}.md").read_text()
    included = re.findall(r"^```\{literalinclude\} \.\./(\S+)\n(?::caption: (\S+))?$", text, re.MULTILINE)
    assert len(included) == text.count("{literalinclude}") > 0
    assert all(caption == f"docs/{path}" for path, caption in included)


def test_a_type_checker_finds_the_stable_names_where_they_are_imported_from() -> None:
    tree = ast.parse((ROOT / "sigma_bench" / "extend.py").read_text())
    (checked,) = (node for node in tree.body if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING")
    imports = [node for node in checked.body if isinstance(node, ast.ImportFrom)]
    known = {node.module: tuple(alias.name for alias in node.names) for node in imports}
    assert known == sigma_bench.extend._MODULES
    assert sorted(name for names in known.values() for name in names) == sorted(sigma_bench.extend.__all__)
