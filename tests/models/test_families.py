"""The table of families: the first one that recognises a weight file opens it, for loading and for inspection."""

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from sigma_bench.models import zoo
from sigma_bench.models.checkpoints import LoadReport
from sigma_bench.models.encoder import Encoder
from sigma_bench.models.file_summary import inspect_model
from sigma_bench.models.zoo import load_encoder


def test_a_family_of_the_table_opens_the_files_that_it_recognises(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    control = load_encoder("random:mini_videomae")

    def open_file(file, path, **clip) -> Encoder:
        assert clip == {"num_frames": 8, "image_size": 48, "num_heads": None}
        control.report = LoadReport(("colour",), (), (), f"layout of {path.name}", ("grey",))
        return control

    colours = SimpleNamespace(recognises=lambda file: "colour" in file.content, open_file=open_file)
    monkeypatch.setattr(zoo, "FAMILIES", (*zoo.FAMILIES, colours))
    torch.save({"colour": torch.zeros(3)}, tmp_path / "colours.pt")
    name = f"{tmp_path / 'colours.pt'}@8x48"
    assert load_encoder(name) is control
    facts, report = inspect_model(name)
    assert facts["format"] == "layout of colours.pt" and report is not None
    assert (report.matched, report.warnings) == (("colour",), ("grey",))


def test_a_file_of_no_family_is_refused_with_the_other_way(tmp_path: Path) -> None:
    torch.save({"colour": torch.zeros(3)}, tmp_path / "colours.pt")
    with pytest.raises(
        ValueError, match=r"holds 'colour' .* write a function that returns it by sigma_bench.as_encoder"
    ):
        load_encoder(str(tmp_path / "colours.pt"))
