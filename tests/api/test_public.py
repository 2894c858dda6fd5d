"""What ``sigma_bench`` exports: typed, documented, and imported when it is used."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

import sigma_bench as sb
from tests.models.custom_vit import CLIP, CustomViT

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = """
import sigma_bench as sb
from torch import nn

network: nn.Module = nn.Identity()
encoder: sb.Encoder = sb.as_encoder(
    network, name="mine", num_frames=4, image_size=24, tubelet_frames=2, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5)
)
other: sb.Encoder = sb.load_encoder("random:mini_sigma_mlp", seed=1, device="cpu")
records: sb.Records = sb.Records("runs")
first: sb.Record = records[0]
card: sb.EncoderCard = first.model
board: sb.Leaderboard = sb.board("mini", records)
board.save("board.html")
comparison: sb.ModelComparison = sb.compare(records, "a", "b")
value: float = comparison.overall.value
names: list[str] = list(sb.tasks()["task"])
"""


def test_every_public_name_is_there_and_documented() -> None:
    assert set(sb.__all__) <= set(dir(sb))
    for name in set(sb.__all__) - {"__version__"}:
        assert getattr(sb, name).__doc__, name
    with pytest.raises(AttributeError, match="no attribute 'evalute'"):
        sb.evalute  # noqa: B018


def test_every_name_is_known_to_type_checkers_by_the_same_import() -> None:
    source = (ROOT / "sigma_bench" / "__init__.py").read_text()
    for module, names in sb._MODULES.items():
        assert f"    from {module} import {', '.join(names)}\n" in source
    assert sorted(name for names in sb._MODULES.values() for name in names) == sorted(set(sb.__all__) - {"__version__"})


@pytest.mark.slow
def test_a_type_checker_sees_the_signatures(tmp_path: Path) -> None:
    (tmp_path / "good.py").write_text(SCRIPT)
    bad = 'sb.compare(records, 1, "b")\nsb.evalute\nsb.as_encoder(network, name="mine")\nfirst.modell\n'
    (tmp_path / "bad.py").write_text(SCRIPT + bad)
    # The options of the project, so that its cache serves here too.
    command = [sys.executable, "-m", "mypy", "--config-file", str(ROOT / "pyproject.toml"), "--cache-dir"]
    files = [str(ROOT / ".mypy_cache"), str(tmp_path / "good.py"), str(tmp_path / "bad.py")]
    done = subprocess.run([*command, *files], cwd=ROOT, capture_output=True, text=True, check=False)
    found = done.stdout
    assert "good.py" not in found, found + done.stderr
    assert 'Module has no attribute "evalute"' in found and '"Record" has no attribute "modell"' in found, found
    assert 'Argument 2 to "compare" has incompatible type "int"' in found and "Found 8 errors" in found, found


def test_an_encoder_is_loaded_onto_a_device() -> None:
    encoder = sb.load_encoder("random:mini_videomae", device=torch.device("cpu"))
    assert encoder.card.identity == sb.load_encoder("random:mini_videomae", device="auto").card.identity
    with pytest.raises(ValueError, match="device 'gpu': choose auto, cpu, cuda, or a device of torch"):
        sb.load_encoder("random:mini_videomae", device="gpu")
    with pytest.raises(ValueError, match="there is no model 'absent'"):
        sb.load_encoder("absent")


def test_a_torch_module_becomes_an_encoder() -> None:
    encoder = sb.as_encoder(CustomViT(), name="mine", **CLIP)
    assert isinstance(encoder.card, sb.EncoderCard) and encoder.card.model == "mine"
    features = encoder.encode(torch.zeros(2, 3, 4, 24, 24))
    assert isinstance(features, sb.Features) and features.grid == (2, 3, 3)
