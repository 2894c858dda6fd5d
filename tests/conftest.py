"""A small mini world, written once for all test processes, and tiny recipes."""

import gc
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from filelock import FileLock

from sigma_bench.miniworld.world import write_miniworld
from sigma_bench.specs.catalogue import load_recipe
from sigma_bench.specs.recipe import Recipe
from tests.fork_server import server

SMALL = {
    "ucf101": (1, 4, 2),
    "ssv2": (80, 40),
    "cifar100": (60, 30),
    "davis2017": (1, 2),
    "hmdb51": (20, 10),
    "kinetics400": (32, 16),
    "imagenet1k": (40, 20),
    "finegym": (48, 24),
    "charades": (8, 4),
    "davis2016": (1, 2),
    "youtube_vos": (1, 2),
}
SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


def pytest_configure() -> None:
    """A worker of pytest-xdist starts its server of processes, which imports while tests are collected."""
    if "PYTEST_XDIST_WORKER" in os.environ:
        server()


def pytest_collection_finish() -> None:
    """What is imported by now stays, so the garbage collector need not look at it again."""
    gc.freeze()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Slow tests come first, so that no process is left alone with one of them at the end."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)


@pytest.fixture(scope="session", autouse=True)
def no_waiting_for_the_disk() -> Iterator[None]:
    """A process that is killed loses nothing that it has written, so ``fsync`` matters only where machines fail."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda file: None)
        yield


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent
    with FileLock(folder / "world.lock"):  # whoever comes second finds it complete
        list(write_miniworld(folder / "world", 0, sizes=SMALL))
    return folder / "world"


@pytest.fixture
def shared_data() -> Path:
    if not SHARED_DATA.is_dir():
        pytest.skip("needs the real clips, which do not come with a clone")
    return SHARED_DATA


def tiny_recipe(name: str = "mini_sigma_mlp") -> Recipe:
    """The mini recipe cut down to seconds: one block, two epochs of the small world's SSv2."""
    recipe = load_recipe(name)
    objective = {"projector_widths": (32, 32)} if hasattr(recipe.objective, "projector_widths") else {}
    return recipe.model_copy(
        update={
            "objective": recipe.objective.model_copy(update=objective),
            "encoder": recipe.encoder.model_copy(update={"width": 32, "depth": 1, "num_heads": 1}),
            "decoder": recipe.decoder.model_copy(update={"width": 32, "depth": 1, "num_heads": 1}),
            "data": recipe.data.model_copy(update={"datasets": ("ssv2",)}),
            "optim": recipe.optim.model_copy(update={"epochs": 2, "warmup_epochs": 0.4}),
            "checkpoint_every_steps": 3,
        }
    )
