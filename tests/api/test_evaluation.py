"""``sb.evaluate``: the function behind the command line, its records and its error messages."""

import warnings
from pathlib import Path

import pytest
import torch
from torch import nn

import sigma_bench as sb
from sigma_bench.protocols import classification_scores
from sigma_bench.records.scoring import Metric
from tests.cli.test_cli import run


class MeanColour(nn.Module):
    """The mean colour of every frame pair, as one token."""

    def forward(self, clip_BCTHW: torch.Tensor) -> torch.Tensor:
        return clip_BCTHW.unflatten(2, (-1, 2)).mean((3, 4, 5)).transpose(1, 2)


def colours(**changes: object) -> sb.Encoder:
    about = {
        "name": "colours",
        "num_frames": 8,
        "image_size": 16,
        "tubelet_frames": 2,
        "grid": (4, 1, 1),
        "mean": (0.5, 0.5, 0.5),
        "std": (0.5, 0.5, 0.5),
    }
    return sb.as_encoder(MeanColour(), **(about | changes))  # type: ignore[arg-type]


QUICK = {"neighbours": 3, "uncertainty": {"replicates": 20}}


def test_records_come_back_in_order_and_are_found_again(world: Path, tmp_path: Path) -> None:
    names = ["ssv2/knn", "cifar100/knn"]
    more = {"data": world, "output": tmp_path / "runs", "overrides": QUICK, "progress": False}
    records = sb.evaluate(colours(), names, **more)
    assert [record.task.task for record in records] == names
    assert {record.model.model for record in records} == {"colours"}
    frame = records.frame()
    assert set(frame["task"]) == set(names) and {"value", "low", "high", "seed"} <= set(frame.columns)
    again = sb.evaluate(colours(), names, **more)
    assert [record.provenance.started_utc for record in again] == [r.provenance.started_utc for r in records]
    assert len(sb.Records(tmp_path / "runs")) == 2


def test_a_name_is_a_model_and_a_task_may_be_one_string(world: Path, tmp_path: Path) -> None:
    (record,) = sb.evaluate("statistics:mini_videomae", "ssv2/knn", data=str(world), output=tmp_path, overrides=QUICK)
    assert record.task.protocol.model_dump()["neighbours"] == 3


def test_custom_data_are_evaluated_too(world: Path, tmp_path: Path) -> None:
    videos = sorted((world / "ssv2").rglob("*.webm"))[:24]
    rows = [f"{path},class{number % 2},{'train' if number < 16 else 'test'}" for number, path in enumerate(videos)]
    (tmp_path / "mine.csv").write_text("\n".join(["path,label,split", *rows]))
    more = {"protocols": ["knn@1"], "overrides": QUICK, "progress": False}
    (record,) = sb.evaluate(colours(), csv=tmp_path / "mine.csv", output=tmp_path / "runs", **more)
    assert (record.task.task, record.data.world, record.data.num_classes) == ("mine/knn", "user", 2)


@pytest.mark.parametrize("folds", [2, "random:0.3", "leave_one_group_out"])
def test_a_list_without_splits_is_evaluated_on_folds(world: Path, tmp_path: Path, folds: str | int) -> None:
    videos = sorted((world / "ssv2").rglob("*.webm"))[:6]
    (tmp_path / "mine.txt").write_text("".join(f"{path} {number % 2}\n" for number, path in enumerate(videos)))
    more = {"protocols": "knn@1", "overrides": {"neighbours": 1}, "progress": False}
    (record,) = sb.evaluate(colours(), csv=tmp_path / "mine.txt", folds=folds, output=tmp_path / "runs", **more)
    assert record.task.folds == str(folds)
    assert sum(split.scored for split in record.data.splits.values()) == (2 if folds == "random:0.3" else 6)


def test_one_failing_task_of_several_is_a_warning_and_stops_no_other(world: Path, tmp_path: Path) -> None:
    names = ["ssv2/finetune_mini", "ssv2/knn"]
    with pytest.warns(sb.FailedTaskWarning, match="ssv2/finetune_mini: model 'colours' has no network"):
        records = sb.evaluate(colours(), names, data=world, output=tmp_path, progress=False)
    assert [record.task.task for record in records] == ["ssv2/knn"]
    with pytest.raises(ValueError, match=r"all 2 tasks failed: ssv2/finetune_mini: .*; ssv2/linear_online_mini: "):
        sb.evaluate(
            colours(), ["ssv2/finetune_mini", "ssv2/linear_online_mini"], data=world, output=tmp_path, progress=False
        )


@pytest.mark.parametrize(
    ("arguments", "options"),
    [
        (["ssv2/kn"], {"data": "WORLD"}),
        (["ssv2/knn"], {}),
        ([], {"data": "WORLD"}),
        (["ssv2/knn"], {"data": "NOWHERE"}),
        ([], {"suite": "mimi", "data": "WORLD"}),
        (["ssv2/knn"], {"data": "WORLD", "folds": "official"}),
        ([], {"csv": "x.csv", "folders": "x"}),
        ([], {"csv": "UNSPLIT"}),
        ([], {"csv": "UNSPLIT", "folds": "1"}),
        ([], {"csv": "UNSPLIT", "folds": "5"}),
        ([], {"csv": "MANY"}),
    ],
)
def test_a_mistake_is_the_same_sentence_from_python_and_from_the_shell(
    world: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    options: dict[str, str],
) -> None:
    (tmp_path / "unsplit.csv").write_text("a.mp4 0\nb.mp4 1\n")
    (tmp_path / "many.csv").write_text("path,label\na.mp4,run;wave\nb.mp4,run\n")
    places = {"WORLD": str(world), "NOWHERE": str(tmp_path / "nowhere")}
    places |= {"UNSPLIT": str(tmp_path / "unsplit.csv"), "MANY": str(tmp_path / "many.csv")}
    given = {name: places.get(value, value) for name, value in options.items()}
    with pytest.raises(ValueError) as caught:
        sb.evaluate("statistics:mini_videomae", arguments, output=tmp_path / "runs", progress=False, **given)
    tasks = [word for name in arguments for word in ("--task", name)]
    rest = [word for name, value in given.items() for word in (f"--{name}", value)]
    command = ["evaluate", "statistics:mini_videomae", *tasks, *rest, "--output", str(tmp_path / "runs")]
    code, _, err = run(monkeypatch, capsys, *command)
    assert code == 2
    assert " ".join(str(caught.value).split()) in " ".join(err.split())


@pytest.mark.parametrize("thing", [MeanColour(), None, 3, "no_such_model"])
def test_what_is_no_encoder_is_one_sentence(world: Path, tmp_path: Path, thing: object) -> None:
    with pytest.raises(ValueError, match=r"sigma_bench\.as_encoder|there is no model 'no_such_model'"):
        sb.evaluate(thing, "ssv2/knn", data=world, output=tmp_path, progress=False)  # type: ignore[arg-type]


def test_an_unexpected_error_is_one_sentence_with_its_traceback_in_a_file(world: Path, tmp_path: Path) -> None:
    class Broken(MeanColour):
        def forward(self, clip_BCTHW: torch.Tensor) -> torch.Tensor:
            if len(clip_BCTHW) > 1:
                raise RuntimeError("out of luck")
            return super().forward(clip_BCTHW)

    about = {"num_frames": 8, "image_size": 16, "tubelet_frames": 2, "grid": (4, 1, 1)}
    encoder = sb.as_encoder(Broken(), name="broken", mean=(0.5,) * 3, std=(0.5,) * 3, **about)  # type: ignore[arg-type]
    with pytest.raises(Exception, match=r"RuntimeError: out of luck .*traceback in .*\.log") as caught:
        sb.evaluate(encoder, "ssv2/knn", data=world, output=tmp_path, progress=False)
    assert isinstance(caught.value.__cause__, RuntimeError)


def test_progress_is_shown_only_where_it_is_wanted(
    world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        sb.evaluate(colours(), "ssv2/knn", data=world, output=tmp_path, overrides=QUICK, progress=False)
    quiet = capsys.readouterr()
    assert (quiet.out, quiet.err) == ("", "")


class Linear(nn.Module):
    """The mean colour of every frame pair, through a linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 16)

    def forward(self, clip_BCTHW: torch.Tensor) -> torch.Tensor:
        return self.layer(clip_BCTHW.unflatten(2, (-1, 2)).mean((3, 4, 5)).transpose(1, 2)).float()


def test_what_a_notebook_set_in_torch_changes_no_number(world: Path, tmp_path: Path) -> None:
    about = {"num_frames": 8, "image_size": 16, "tubelet_frames": 2, "grid": (4, 1, 1)}
    colour = {"mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5)}
    encoder = sb.as_encoder(Linear(), name="linear", **about, **colour)  # type: ignore[arg-type]
    few = {"least_steps": 5, "epochs": 1, "uncertainty": {"replicates": 20}}
    names, more = ["ssv2/attentive"], {"data": world, "overrides": few, "progress": False}
    plain = sb.evaluate(encoder, names, output=tmp_path / "plain", **more)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        other = sb.evaluate(encoder, names, output=tmp_path / "other", **more)
        assert torch.is_autocast_enabled("cpu") and not torch.is_grad_enabled()
    assert [record.predictions for record in plain] == [record.predictions for record in other]
    for path in (tmp_path / "plain" / "features").rglob("*.npy"):
        assert path.read_bytes() == (tmp_path / "other" / path.relative_to(tmp_path / "plain")).read_bytes()


def test_a_score_that_is_no_number_is_one_sentence(
    world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nothing = Metric(lambda stored, index: float("nan"))
    monkeypatch.setitem(classification_scores.METRICS, "top1", nothing)  # type: ignore[index]
    with pytest.raises(ValueError, match="'knn' gives scores or controls that no record can hold") as caught:
        sb.evaluate(colours(), "ssv2/knn", data=world, output=tmp_path, overrides=QUICK, progress=False)
    assert "\n" not in str(caught.value) and "pydantic" not in str(caught.value)


def test_another_object_that_to_returns_is_identified_as_well(world: Path, tmp_path: Path) -> None:
    class Moving:
        def __init__(self, scale: float) -> None:
            self.card, self.scale = CARD, scale

        def to(self, device: torch.device) -> "Moving | None":
            return Moving(self.scale) if self.scale else None

        def encode(self, clip_BCTHW: torch.Tensor) -> sb.Features:
            token_BND = MeanColour()(clip_BCTHW) * torch.tensor([1.0, self.scale, 0.0])
            return sb.Features(token_BND, (4, 1, 1))

    CARD = colours().card
    more = {"data": world, "output": tmp_path, "overrides": QUICK, "progress": False}
    first, second = (sb.evaluate(Moving(scale), "ssv2/knn", **more)[0] for scale in (1.0, -7.0))  # type: ignore[arg-type]
    assert first.model.identity != second.model.identity
    with pytest.raises(ValueError, match="the method 'to' of the encoder returns None"):
        sb.evaluate(Moving(0.0), "ssv2/knn", **more)  # type: ignore[arg-type]
