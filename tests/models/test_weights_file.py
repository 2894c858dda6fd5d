"""External weight files are data: nothing in them runs, and damage gives one clear error."""

import argparse
import os
import pathlib
import pickle
import random
import zipfile
from pathlib import Path
from typing import Any

import pytest
import timm
import torch

from sigma_bench.models.timm_encoder import image_tensors_in
from sigma_bench.models.weights_file import read_weights, state_dict_in


class Touches:
    """A pickle that would create a file when it is opened."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch {self.path}",)


@pytest.mark.parametrize("where", ["beside", "inside args"])
def test_a_pickle_that_wants_to_run_code_is_refused_and_runs_nothing(tmp_path, where):
    mark, path = tmp_path / "mark", tmp_path / "evil.pth"
    bait = Touches(mark)
    extra = {"extra": bait} if where == "beside" else {"args": argparse.Namespace(x=bait)}
    torch.save({"model": {"a": torch.zeros(1)}, **extra}, path)
    with pytest.raises(ValueError, match=r"evil.pth: refused, .* it asks for '(posix|nt|os).system'"):
        read_weights(path)
    assert not mark.exists()
    torch.load(path, weights_only=False)  # the bait does work
    assert mark.exists()


@pytest.mark.parametrize(("protocol", "sentence"), [(2, "refused, .*system"), (4, "not a PyTorch weight file")])
def test_a_plain_pickle_is_no_way_round(tmp_path, protocol, sentence):
    mark, path = tmp_path / "mark", tmp_path / "evil.bin"
    path.write_bytes(pickle.dumps(Touches(mark), protocol=protocol))
    with pytest.raises(ValueError, match=rf"evil\.bin: {sentence}"):
        read_weights(path)
    assert not mark.exists()


def test_a_namespace_is_let_in_and_other_classes_are_not(tmp_path):
    arguments = argparse.Namespace(model="x", lr=0.1)
    torch.save({"model": {"a": torch.ones(1)}, "args": arguments}, tmp_path / "a.pth")
    assert read_weights(tmp_path / "a.pth").content["args"] == arguments
    torch.save({"model": {}, "path": pathlib.PurePosixPath("x")}, tmp_path / "b.pth")
    with pytest.raises(ValueError, match=r"it asks for 'pathlib.*PurePosixPath'"):
        read_weights(tmp_path / "b.pth")
    with pytest.raises(pickle.UnpicklingError, match="Namespace"):  # let in by the reader only, not for the process
        torch.load(tmp_path / "a.pth", weights_only=True)


@pytest.mark.parametrize("is_zip", [True, False])
def test_damaged_files_are_one_sentence(tmp_path, is_zip):
    path = tmp_path / "damaged.pth"
    torch.save(
        {"model": {"a": torch.randn(3), "b": torch.randn(2)}, "epoch": 3}, path, _use_new_zipfile_serialization=is_zip
    )
    whole, draw = path.read_bytes(), random.Random(0)
    refused = 0
    for _ in range(150):
        damaged = bytearray(whole)
        damaged[draw.randrange(min(len(whole), 600))] = draw.randrange(256)
        path.write_bytes(damaged[: draw.randrange(len(whole))] if draw.random() < 0.3 else damaged)
        try:
            read_weights(path)
        except ValueError as error:
            refused += 1
            assert str(error).startswith(str(path))
    assert refused > 50


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("a.txt", b"hello", "not a weight file; weight files end in .safetensors"),
        ("a.safetensors", b"hello", "not a safetensors checkpoint"),
        ("a.pth", b"", "not a PyTorch weight file"),
    ],
)
def test_other_files_are_one_sentence(tmp_path, name, content, sentence):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=sentence):
        read_weights(tmp_path / name)


@pytest.fixture
def image_vit():
    torch.manual_seed(0)
    return timm.create_model("vit_tiny_patch16_224", img_size=32, num_classes=0, depth=2).eval()


def dino_checkpoint(image_vit):
    """The layout of DINO's training script: student with the prefix of DDP, teacher without, each with a head."""
    head = {"head.mlp.0.weight": torch.randn(4, 192), "head.last_layer.weight_g": torch.randn(4, 1)}
    teacher = {f"backbone.{name}": value for name, value in image_vit.state_dict().items()} | head
    student = {f"module.{name}": value + 1 for name, value in teacher.items()}
    return {"student": student, "teacher": teacher, "epoch": 3, "args": argparse.Namespace(arch="vit_tiny")}


@pytest.mark.parametrize("form", ["plain", "with head", "teacher", "student only"])
def test_image_tensors_are_timms(tmp_path, image_vit, form):
    plain = image_vit.state_dict()
    content = {
        "plain": plain,
        "with head": plain | {"head.weight": torch.randn(3, 192), "head.bias": torch.randn(3)},
        "teacher": dino_checkpoint(image_vit),
        "student only": {"student": dino_checkpoint(image_vit)["student"]},
    }[form]
    torch.save(content, tmp_path / "dino.pth")
    found = image_tensors_in(read_weights(tmp_path / "dino.pth"))
    shift = 1 if form == "student only" else 0
    assert found.keys() == plain.keys()
    assert all(torch.equal(found[name], plain[name] + shift) for name in plain)


def test_a_video_model_is_no_image_model(tmp_path):
    torch.save({"patch_embed.proj.weight": torch.zeros(2, 3, 2, 4, 4)}, tmp_path / "video.pth")
    with pytest.raises(ValueError, match="not an image ViT"):
        image_tensors_in(read_weights(tmp_path / "video.pth"))


def with_pickle(path: Path, content: bytes) -> Path:
    """A file as ``torch.save`` writes it, with another pickle inside."""
    torch.save({"a": torch.zeros(2)}, path)
    with zipfile.ZipFile(path) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in entries.items():
            archive.writestr(name, content if name.endswith("data.pkl") else data)
    return path


DOUBLED = b"".join(b"q%ch%c\x86" % (number, number) for number in range(64))
"""A tuple of two of the tuple before, 64 times: 2^64 parts."""


@pytest.mark.parametrize("is_zip", [True, False])
@pytest.mark.parametrize("key", [b"N" + b"\x85" * 200_000, b"K\x01\x85" + DOUBLED])
def test_a_key_without_end_is_refused_before_torch_hashes_it(tmp_path: Path, is_zip: bool, key: bytes) -> None:
    """Hashing the first one ends the process, and hashing the second one never ends."""
    content = b"\x80\x02}" + key + b"K\x01s."
    path = tmp_path / "model.pth"
    if is_zip:
        with_pickle(path, content)
    else:
        torch.save({"a": torch.zeros(2)}, path, _use_new_zipfile_serialization=False)
        magic = path.read_bytes().index(b".") + 1
        path.write_bytes(path.read_bytes()[:magic] + b"\x80\x02M\xe9\x03." + b"\x80\x02}q\x00." + content)
    with pytest.raises(ValueError, match=r"model\.pth: refused, since it nests or repeats more than 100,000 values"):
        read_weights(path)


def test_an_archive_that_unpacks_to_far_more_than_its_size_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.pth"
    torch.save({"a": torch.zeros(2)}, path)
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("model/data/1", bytes(70 << 20))
    with pytest.raises(ValueError, match="unpacks to far more than its size"):
        read_weights(path)


@pytest.mark.parametrize("change", [lambda tensor: tensor.to_sparse(), lambda tensor: tensor.to("meta")])
def test_tensors_without_plain_values_are_refused(tmp_path: Path, change: Any) -> None:
    path = tmp_path / "weights.pt"
    torch.save({"encoder": {"a": torch.ones(2), "b": change(torch.ones(2, 2))}}, path)
    with pytest.raises(ValueError, match="'b' is not stored as plain values"):
        state_dict_in(read_weights(path), ())
