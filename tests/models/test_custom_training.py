"""A custom encoder with named parts is trained like a built-in one, or refused with one sentence."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from timm.layers import DropPath
from torch import Tensor, nn

from sigma_bench.evaluation.run import find_or_evaluate
from sigma_bench.models.custom_encoder import CustomEncoder, TrainableCustomEncoder, as_encoder
from sigma_bench.models.encoder import require_trainable
from sigma_bench.models.encoder_check import check_training
from sigma_bench.records.store import Store
from sigma_bench.specs.catalogue import load_task, resolve
from sigma_bench.training.classifier import Classifier, layer_decay_optimiser
from sigma_bench.training.distribution import joined_processes
from tests.cli.test_cli import run as command
from tests.models.custom_vit import CLIP, PARTS, WIDTH, CustomViT, custom_vit
from tests.models.tubes import SHAPE, Tubes
from tests.protocols.tiny_training import OPTIM, SMALL, quiet, tiny_task
from tests.two_processes import in_two_processes


def test_backbone_and_final_norm_are_the_encoder() -> None:
    encoder = custom_vit()
    clip_BCTHW = torch.rand(2, 3, 4, 24, 24)
    expected = encoder.encode(clip_BCTHW).token_BND
    backbone = require_trainable(encoder).backbone(0.1)
    norm = encoder._network.get_submodule("encoder.final")
    torch.testing.assert_close(norm(backbone(clip_BCTHW)), expected, rtol=0, atol=1e-5)
    assert all(parameter.requires_grad for parameter in backbone.parameters())
    with torch.no_grad():
        for parameter in backbone.parameters():
            parameter.zero_()
    assert torch.equal(encoder.encode(clip_BCTHW).token_BND, expected)


def test_layers_learn_at_the_rates_of_their_positions() -> None:
    """0.75^(L + 1 - i) of the rate: the embedding is layer 0, the last of three blocks layer 3, the head layer 4."""
    backbone = require_trainable(custom_vit()).backbone(0.0)
    classifier = Classifier(backbone, WIDTH, 5, head_init_scale=1.0, frozen=False)
    protocol = resolve(load_task("ssv2/finetune")).protocol
    optimiser = layer_decay_optimiser(classifier, protocol.optim.model_copy(update={"layer_decay": 0.75}))
    scales = {id(p): group["lr_scale"] for group in optimiser.param_groups for p in group["params"]}
    found = {name: scales[id(parameter)] for name, parameter in classifier.named_parameters()}
    for name, layer in (
        ("backbone.network.tubes.weight", 0),
        ("backbone.network.positions", 0),
        ("backbone.network.encoder.layers.0.attn.qkv.weight", 1),
        ("backbone.network.encoder.layers.2.mlp.fc2.bias", 3),
        ("head.weight", 4),
    ):
        assert found[name] == pytest.approx(0.75 ** (4 - layer)), name
    assert classifier.num_blocks == 3


def test_drop_path_grows_block_by_block_and_takes_the_place_of_the_identity() -> None:
    backbone = require_trainable(custom_vit()).backbone(0.2)
    rates = [[m.drop_prob for m in block.modules() if isinstance(m, DropPath)] for block in backbone.blocks]
    assert rates == [[], pytest.approx([0.1, 0.1]), pytest.approx([0.2, 0.2])]
    clip_BCTHW = torch.rand(1, 3, 4, 24, 24)
    assert torch.equal(backbone.eval()(clip_BCTHW), require_trainable(custom_vit()).backbone(0.0)(clip_BCTHW))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("task", "overrides", "num_scored"),
    [
        ("ssv2/finetune", SMALL | {"drop_path": 0.1}, 40),  # with augmentation and layer decay
        ("ssv2/linear_online", SMALL, 40),
        ("charades/multilabel_mini", {"optim": OPTIM, "uncertainty": {"replicates": 2}}, 4),
    ],
)
def test_a_custom_encoder_is_trained_on_the_mini_world(
    task: str, overrides: dict[str, Any], num_scored: int, world: Path, tmp_path: Path
) -> None:
    """A second run in another folder gives the same predictions."""
    records = [
        find_or_evaluate(custom_vit(), tiny_task(task, overrides), world, tmp_path / name, seed=0, report=quiet).record
        for name in ("one", "two")
    ]
    assert records[0].model.model == "custom_vit" and records[0].data.splits["test"].scored == num_scored
    assert records[0].predictions.sha256 == records[1].predictions.sha256
    assert len(Store(tmp_path / "one").paths()) == 1


def shared_run(data: str, output: str) -> None:
    """The work of each of several processes."""
    task = tiny_task("ssv2/finetune", SMALL | {"drop_path": 0.1})
    with joined_processes("cpu") as processes:
        find_or_evaluate(custom_vit(), task, Path(data), Path(output), seed=0, report=quiet, processes=processes)


@pytest.mark.slow
def test_two_processes_train_a_custom_encoder_like_one(world: Path, tmp_path: Path) -> None:
    shared_run(str(world), str(tmp_path / "one"))
    in_two_processes(shared_run, str(world), str(tmp_path / "two"))
    (one, two) = (dict(Store(tmp_path / name).records()).popitem()[1] for name in ("one", "two"))
    assert one.key() == two.key()
    scores = [Store(tmp_path / name).load_predictions(r.predictions) for name, r in (("one", one), ("two", two))]
    assert (scores[0]["predicted"] == scores[1]["predicted"]).all()


def test_check_tries_the_training(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = command(monkeypatch, capsys, "check", "tests.models.custom_vit:custom_vit")
    assert code == 0 and "the network can be fine-tuned: embedding and 3 blocks" in out


class Plain(nn.Module):
    """A residual block without drop path."""

    def __init__(self, width: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.linear, self.dropout = nn.Linear(width, width), nn.Dropout(dropout)

    def forward(self, token_BND: Tensor) -> Tensor:
        return token_BND + self.dropout(self.linear(token_BND))


class Normalised(Plain):
    """With statistics over the batch."""

    def __init__(self, width: int) -> None:
        super().__init__(width)
        self.batch_norm = nn.BatchNorm1d(width)

    def forward(self, token_BND: Tensor) -> Tensor:
        return self.batch_norm(super().forward(token_BND).transpose(1, 2)).transpose(1, 2)


class TokensFirst(Plain):
    """Applies its drop path to (N, B, D)."""

    def __init__(self, width: int) -> None:
        super().__init__(width)
        self.drop_path = nn.Identity()

    def forward(self, token_BND: Tensor) -> Tensor:
        return token_BND + self.drop_path(self.linear(token_BND).transpose(0, 1)).transpose(0, 1)


class Changed(CustomViT):
    """With another forward; ``how`` gets the network and a clip."""

    def __init__(self, how: Callable[[CustomViT, Tensor], Tensor], **options: Any) -> None:
        super().__init__(**options)
        self.how = how

    def forward(self, clip_BCTHW: Tensor) -> Tensor:
        return self.how(self, clip_BCTHW)


def reversed_blocks(network: CustomViT, clip_BCTHW: Tensor) -> Tensor:
    token_BND = network.embedded(clip_BCTHW)
    for layer in reversed(network.encoder.layers):
        token_BND = layer(token_BND)
    return network.encoder.final(token_BND)


def without_gradients(network: CustomViT, clip_BCTHW: Tensor) -> Tensor:
    with torch.no_grad():
        return network.encoder(network.embedded(clip_BCTHW))


def without_positions(network: CustomViT, clip_BCTHW: Tensor) -> Tensor:
    return network.encoder(network.tubes(clip_BCTHW).flatten(2).transpose(1, 2))


REFUSED_TRAINING: dict[str, tuple[Callable[[], nn.Module], float, str]] = {
    "no drop path": (
        lambda: CustomViT(block=Plain),
        0.1,
        "asks for a drop path of 0.1, but block 1 of 'encoder.layers' has no module named drop_path in its residual "
        "branches; add them (timm's DropPath(0.0)), or evaluate with --set drop_path=0.0",
    ),
    "tokens first": (lambda: CustomViT(block=TokensFirst), 0.1, "what enters a drop path is not the batch"),
    "dropout": (
        lambda: CustomViT(block=Plain, dropout=0.1),
        0.0,
        "in training mode, the tokens of a clip depend on random numbers or on the other clips of the batch "
        "('encoder.layers.0.dropout' is a Dropout with a dropout of 0.1)",
    ),
    "batch statistics": (lambda: CustomViT(block=Normalised), 0.0, "'encoder.layers.0.batch_norm' is a BatchNorm1d"),
    "order": (
        lambda: Changed(reversed_blocks),
        0.0,
        "(block 0, block 1, block 2, norm 'encoder.final'), but it calls block 2, block 1, block 0, norm",
    ),
    "no gradients": (lambda: Changed(without_gradients), 0.0, "forward computes no gradients; remove torch.no_grad"),
    "unused": (lambda: Changed(without_positions), 0.0, "the tokens do not depend on the parameter 'positions'"),
}


@pytest.mark.parametrize("name", REFUSED_TRAINING)
def test_what_cannot_be_trained_rightly_is_refused(name: str) -> None:
    network, drop_path, sentence = REFUSED_TRAINING[name]
    encoder = custom_vit(network())
    assert isinstance(encoder, TrainableCustomEncoder)
    with pytest.raises(ValueError) as caught:
        encoder.backbone(drop_path)
    assert str(caught.value).startswith("model 'custom_vit': ") and sentence in str(caught.value)
    if drop_path == 0:
        assert sentence in check_training(encoder).found and not check_training(encoder).passed
    else:
        assert check_training(encoder) == ("the network can be fine-tuned", True, "embedding and 3 blocks")


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"blocks": "encoder.layer"}, "blocks='encoder.layer' is no part of the network. Did you mean 'encoder.layers"),
        ({"blocks": "encoder"}, "blocks='encoder' is of type Stack, with 2 children; name an nn.ModuleList or"),
        ({"blocks": "encoder"}, "holds the blocks in order. Did you mean 'encoder.layers'?"),
        ({"norm": "fc_norm"}, "norm='fc_norm' is no part of the network."),
        ({"embed": "position"}, "embed='position' is no part of the network."),
        ({"embed": "tubes"}, "the parameters 'positions' belong to none of embed, blocks and norm; name what comes"),
        ({"norm": None}, "the parameters 'encoder.final.weight', 'encoder.final.bias' belong to none of"),
        ({"embed": ("tubes", "positions", "encoder")}, "belong to two of encoder.layers, tubes, positions, encoder"),
        ({"blocks": None}, "embed and norm say how a network is fine-tuned; name its blocks too"),
    ],
)
def test_parts_that_a_network_does_not_have_are_refused(changed: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError) as caught:
        custom_vit(**changed)
    assert str(caught.value).startswith("as_encoder 'custom_vit': ") and sentence in str(caught.value)


def test_without_parts_there_is_nothing_to_train() -> None:
    encoder = as_encoder(CustomViT(), name="frozen", **CLIP)
    assert type(encoder) is CustomEncoder
    with pytest.raises(ValueError, match="has no network that can be trained"):
        require_trainable(encoder)


def test_the_parts_belong_to_the_identity() -> None:
    """Parts determine the learning rate of a parameter."""
    network = CustomViT()
    frozen, trainable = as_encoder(network, name="one", **CLIP), as_encoder(network, name="one", **CLIP, **PARTS)
    assert frozen.card.identity != trainable.card.identity
    assert trainable.card.identity == as_encoder(network, name="one", **CLIP, **PARTS).card.identity


def test_grid_and_width_are_measured() -> None:
    measured = custom_vit()
    assert measured.card.feature_width == WIDTH
    assert measured.encode(torch.zeros(1, 3, 4, 24, 24)).grid == (2, 3, 3)
    assert measured.encode(torch.zeros(1, 3, 2, 24, 24)).grid == (1, 3, 3)
    assert measured.card.identity == custom_vit(grid=(2, 3, 3), feature_width=WIDTH).card.identity
    assert as_encoder(Tubes(), name="tubes", **(SHAPE | {"feature_width": None})).card.feature_width == 16


@pytest.mark.parametrize(
    ("change", "more", "sentence"),
    [
        (lambda t: torch.cat([t[:, :1], t], 1), {}, "(1, 65, 16) for 4 time slots of 32 px, and N is no square grid"),
        (lambda t: t[:, :48], {}, "(1, 48, 16) for 4 time slots of 32 px, and N is no square grid"),
        (lambda t: t[:, :36], {}, "and N is no square grid"),  # 3 x 3 cells do not divide 32 px
        (lambda t: t, {}, "(1, 64, 16) for 4 time slots of 32 px, and N or D may be the number of tokens; give grid="),
        (lambda t: t.mean(1), {}, "a tensor of shape (1, 16) for one clip, not tokens (1, N, D)"),
        (lambda t: {"x": t}, {}, "an object of type dict with the keys x; return the tensor"),
        (lambda t: t.nothing, {}, "fails for clips (B, C, T, H, W) of shape (1, 3, 8, 32, 32): AttributeError"),
        (lambda t: t.transpose(1, 2), {"grid": (4, 4, 4)}, "check the grid for this number of frames"),
        (lambda t: t, {"tubelet_frames": 3}, "8 frames are not whole tubelets of 3 frames"),
    ],
)
def test_what_a_clip_does_not_determine_is_asked_for(
    change: Callable[[Tensor], Any], more: dict[str, Any], sentence: str
) -> None:
    shape = SHAPE | {"grid": None, "feature_width": None} | more
    with pytest.raises(ValueError) as caught:
        as_encoder(Tubes(lambda token, clip: change(token)), name="odd", **shape)
    assert str(caught.value).startswith("as_encoder 'odd': ") and sentence in str(caught.value)


def test_the_number_of_tokens_is_known_where_the_width_is() -> None:
    encoder = as_encoder(Tubes(), name="tubes", **(SHAPE | {"grid": None}))
    assert encoder.encode(torch.zeros(1, 3, 8, 32, 32)).grid == (4, 4, 4)
