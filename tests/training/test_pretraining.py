"""A pretraining run: killed and continued it ends bit for bit where an undisturbed one ends."""

import hashlib
import json
import shutil
from pathlib import Path

import pytest
import torch

import sigma_bench as sb
from sigma_bench.data.examples import BatchSampler
from sigma_bench.data.training_videos import open_training_videos
from sigma_bench.models.checkpoints import load_strictly, read_checkpoint
from sigma_bench.models.recipe_encoder import pretrained_encoder
from sigma_bench.models.training_content import short_digest
from sigma_bench.records.lock import exclusive
from sigma_bench.specs.recipe import Recipe, overridden
from sigma_bench.training.decoding_failures import FAILURES_NAME
from sigma_bench.training.method import build_method
from sigma_bench.training.monitoring import Progress
from sigma_bench.training.pretraining import on_custom_videos, run_recipe, training_samples
from sigma_bench.training.run_plan import RunOptions
from tests.conftest import tiny_recipe


class _Killed(BaseException):
    pass


@pytest.mark.parametrize("name", ["mini_sigma_mlp", "mini_videomae"])
def test_a_killed_run_ends_like_an_undisturbed_one(world: Path, tmp_path: Path, name: str) -> None:
    recipe = tiny_recipe(name).model_copy(update={"optim": tiny_recipe(name).optim.model_copy(update={"epochs": 4})})
    whole = read_checkpoint(run_recipe(recipe, world, tmp_path / "whole", seed=3))

    def kill(progress: Progress) -> None:
        raise _Killed

    with pytest.raises(_Killed):
        run_recipe(recipe, world, tmp_path / "cut", seed=3, report=kill)
    assert (tmp_path / "cut" / "resume.pt").exists()
    assert not (tmp_path / "cut" / "model.safetensors").exists()
    cut = read_checkpoint(run_recipe(recipe, world, tmp_path / "cut", seed=3))
    assert cut.sha256 == whole.sha256
    assert (tmp_path / "cut" / "history.json").read_text() == (tmp_path / "whole" / "history.json").read_text()
    fresh = build_method(recipe, seed=0).model
    assert any(not torch.equal(whole.tensors[key], value) for key, value in fresh.state_dict().items())


@pytest.mark.parametrize("loader", ["memory", "stream"])
def test_broken_videos_are_left_out_counted_and_limited(world: Path, tmp_path: Path, loader: str) -> None:
    shutil.copytree(world / "ssv2", tmp_path / "ssv2")
    recipe = tiny_recipe()
    samples, _ = training_samples(recipe, tmp_path)
    samples[3].path.unlink()
    samples[5].path.write_bytes(samples[5].path.read_bytes()[:300])
    reasons = {
        samples[3].id: f"{samples[3].path}: not found",
        samples[5].id: f"{samples[5].path}: not a video that can be decoded",
    }

    def allowing(share: float) -> Recipe:
        data = recipe.data.model_copy(update={"max_broken_share": share, "loader": loader})
        return recipe.model_copy(update={"data": data})

    exact = 2 / len(samples)
    history = json.loads(
        (run_recipe(allowing(exact), tmp_path, tmp_path / "run", seed=0).parent / "history.json").read_text()
    )
    assert history[-1]["decoding_failures"] == 2
    assert json.loads((tmp_path / "run" / "decoding_failures.json").read_text()) == reasons

    def kill(progress: Progress) -> None:
        raise _Killed

    with pytest.raises(_Killed):
        run_recipe(allowing(exact), tmp_path, tmp_path / "cut", seed=0, report=kill)
    checkpoints = [
        read_checkpoint(run_recipe(allowing(exact), tmp_path, tmp_path / name, seed=0)) for name in ("run", "cut")
    ]
    assert checkpoints[0].sha256 == checkpoints[1].sha256

    with pytest.raises(ValueError, match=r"2 of the \d+ training videos cannot be read, more than the \d\.\d% that"):
        run_recipe(allowing(1.5 / len(samples)), tmp_path, tmp_path / "strict", seed=0)


@pytest.fixture(scope="module")
def finished(world: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The checkpoint of a finished run, which tests read only."""
    return run_recipe(tiny_recipe(), world, tmp_path_factory.mktemp("finished"), seed=0)


def test_a_finished_run_is_found_and_another_one_refused(world: Path, finished: Path) -> None:
    written = finished.stat().st_mtime_ns
    assert run_recipe(tiny_recipe(), world, finished.parent, seed=0).stat().st_mtime_ns == written
    with pytest.raises(ValueError, match=r"a run with another seed \(0 there, 1 here\); choose another --output, or"):
        run_recipe(tiny_recipe(), world, finished.parent, seed=1)
    other = overridden(tiny_recipe(), {"recipe": "trial", "optim": {"steps": 9}})
    keys = r"another recipe \(optim.epochs is 2 there and absent here, optim.steps is absent there and 9 here\); choose"
    with pytest.raises(ValueError, match=rf"{keys} another --output, or leave it out and name .* --set recipe=NAME"):
        run_recipe(other, world, finished.parent, seed=0)


def test_a_state_of_another_run_is_refused(world: Path, tmp_path: Path) -> None:
    def kill(progress: Progress) -> None:
        raise _Killed

    with pytest.raises(_Killed):
        run_recipe(tiny_recipe(), world, tmp_path, seed=0, report=kill)
    (tmp_path / FAILURES_NAME).write_text("{}")
    before = {path: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()}
    other = overridden(tiny_recipe(), {"optim": {"weight_decay": 0.5}})
    for recipe, seed in ((tiny_recipe(), 1), (other, 0)):
        with pytest.raises(ValueError, match=r"resume.pt: belongs to a run with another recipe, seed, data, teach"):
            run_recipe(recipe, world, tmp_path, seed=seed)
    assert {path: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()} == before


def test_two_commands_do_not_write_one_run(world: Path, tmp_path: Path) -> None:
    with exclusive(tmp_path), pytest.raises(ValueError, match="another process is writing this run"):
        run_recipe(tiny_recipe(), world, tmp_path, seed=0)
    assert run_recipe(tiny_recipe(), world, tmp_path, seed=0).exists()


def test_a_batch_that_does_not_divide_is_refused(world: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="a global batch of 16 does not divide into 1 processes x 3 micro-batches"):
        run_recipe(tiny_recipe(), world, tmp_path, seed=0, options=RunOptions(num_micro_batches=3))


def test_a_loss_that_is_not_finite_stops_the_run_and_names_the_batch(world: Path, tmp_path: Path) -> None:
    recipe = tiny_recipe("mini_videomae")
    optim = recipe.optim.model_copy(update={"lr_per_256": 1e30, "warmup_epochs": 0.0})
    recipe = recipe.model_copy(update={"optim": optim})
    with pytest.raises(
        ValueError, match=r"the loss of step \d+ is (nan|inf); the run stops here .* look at this batch"
    ):
        run_recipe(recipe, world, tmp_path, seed=0)
    saved = json.loads((tmp_path / "diverged_batch.json").read_text())
    samples, _ = training_samples(recipe, world)
    sampler = BatchSampler(num_videos=len(samples), global_batch=16, num_steps=10, seed=0)
    assert saved["ids"] == [samples[index].id for index in sampler.videos_of(saved["step"] - 1)]
    assert not (tmp_path / "model.safetensors").exists()
    assert not (tmp_path / "resume.pt").exists()  # checkpoints are due every third step, and none of them was sound


def test_videos_held_and_videos_streamed_by_workers_train_the_same_model(world: Path, tmp_path: Path) -> None:
    held = tiny_recipe()
    data = held.data.model_copy(update={"crop": "multi_scale"})
    held = held.model_copy(update={"data": data})
    streamed = held.model_copy(update={"data": data.model_copy(update={"loader": "stream"})})
    first = read_checkpoint(run_recipe(held, world, tmp_path / "held", seed=0))
    options = RunOptions(num_workers=2)
    second = read_checkpoint(run_recipe(streamed, world, tmp_path / "streamed", seed=0, options=options))
    assert all(torch.equal(second.tensors[key], value) for key, value in first.tensors.items())


def test_sigma_dino_needs_its_teacher_and_remembers_it(world: Path, tmp_path: Path) -> None:
    recipe = tiny_recipe("mini_sigma_dino")
    with pytest.raises(ValueError, match=r"needs the teacher of recipe 'mini_dino' .* with the same --seed first"):
        run_recipe(recipe, world, tmp_path / "mini_sigma_dino-seed0", seed=0)
    with pytest.raises(ValueError, match="has no teacher; leave --teacher out"):
        run_recipe(tiny_recipe(), world, tmp_path / "mlp", seed=0, teacher="random:mini_dino")
    with pytest.raises(ValueError, match="is a video model; SIGMA-DINO takes an image model"):
        run_recipe(recipe, world, tmp_path / "video", seed=0, teacher="random:mini_videomae")
    folder = tmp_path / "random_teacher"
    path = run_recipe(recipe, world, folder, seed=0, teacher="random:mini_dino")
    assert pretrained_encoder(path).card.family == "SIGMA-DINO"
    assert not any(key.startswith("teacher") for key in read_checkpoint(path).tensors)


def test_every_video_is_seen_once_an_epoch() -> None:
    sampler = BatchSampler(num_videos=83, global_batch=16, num_steps=20, seed=0)
    seen = [i for step in range(10, 15) for i in sampler.videos_of(step)]
    assert len(set(seen)) == 80  # and the incomplete last batch is dropped
    assert sampler.videos_of(10) != sampler.videos_of(15)


def test_processes_share_every_batch_and_a_continued_run_sees_the_same() -> None:
    whole = list(BatchSampler(num_videos=83, global_batch=16, num_steps=8, seed=0))
    halves = [BatchSampler(83, 16, 8, seed=0, first=3, rank=rank, num_processes=2) for rank in (0, 1)]
    assert [a + b for a, b in zip(*halves, strict=True)] == whole[3:]


def test_weights_load_completely_or_not_at_all(finished: Path) -> None:
    checkpoint = read_checkpoint(finished)
    model = build_method(tiny_recipe(), seed=0).model
    before = model.encoder.norm.weight.clone()
    for change, sentence in (
        (lambda t: t.pop("mask_token"), "1 keys missing .'mask_token'"),
        (lambda t: t.update(extra=torch.ones(1)), "1 unexpected .'extra'"),
        (lambda t: t.update(mask_token=torch.ones(1)), "'mask_token' has shape"),
        (lambda t: t.update(mask_token=t["mask_token"] * float("nan")), "not finite"),
    ):
        tensors = dict(checkpoint.tensors)
        change(tensors)
        with pytest.raises(ValueError, match=sentence):
            load_strictly(model, tensors, where="file")
        assert torch.equal(model.encoder.norm.weight, before)
    report = load_strictly(model, dict(checkpoint.tensors), where="file")
    assert len(report.matched) == len(model.state_dict())
    assert pretrained_encoder(checkpoint.path).card.pretraining_data == ("ssv2",)


def sha256_of(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_custom_videos_are_part_of_a_run_and_of_its_card(world: Path, tmp_path: Path, capsys) -> None:
    names = sorted(path.name for path in (world / "ssv2").rglob("*.webm"))[:20]
    for number, name in enumerate(names):
        (tmp_path / f"{number}.webm").symlink_to(next((world / "ssv2").rglob(name)))
    (tmp_path / "clips.csv").write_text("\n".join(["path", *(f"{number}.webm" for number in range(18))]))
    (tmp_path / "more.txt").write_text("\n".join(f"{number}.webm {number % 3}" for number in range(20)))
    overrides = {"optim": {"steps": 3}, "recipe": "mine"}
    options: dict[str, object] = {"overrides": overrides, "output": tmp_path / "run", "device": "cpu"}

    def run(**changes: object) -> sb.PretrainingRun:
        return sb.pretrain(tiny_recipe(), **(options | {"progress": False} | changes))  # type: ignore[arg-type]

    first = run(csv=tmp_path / "clips.csv")
    checkpoint = read_checkpoint(first.checkpoint)
    assert (checkpoint.recipe.recipe, checkpoint.recipe.data.datasets) == ("mine", ())
    assert first.history()["step"].iloc[-1] == 3 and checkpoint.recipe.optim.epochs is None
    assert first.load_encoder("cpu").card.pretraining_data == ("clips (18 custom videos)",)
    assert run(csv=tmp_path / "clips.csv") == first
    others = r"another data \(clips \(18 custom videos\) there, more \(20 custom videos\) here\); choose"
    with pytest.raises(ValueError, match=others):
        run(csv=tmp_path / "more.txt")
    with pytest.raises(ValueError, match=r"another init \(none there\); choose"):
        run(csv=tmp_path / "clips.csv", init=str(first.folder))
    capsys.readouterr()
    (tmp_path / "other").mkdir()
    shutil.copy(tmp_path / "0.webm", tmp_path / "other" / "18.webm")
    rows = ["path", *(f"{number}.webm" for number in range(17)), "other/18.webm"]
    (tmp_path / "clips.csv").write_text("\n".join(rows))
    with pytest.raises(ValueError, match="a run with another data, teacher or init; choose another --output"):
        run(csv=tmp_path / "clips.csv", progress=True)
    assert "reading videos" not in capsys.readouterr().err
    (tmp_path / "clips.csv").write_text("\n".join(["path", *(f"{number}.webm" for number in range(18))]))
    second = run(csv=tmp_path / "more.txt", init=first.folder, output=tmp_path / "second")
    card = second.load_encoder("cpu").card
    assert card.pretraining_data == ("clips (18 custom videos)", "more (20 custom videos)")
    assert card.init_sha256 == checkpoint.sha256 and card.checkpoint_sha256 != checkpoint.sha256
    contents = [frozenset(short_digest(sha256_of(tmp_path / f"{n}.webm")) for n in range(end)) for end in (18, 20)]
    assert [one.load_encoder("cpu").training_content for one in (first, second)] == contents  # type: ignore[attr-defined]
    third = run(data=world, init=first.folder, output=tmp_path / "third", overrides={"optim": {"steps": 3}})
    assert third.load_encoder("cpu").training_content == contents[0]  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        ({"optim": {"epoch": 3}}, r"unknown key 'optim\.epoch'\. Did you mean 'epochs'"),
        ({"optim": {"steps": 3, "epochs": 3}}, "give either epochs or steps"),
        (
            {"optim": {"steps": 5, "warmup_epochs": 1}},
            r"the warm-up of 1 epochs \(5 steps\) does not end before the run",
        ),
        ({"optim": {"global_batch": 81}}, "80 videos do not fill one batch of 81; give more videos, or a smaller"),
        ({"data": {"datasets": []}}, "names no datasets; give custom videos as --csv or --folders"),
    ],
)
def test_a_wrong_override_is_one_sentence(
    world: Path, tmp_path: Path, overrides: dict[str, object], sentence: str
) -> None:
    given = {"optim": {"warmup_epochs": 0.4}, **overrides}
    if "optim" in overrides:
        given["optim"] = {"warmup_epochs": 0.4, **overrides["optim"]}  # type: ignore[dict-item]
    with pytest.raises(ValueError, match=sentence):
        sb.pretrain(tiny_recipe(), data=world, overrides=given, output=tmp_path, device="cpu", progress=False)


def test_custom_videos_change_the_name_of_the_model_unless_it_is_given(tmp_path: Path) -> None:
    (tmp_path / "my clips (1).csv").write_text("a.mp4")
    videos = open_training_videos(csv=tmp_path / "my clips (1).csv")
    names = [on_custom_videos(tiny_recipe(), videos, renamed=renamed).recipe for renamed in (True, False)]
    assert names == ["mini_sigma_mlp-my_clips_1_", "mini_sigma_mlp"]
