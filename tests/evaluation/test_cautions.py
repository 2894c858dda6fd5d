"""Cautions about an evaluation: data without groups, and test videos that the model was pretrained on."""

from pathlib import Path
from typing import Any

import pytest

from sigma_bench.data.custom_data import custom_tasks, open_custom
from sigma_bench.data.ledger import content_digest
from sigma_bench.data.manifest import Medium
from sigma_bench.evaluation.plan import plan_tasks
from sigma_bench.models.encoder import NetworkEncoder
from sigma_bench.models.training_content import (
    CONTENT_NAME,
    read_training_content,
    short_digest,
    write_training_content,
)
from sigma_bench.models.zoo import load_encoder
from sigma_bench.protocols.feature_cache import FeatureCache

NO_GROUPS = (
    "the data state no groups, so videos of one person or source may be in training and test; a CSV with a column "
    "'group' keeps them apart"
)


@pytest.fixture
def clips(tmp_path: Path) -> Path:
    """Folders of two classes with four files each, which have the names of videos; nothing here decodes them."""
    for label in ("nod", "wave"):
        (tmp_path / "clips" / label).mkdir(parents=True)
        for number in range(4):
            (tmp_path / "clips" / label / f"{number}.mp4").write_text(f"{label} {number}")
    return tmp_path / "clips"


def cautions(caplog: pytest.LogCaptureFixture, output: Path, encoder: Any = None, **chosen: Any) -> list[str]:
    """The messages of a plan of knn and linear on custom data."""
    caplog.clear()
    folds, protocols = chosen.pop("folds", None), chosen.pop("protocols", ("knn@1", "linear@1"))
    manifest = open_custom(**chosen)
    tasks = [(task, manifest) for task in custom_tasks(manifest, protocols=protocols, folds=folds)]
    encoder = encoder or load_encoder("statistics:mini_videomae")
    plan = plan_tasks(encoder, tasks, output, FeatureCache(output / "features"), seed=0)
    assert all(planned.session is not None for planned in plan), plan[0].note
    return [record.getMessage() for record in caplog.records]


@pytest.mark.parametrize("folds", ["2", "random:0.5", "leave_one_group_out"])
def test_folds_of_single_videos_are_named_once(clips: Path, tmp_path: Path, caplog, folds: str) -> None:
    assert cautions(caplog, tmp_path, folders=clips, folds=folds) == [f"clips: {NO_GROUPS}"]


def test_folders_of_splits_are_named_and_groups_and_one_split_are_not(clips: Path, tmp_path: Path, caplog) -> None:
    rows = [f"clips/{path.parent.name}/{path.name},{path.parent.name}" for path in sorted(clips.rglob("*.mp4"))]
    lines = ["path,label,group", *(f"{row},person{number % 4}" for number, row in enumerate(rows))]
    (tmp_path / "grouped.csv").write_text("\n".join(lines))
    assert cautions(caplog, tmp_path, csv=tmp_path / "grouped.csv", folds="2") == []
    assert cautions(caplog, tmp_path, folders=clips, protocols=["knn_loo@1"]) == []
    for split in ("train", "test"):
        for path in sorted(clips.rglob("*.mp4")):
            place = tmp_path / "split" / split / path.parent.name / path.name
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(f"{split} {path}")
    assert cautions(caplog, tmp_path, folders=tmp_path / "split") == [f"split: {NO_GROUPS}"]


def test_missing_folds_are_of_groups_or_of_videos(clips: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"--folds 5 \(5 folds of videos\), --folds leave_one_group_out or"):
        custom_tasks(open_custom(folders=clips))
    (tmp_path / "grouped.csv").write_text("path,label,group\na.mp4,nod,one\nb.mp4,wave,two\n")
    with pytest.raises(ValueError, match=r"--folds 5 \(5 folds of whole groups\), --folds leave"):
        custom_tasks(open_custom(csv=tmp_path / "grouped.csv"))


def test_test_videos_of_pretraining_are_counted(clips: Path, tmp_path: Path, caplog) -> None:
    seen = [content_digest(Medium(path, "video", None)) for path in (clips / "nod").iterdir()]
    encoder = load_encoder("random:mini_sigma_mlp")
    assert isinstance(encoder, NetworkEncoder)
    encoder.training_content = frozenset(map(short_digest, seen[1:]))
    said = cautions(caplog, tmp_path, encoder, folders=clips, folds="2")
    assert said[1:] == ["3 of 8 test videos of clips are among the videos that random_init was pretrained on"]
    encoder.training_content = frozenset()
    assert len(cautions(caplog, tmp_path, encoder, folders=clips, folds="2")) == 1
    encoder.training_content = None
    encoder.card = encoder.card.model_copy(update={"pretraining_data": ("ssv2", "films (20 custom videos)")})
    said = cautions(caplog, tmp_path, encoder, folders=clips, folds="2")
    assert said[1].startswith("model 'random_init' was pretrained on films (20 custom videos), and the folder of its")
    assert said[1].endswith("check that the test videos of clips are not among them") and len(said) == 2


def test_the_content_of_another_run_is_not_used(tmp_path: Path) -> None:
    assert read_training_content(tmp_path, identity="a1") is None
    write_training_content(tmp_path, ["f" * 16, "0" * 16], identity="a1")
    assert (tmp_path / CONTENT_NAME).read_text().split() == ["a1", "0" * 16, "f" * 16]
    assert read_training_content(tmp_path, identity="a1") == {"f" * 16, "0" * 16}
    assert read_training_content(tmp_path, identity="b2") is None
    (tmp_path / CONTENT_NAME).write_bytes(b"\xff")
    assert read_training_content(tmp_path, identity="a1") is None
