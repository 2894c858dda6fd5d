"""A file in which a tensor is lost, doubled, renamed, reshaped, quantised or not finite is refused, in every layout."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from sigma_bench.models.encoder import require_trainable
from sigma_bench.models.encoder_check import check_encoder, check_training
from sigma_bench.models.zoo import load_encoder
from tests.models.video_files import LAYOUTS, Layout, Tensors


def lost(tensors: Tensors, name: str) -> None:
    del tensors[name]


def doubled(tensors: Tensors, name: str) -> None:
    tensors[f"copy.{name}"] = tensors[name].clone()


def doubled_in_the_trunk(tensors: Tensors, name: str) -> None:
    tensors[f"{name}_copy"] = tensors[name].clone()


def renamed(tensors: Tensors, name: str) -> None:
    tensors[f"{name}_"] = tensors.pop(name)


def reshaped(tensors: Tensors, name: str) -> None:
    tensors[name] = torch.cat([tensors[name], tensors[name][:1]])


def infinite(tensors: Tensors, name: str) -> None:
    tensors[name] = tensors[name].clone()
    tensors[name].view(-1)[-1] = float("inf")


def quantised(tensors: Tensors, name: str) -> None:
    tensors[name] = tensors[name].to(torch.int8)


def is_tested(name: str) -> bool:
    """Whether a tensor is outside the blocks or in the second one; the other blocks are equal to it."""
    block = re.search(r"(blocks|layer)\.(\d+)\.", name)
    return block is None or block[2] == "1"


@pytest.fixture(scope="module", params=list(LAYOUTS))
def layout(request: pytest.FixtureRequest) -> Layout:
    return LAYOUTS[request.param]()


def test_the_file_itself_is_read(layout: Layout, tmp_path: Path) -> None:
    load_encoder(layout.write(tmp_path, layout.needed | layout.others))


@pytest.mark.parametrize(
    "mutate",
    [lost, doubled, doubled_in_the_trunk, renamed, reshaped, infinite, quantised],
    ids=lambda each: each.__name__,
)
def test_a_mutated_file_is_refused(layout: Layout, tmp_path: Path, mutate: Callable[[Tensors, str], None]) -> None:
    for name in filter(is_tested, layout.needed):
        tensors = layout.needed | layout.others
        mutate(tensors, name)
        path = tmp_path / name
        path.mkdir()
        with pytest.raises(ValueError) as error:
            load_encoder(layout.write(path, tensors))
        assert str(error.value).startswith(str(path)), name


def test_its_encoder_passes_the_check_and_can_be_trained(layout: Layout, tmp_path: Path) -> None:
    encoder = load_encoder(layout.write(tmp_path, layout.needed | layout.others))
    checks = [*check_encoder(encoder), check_training(require_trainable(encoder))]
    assert [check for check in checks if not check.passed] == []
