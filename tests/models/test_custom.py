"""Custom encoders: loading by module and function, checks of the contract, error messages."""

import textwrap
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from sigma_bench.models.custom_encoder import as_encoder
from sigma_bench.models.encoder import Features
from sigma_bench.models.encoder_check import check_encoder
from sigma_bench.models.encoder_output import encoded
from sigma_bench.models.imported import identified_encoder
from sigma_bench.models.zoo import load_encoder
from tests.models.tubes import SHAPE, Tubes, tubes_encoder

MODULE = """
    import torch
    from sigma_bench.models.custom_encoder import as_encoder

    def build():
        torch.manual_seed(0)
        tubes = torch.nn.Conv3d(3, 5, (2, 8, 8), stride=(2, 8, 8))
        network = torch.nn.Sequential(tubes, torch.nn.Flatten(2), Swapped())
        return as_encoder(network, name="mine", num_frames=4, image_size=16, tubelet_frames=2, grid=(2, 2, 2),
                           feature_width=5, mean=(.5, .5, .5), std=(.5, .5, .5))

    class Swapped(torch.nn.Module):
        def forward(self, x):
            return x.transpose(1, 2)

    def nothing():
        return 3
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "mine_for_test.py").write_text(textwrap.dedent(MODULE))
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def test_a_function_of_a_module_in_the_current_folder(here: Path) -> None:
    encoder = load_encoder("mine_for_test:build")
    assert encoder.card.num_parameters == 5 * 3 * 2 * 8 * 8 + 5
    assert encoder.card.checkpoint_sha256 == load_encoder("mine_for_test:build").card.checkpoint_sha256
    assert encoder.encode(torch.zeros(3, 3, 2, 16, 16)).grid == (1, 2, 2)
    assert [question for question, passed, _ in check_encoder(encoder) if not passed] == []


def test_what_is_no_encoder_is_refused(here: Path) -> None:
    with pytest.raises(ValueError, match="the module has no 'absent'"):
        load_encoder("mine_for_test:absent")
    with pytest.raises(ValueError, match="returns an object of type int, which has no 'card' and 'encode'"):
        load_encoder("mine_for_test:nothing")
    with pytest.raises(ValueError, match="No module 'nowhere_at_all' can be imported"):
        load_encoder("nowhere_at_all:build")


class Faulty(nn.Module):
    """Tokens (B, 8, 5) of clips of 4 frames, with one fault."""

    def __init__(self, fault: str) -> None:
        super().__init__()
        self.fault, self.calls = fault, 0

    def forward(self, clip_BCTHW: Tensor) -> Tensor:
        self.calls += 1
        pooled = nn.functional.adaptive_avg_pool3d(clip_BCTHW, (clip_BCTHW.shape[2] // 2, 2, 2))
        token_BND = pooled.flatten(2).transpose(1, 2).repeat(1, 1, 2)[..., :5]
        if self.fault == "nan":
            return token_BND / 0 * 0
        if self.fault == "constant":
            return torch.ones_like(token_BND)
        if self.fault == "batch":
            return token_BND - token_BND.mean(0)
        if self.fault == "random":
            return token_BND + self.calls
        if self.fault == "grid":
            return token_BND[:, :-1]
        if self.fault == "frames":
            return token_BND[:, :4].repeat(1, 2, 1)[:, : 4 + clip_BCTHW.shape[2]]
        return token_BND


@pytest.mark.parametrize(
    ("fault", "question"),
    [
        ("nan", "finite"),
        ("constant", "another clip has other tokens"),
        ("batch", "does not depend on its batch"),
        ("random", "same clips twice"),
        ("grid", "tokens (B, N, D)"),
        ("frames", "a clip of 2 frames"),
    ],
)
def test_every_fault_is_found(fault: str, question: str) -> None:
    encoder = as_encoder(
        Faulty(fault),
        name="faulty",
        num_frames=4,
        image_size=16,
        tubelet_frames=2,
        grid=(2, 2, 2),
        feature_width=5,
        mean=(0.5, 0.5, 0.5),
        std=(0.5, 0.5, 0.5),
    )
    failed = [asked for asked, passed, _ in check_encoder(encoder) if not passed]
    assert any(question in asked for asked in failed)


def test_a_card_that_cannot_be_is_refused() -> None:
    with pytest.raises(ValueError, match=r"as_encoder 'odd'.*num_frames"):
        as_encoder(
            nn.Identity(),
            name="odd",
            num_frames=0,
            image_size=16,
            tubelet_frames=2,
            grid=(2, 2, 2),
            feature_width=5,
            mean=(0.5, 0.5, 0.5),
            std=(0.5, 0.5, 0.5),
        )


class Scaled(torch.nn.Module):
    """The mean colour of every frame, times a weight."""

    def __init__(self, weight: float) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.tensor(weight))

    def forward(self, clip: torch.Tensor) -> torch.Tensor:
        return clip.flatten(3).mean(3).transpose(1, 2) * self.weight


def identity_of(network: torch.nn.Module) -> dict[str, object]:
    geometry = {"num_frames": 4, "image_size": 16, "tubelet_frames": 1, "grid": (4, 1, 1), "feature_width": 3}
    colours = {"mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5)}
    return as_encoder(network, name="mine", **geometry, **colours).card.identity  # type: ignore[arg-type]


@pytest.mark.filterwarnings("ignore::FutureWarning")  # TorchScript is what many have
def test_no_two_encoders_share_an_identity_under_which_features_are_cached() -> None:
    frozen = [torch.jit.freeze(torch.jit.script(Scaled(weight).eval())) for weight in (1.0, 2.0)]
    assert not frozen[0].state_dict()  # the weights are constants of the code
    assert identity_of(frozen[0]) == identity_of(torch.jit.freeze(torch.jit.script(Scaled(1.0).eval())))
    assert identity_of(frozen[0]) != identity_of(frozen[1])
    assert identity_of(torch.jit.script(Scaled(1.0))) != identity_of(torch.jit.script(Scaled(2.0)))
    assert identity_of(torch.nn.Sequential(frozen[0])) != identity_of(torch.nn.Sequential(frozen[1]))
    assert identity_of(Scaled(1.0)) == identity_of(Scaled(1.0)) != identity_of(Scaled(2.0))


def test_another_grid_of_as_many_tokens_is_another_encoder() -> None:
    assert tubes_encoder(grid=(4, 4, 4)).card.identity == tubes_encoder(grid=[4, 4, 4]).card.identity
    assert tubes_encoder(grid=(4, 4, 4)).card.identity != tubes_encoder(grid=(4, 2, 8)).card.identity


def test_what_is_changed_after_as_encoder_counts(here: Path) -> None:
    (here / "late.py").write_text(
        "import torch\nfrom tests.models.tubes import Tubes, SHAPE\n"
        "from sigma_bench.models.custom_encoder import as_encoder\n"
        "def built(late):\n    network = Tubes()\n    encoder = as_encoder(network, name='late', **SHAPE)\n"
        "    late(network, encoder)\n    return encoder\n"
        "def plain():\n    return built(lambda network, encoder: None)\n"
        "def weights():\n    return built(lambda network, encoder: torch.nn.init.zeros_(network.embed.bias))\n"
        "def attribute():\n    return built(lambda network, encoder: setattr(network, 'scale', 2))\n"
        "def method():\n    return built(lambda network, encoder: setattr(encoder, 'encode', lambda clip: None))\n"
    )
    names = ["plain", "weights", "attribute", "method"]
    identities = [str(load_encoder(f"late:{name}").card.identity) for name in names]
    assert len(set(identities)) == len(names)
    assert identities[0] == str(as_encoder(Tubes(), name="late", **SHAPE).card.identity)


def build_dropout() -> nn.Module:
    return nn.Sequential(Tubes(), nn.Dropout(0.9))


def test_a_network_in_training_is_encoded_in_evaluation_mode_and_left_in_training() -> None:
    network = build_dropout().train()
    network[0].eval()  # type: ignore[index]
    encoder = as_encoder(network, name="mine", **SHAPE)
    clip = torch.rand(2, 3, SHAPE["num_frames"], SHAPE["image_size"], SHAPE["image_size"])
    first, again = encoder.encode(clip).token_BND, encoder.encode(clip).token_BND
    assert torch.equal(first, again) and torch.equal(first, network[0](clip))  # type: ignore[index]
    assert [network.training, *(part.training for part in network)] == [True, False, True]  # type: ignore[union-attr]
    assert all(parameter.requires_grad for parameter in network.parameters())


class Written(nn.Module):
    """An encoder that a user wrote as a torch module."""

    def __init__(self) -> None:
        super().__init__()
        self.card = as_encoder(Tubes(), name="written", **SHAPE).card
        self.scale, self.dropout = nn.Linear(1, 1), nn.Dropout(0.5)

    def encode(self, clip: Tensor) -> Features:
        raise NotImplementedError


def test_weights_and_mode_of_a_module_that_is_an_encoder_count() -> None:
    encoder = Written()
    identities = [identified_encoder(encoder).card.identity]
    nn.init.constant_(encoder.scale.weight, 7)
    identities.append(identified_encoder(encoder).card.identity)
    encoder.dropout.eval()
    identities.append(identified_encoder(encoder).card.identity)
    assert len({str(identity) for identity in identities}) == 3
    assert identities[-1] == identified_encoder(encoder).card.identity


def test_a_card_that_keeps_its_value_when_it_is_set_is_refused() -> None:
    class Fixed:
        card = property(lambda self: CARD, lambda self, value: None)
        encode = None

    CARD = as_encoder(Tubes(), name="fixed", **SHAPE).card
    with pytest.raises(ValueError, match="the attribute 'card' of Fixed cannot be set"):
        identified_encoder(Fixed())


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda found: found.token_BND, "encode returns an object of type Tensor"),
        (lambda found: None, "encode returns None"),
        (lambda found: Features(found.token_BND.numpy(), found.grid), "as torch.from_numpy makes it"),
        (lambda found: Features(found.token_BND.bfloat16(), found.grid), r"tokens of torch\.bfloat16; return float32"),
        (lambda found: Features(found.token_BND.cfloat(), found.grid), r"tokens of torch\.complex64"),
        (lambda found: Features(found.token_BND, (4.0, 4, 4)), "three whole numbers"),
    ],
)
def test_what_encode_returns_besides_features_is_one_sentence(change: Any, sentence: str) -> None:
    inner = as_encoder(Tubes(), name="mine", **SHAPE)
    other = SimpleNamespace(card=inner.card, encode=lambda clip: change(inner.encode(clip)))
    clip = torch.rand(1, 3, SHAPE["num_frames"], SHAPE["image_size"], SHAPE["image_size"])
    with pytest.raises(ValueError, match=f"model 'mine': .*{sentence}"):
        encoded(other, clip)


def test_gradients_of_an_encoder_are_not_kept() -> None:
    inner, network = as_encoder(Tubes(), name="mine", **SHAPE), Tubes()
    other = SimpleNamespace(card=inner.card, encode=lambda clip: Features(network(clip), (4, 4, 4)))
    clip = torch.rand(1, 3, SHAPE["num_frames"], SHAPE["image_size"], SHAPE["image_size"])
    assert not encoded(other, clip).token_BND.requires_grad
