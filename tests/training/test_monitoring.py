"""What a run says about itself: losses looked at in batches, warnings of collapse, events taken back after a kill."""

import logging
import math

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from sigma_bench.sigma.method import SigmaMethod
from sigma_bench.training.distribution import Processes
from sigma_bench.training.monitoring import EventWriter, LossWindow, NotFiniteError, Progress, warn_of_collapse
from sigma_bench.training.step import StepOutput, feature_std

ALONE = Processes(torch.device("cpu"))


def progress(step=10, **monitors):
    return Progress(step, 100, 1.5, 1e-3, monitors, 20.0, 0.1, 0)


def test_a_window_gives_the_last_step_and_names_the_first_loss_that_is_not_finite():
    window = LossWindow(ALONE)
    for step, loss in enumerate((3.0, 2.0)):
        window.add(step, StepOutput(torch.tensor(loss), {"feature_std": torch.tensor(loss / 4)}))
    assert window.close() == (2.0, {"feature_std": 0.5})
    for step, loss in ((2, 1.0), (3, math.nan), (4, math.inf)):
        window.add(step, StepOutput(torch.tensor(loss)))
    with pytest.raises(NotFiniteError, match="loss of step 4 is nan") as error:
        window.close()
    assert error.value.step == 3


@pytest.mark.parametrize(
    ("monitors", "named"),
    [
        ({"feature_std": 0.02, "usage_entropy": 0.9}, ["feature std is 0.020"]),
        ({"feature_std": 0.8, "usage_entropy": 0.3}, ["usage entropy is 0.300"]),
        ({"feature_std": 0.8, "usage_entropy": 0.9, "code_agreement": 0.0}, []),
    ],
)
def test_collapse_is_warned_of_and_health_is_not(monitors, named, caplog):
    with caplog.at_level(logging.WARNING):
        sentences = warn_of_collapse(progress(**monitors), SigmaMethod.collapsed_below)
    assert [any(name in sentence for sentence in sentences) for name in named] == [True] * len(named)
    assert [record.message for record in caplog.records] == sentences
    assert len(sentences) == len(named)


def test_feature_std_is_one_for_spread_directions_and_zero_for_equal_ones():
    spread = torch.randn(4, 500, 64, generator=torch.Generator().manual_seed(0))
    assert float(feature_std(spread)) == pytest.approx(1, abs=0.02)
    assert float(feature_std(torch.ones(4, 500, 64) * torch.rand(4, 500, 1))) == pytest.approx(0, abs=1e-6)


def test_events_of_a_killed_attempt_are_taken_back(tmp_path):
    with EventWriter(tmp_path, first=0, active=True) as events:
        for step in (10, 20, 30):
            events.write(progress(step, feature_std=0.5))
    with EventWriter(tmp_path, first=15, active=True) as events:  # continued after step 15
        events.write(progress(20, feature_std=0.75))
    read = EventAccumulator(str(tmp_path / "tensorboard"))
    read.Reload()
    found = [(event.step, event.value) for event in read.Scalars("pretraining/feature_std")]
    assert found == [(10, 0.5), (20, 0.75)]
    assert "pretraining/waiting" in read.Tags()["scalars"]


def test_other_processes_write_no_events(tmp_path):
    with EventWriter(tmp_path, first=0, active=False) as events:
        events.write(progress())
    assert list(tmp_path.iterdir()) == []
