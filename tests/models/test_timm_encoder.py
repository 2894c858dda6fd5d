"""Image models of timm by name: cards, local files, folders, the cache of the hub, and impossible requests."""

import hashlib
import json

import pytest
import timm
import torch
from huggingface_hub import constants

from sigma_bench.models.timm_encoder import split_timm_name, timm_encoder
from sigma_bench.models.zoo import load_encoder
from sigma_bench.specs.recipe import IMAGENET_MEAN
from tests.models.timm_folders import FAMILIES, build, write_folder

NAME = "vit_tiny_patch16_224.augreg_in21k"


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """A small ViT of timm with random weights, and its file."""
    torch.manual_seed(0)
    model = timm.create_model(NAME, num_classes=7).eval()
    path = tmp_path_factory.mktemp("weights") / "vit.pth"
    torch.save(model.state_dict(), path)
    return model, path


@pytest.fixture
def offline_cache(tmp_path, monkeypatch):
    """An empty cache of the hub, which cannot be reached."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    return tmp_path / "cache"


def cached(cache, repository):
    """The folder of a repository in the cache."""
    folder = cache / f"models--{repository.replace('/', '--')}"
    (folder / "refs").mkdir(parents=True)
    (folder / "refs" / "main").write_text("abc123")
    (folder / "snapshots").mkdir()
    return folder / "snapshots" / "abc123"


def test_a_local_file_is_loaded_whole(published):
    model, path = published
    encoder = timm_encoder(NAME, file=path, num_frames=3)
    card = encoder.card
    assert (card.model, card.family, card.num_frames, card.image_size) == (f"{NAME}@3x224", "timm", 3, 224)
    assert (card.mean, card.feature_width, card.tubelet_frames) == ((0.5, 0.5, 0.5), 192, 1)
    assert card.checkpoint_sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert len(encoder.report.matched) == len(model.state_dict()) - 2
    assert encoder.report.unexpected == ("head.bias", "head.weight")
    image = torch.randn(1, 3, 1, 224, 224)
    with torch.no_grad():
        expected = model.forward_features(image[:, :, 0])[:, 1:]
    torch.testing.assert_close(encoder.encode(image).token_BND, expected, rtol=0, atol=1e-5)


def test_positions_are_interpolated_for_another_size_as_timm_does(published):
    model, path = published
    encoder = timm_encoder(NAME, file=path, image_size=64)
    assert (encoder.card.image_size, encoder.card.model) == (64, f"{NAME}@16x64")
    other = timm.create_model(NAME, num_classes=0, img_size=64).eval()
    other.load_state_dict(
        timm.models.vision_transformer.checkpoint_filter_fn(dict(model.state_dict()), other), strict=False
    )
    clip = torch.randn(1, 3, 2, 64, 64)
    features = encoder.encode(clip)
    assert features.grid == (2, 4, 4)
    with torch.no_grad():
        expected = other.forward_features(clip[:, :, 1])[:, 1:]
    torch.testing.assert_close(features.token_BND[:, 16:], expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("family", ["BEiT", "Swin", "Hiera"])
def test_a_fixed_model_is_built_for_another_size(family, tmp_path):
    tiny = FAMILIES[family]
    model = build(tiny)
    folder = write_folder(tmp_path / "folder", tiny, model.state_dict())
    if family == "Hiera":  # timm does not interpolate its positions
        with pytest.raises(ValueError, match="'pos_embed' has shape"):
            timm_encoder(f"local-dir:{folder}", image_size=128)
        return
    encoder = timm_encoder(f"local-dir:{folder}", image_size=128)
    assert encoder.encode(torch.zeros(1, 3, 1, 128, 128)).grid == (1, 2 * tiny.grid[0], 2 * tiny.grid[1])
    with pytest.raises(ValueError, match="built for 128 x 128 px"):
        encoder.encode(torch.zeros(1, 3, 1, 64, 64))


def test_a_file_for_another_patch_size_is_refused(tmp_path):
    """timm would resample the kernel without a warning."""
    path = tmp_path / "vit.pth"
    torch.save(timm.create_model("vit_tiny_patch16_224", patch_size=32).state_dict(), path)
    with pytest.raises(ValueError, match=r"'patch_embed.proj.weight' has shape .*32, 32\), the model needs .*16, 16\)"):
        timm_encoder(NAME, file=path)


@pytest.mark.parametrize(
    ("name", "family", "size"),
    [
        ("vit_small_patch16_224.dino", "DINO", 224),
        ("vit_small_patch14_reg4_dinov2.lvd142m", "DINOv2", 518),
        ("vit_small_patch16_dinov3.lvd1689m", "DINOv3", 256),
    ],
)
def test_weights_in_the_cache_of_the_hub(name, family, size, offline_cache):
    torch.manual_seed(0)
    model = timm.create_model(name, num_classes=0)
    snapshot = cached(offline_cache, f"timm/{name}")
    write_folder(snapshot, FAMILIES["ViT"], model.state_dict())
    encoder = timm_encoder(name)
    card = encoder.card
    assert (card.model, card.family, card.image_size, card.mean) == (name, family, size, IMAGENET_MEAN)
    assert len(card.checkpoint_sha256) == 64
    assert all(torch.equal(value, model.state_dict()[key]) for key, value in encoder.network.state_dict().items())


def test_a_repository_in_the_cache_of_the_hub(offline_cache):
    tiny = FAMILIES["DINOv3"]
    model = build(tiny)
    snapshot = write_folder(cached(offline_cache, "someone/tiny_dinov3"), tiny, model.state_dict())
    encoder = load_encoder("timm:hf-hub:someone/tiny_dinov3@4x64")
    assert (encoder.card.model, encoder.card.family, encoder.card.num_frames) == ("tiny_dinov3@4x64", "DINOv3", 4)
    sha256 = hashlib.sha256((snapshot / "model.safetensors").read_bytes()).hexdigest()
    assert encoder.card.checkpoint_sha256 == sha256
    same = timm_encoder(f"local-dir:{snapshot}", num_frames=4)
    assert encoder.card.identity == same.card.identity
    deeper = write_folder(
        offline_cache / "other", tiny._replace(arguments=tiny.arguments | {"qk_norm": False}), model.state_dict()
    )
    assert timm_encoder(f"local-dir:{deeper}", num_frames=4).card.code_sha256 != encoder.card.code_sha256


def test_without_the_hub_a_name_fails_with_one_sentence(offline_cache):
    for name in ("vit_small_patch16_224.dino", "hf-hub:timm/vit_small_patch16_224.dino"):
        with pytest.raises(ValueError, match=r"'timm/vit_small_patch16_224.dino' is not in the hub's cache"):
            timm_encoder(name)
    with pytest.raises(ValueError, match=r"as in 'timm:vit_small_patch16_224\.dino:<file>'"):
        timm_encoder("vit_small_patch16_224.dino")


def test_names():
    assert split_timm_name("vit.dino") == ("vit.dino", None)
    assert str(split_timm_name("vit.dino:a/b.pth")[1]) == "a/b.pth"
    assert split_timm_name("hf-hub:timm/vit.dino") == ("hf-hub:timm/vit.dino", None)
    name, file = split_timm_name("local-dir:some/folder:a.pth")
    assert (name, str(file)) == ("local-dir:some/folder", "a.pth")


def test_a_mistyped_name_gets_near_ones():
    with pytest.raises(
        ValueError, match=r"no model 'vit_smal_patch16_224.dino'.*Did you mean .*'vit_small_patch16_224"
    ):
        timm_encoder("vit_smal_patch16_224.dino")
    with pytest.raises(ValueError, match=r"no model 'zzz'\. Weights are named with their tag") as caught:
        timm_encoder("zzz")
    assert len(str(caught.value)) < 200


def test_impossible_requests(published, tmp_path):
    with pytest.raises(ValueError, match="no weights for 'vit_base_patch32_plus_256'; give them as"):
        timm_encoder("vit_base_patch32_plus_256")
    with pytest.raises(ValueError, match="100 px is not a multiple of the patch size of 16 px of 'vit_tiny_patch16_22"):
        timm_encoder(NAME, file=published[1], image_size=100)
    with pytest.raises(ValueError, match="is no name of a repository of the hub; write hf-hub:<owner>/<model>"):
        timm_encoder("hf-hub:../../etc")
    with pytest.raises(ValueError, match=r"none: no model of timm, whose config\.json has the keys architecture"):
        timm_encoder(f"local-dir:{tmp_path / 'none'}")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"architecture": "resnet9000"}, "timm has no architecture 'resnet9000'"),
        ({"architecture": None}, "no model of timm, whose config.json has the keys architecture"),
        ({"model_args": {"no_such": 1}}, "timm cannot build 'vit_tiny_patch16_224' .*no_such"),
        ({"model_args": {"embed_dim": 49}}, "timm cannot build 'vit_tiny_patch16_224'"),
        ({"model_args": {"embed_dim": 96, "depth": 2, "num_heads": 4, "img_size": 64}}, "has shape|does not fit"),
        ({"pretrained_cfg": {"input_size": [3]}}, "no architecture"),
    ],
)
def test_a_damaged_configuration_is_refused(tmp_path, change, message):
    tiny = FAMILIES["ViT"]
    folder = write_folder(tmp_path / "folder", tiny, build(tiny).state_dict())
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({key: value for key, value in (config | change).items() if value}))
    with pytest.raises(ValueError, match=message):
        timm_encoder(f"local-dir:{folder}")
