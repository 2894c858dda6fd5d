"""The learning rate at its corners, by hand."""

import pytest

from sigma_bench.specs.catalogue import load_recipe
from sigma_bench.training.optimiser import learning_rate


def test_warm_up_peak_half_way_and_end() -> None:
    optim = load_recipe("mini_videomae").optim.model_copy(
        update={"global_batch": 128, "lr_per_256": 1e-3, "final_lr_per_256": 2e-5, "warmup_epochs": 2.0, "epochs": 12}
    )
    rate = [learning_rate(optim, step, 120, 10) for step in range(121)]
    assert rate[0] == 0
    assert rate[1] == pytest.approx(0.5e-3 / 19)  # 20 warm-up steps: i / 19 of the peak
    assert rate[10] == pytest.approx(0.5e-3 * 10 / 19)
    assert rate[19] == rate[20] == max(rate) == pytest.approx(0.5e-3)
    assert rate[70] == pytest.approx((0.5e-3 + 1e-5) / 2)
    assert rate[120] == pytest.approx(1e-5)


@pytest.mark.parametrize(
    ("warmup_epochs", "expected"),
    [(0.0, [1.0, 1.0]), (0.1, [0.0, 1.0]), (0.2, [0.0, 1.0, 1.0]), (0.4, [0.0, 1 / 3, 2 / 3, 1.0, 1.0])],
)
def test_a_warm_up_of_few_steps(warmup_epochs: float, expected: list[float]) -> None:
    """0, 1, 2 and 4 warm-up steps, then the first of the cosine, as shares of the peak."""
    optim = load_recipe("mini_videomae").optim.model_copy(
        update={"global_batch": 256, "lr_per_256": 1.0, "final_lr_per_256": 0.0, "warmup_epochs": warmup_epochs}
    )
    rate = [learning_rate(optim, step, 10**6, 10) for step in range(len(expected))]
    assert rate == pytest.approx(expected)
