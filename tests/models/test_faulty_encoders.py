"""For each faulty custom encoder, ``check`` or loading fails with one sentence that says what to do."""

import textwrap
from pathlib import Path
from typing import Any

import pytest
import torch

from sigma_bench.models.code_digest import weights_sha256
from sigma_bench.models.custom_encoder import as_encoder
from sigma_bench.models.encoder_check import check_encoder
from sigma_bench.models.zoo import load_encoder
from tests.cli.test_cli import run
from tests.models.tubes import SHAPE, Tubes, tubes_encoder


class Output:
    """An output in the form of Hugging Face."""

    def __init__(self, token: torch.Tensor) -> None:
        self.last_hidden_state = token


def in_place(token: torch.Tensor, clip: torch.Tensor) -> torch.Tensor:
    clip.sub_(clip.mean())
    return token


FAULTY: dict[str, tuple[Any, str]] = {
    "class token": (lambda t, _: torch.cat([t[:, :1], t], 1), "65 tokens for a grid of 64; if one of them is a"),
    "registers": (lambda t, _: torch.cat([t[:, :5], t], 1), "grid of 64; if 5 of them are class and register"),
    "pooled": (lambda t, _: t.mean(1), "pooled features; return all tokens"),
    "transpose": (lambda t, _: t.transpose(1, 2), "look swapped; return tokens.transpose(1, 2)"),
    "tokens first": (lambda t, _: t.transpose(0, 1), "look swapped; return tokens.transpose(0, 1)"),
    "map": (lambda t, _: t.transpose(1, 2).unflatten(2, (4, 4, 4)), "with flatten(2).transpose(1, 2)"),
    "map, channels last": (lambda t, _: t.unflatten(1, (4, 4, 4)), "a map; return it with flatten(1, 3)"),
    "width": (lambda t, _: t[..., :12], "the tokens are 12 wide; correct feature_width"),
    "fewer tokens": (lambda t, _: t[:, :49], "49 tokens for a grid of 64; check the grid"),
    "one clip": (lambda t, _: t[0], "the dimension of clips is missing"),
    "None": (lambda t, _: None, "the network returns None; return the tensor of tokens"),
    "object": (lambda t, _: Output(t), "an object of type Output; return its last_hidden_state"),
    "dict": (lambda t, _: {"x": t}, "an object of type dict with the keys x; return the tensor"),
    "list of layers": (lambda t, _: [t, t], "type list with 2 items; return the tensor of tokens"),
    "tuple": (lambda t, _: (t, None), "type tuple with 2 items"),
    "numpy": (lambda t, _: t.numpy(), "type ndarray; return the tensor of tokens (B, N, D), as torch.from_numpy"),
    "half": (lambda t, _: t.half(), "tokens of torch.float16; return float32"),
    "double": (lambda t, _: t.double(), "tokens of torch.float64; return float32"),
    "other device": (lambda t, _: t.to("meta"), "tokens on meta while the encoder is on cpu"),
    "nan": (lambda t, _: t * torch.nan, "3072 are not"),
    "dropout": (lambda t, _: torch.nn.functional.dropout(t), "dropout or another random draw that is always on"),
    "batch": (lambda t, _: t - t.mean(0), "statistics over the batch"),
    "in place": (in_place, "the network writes into its input"),
    "raises": (lambda t, _: t.nothing, "AttributeError: 'Tensor' object has no attribute 'nothing' ("),
}  # fmt: skip


@pytest.mark.parametrize("name", FAULTY)
def test_check_names_the_fault_and_says_what_to_do(name: str) -> None:
    change, sentence = FAULTY[name]
    failed = [check.found for check in check_encoder(tubes_encoder(change)) if not check.passed]
    assert failed and any(sentence in found for found in failed), failed
    assert all("\n" not in found and len(found) < 400 for found in failed)


def test_a_good_encoder_fails_nothing_and_is_asked_eleven_questions() -> None:
    checks = list(check_encoder(tubes_encoder()))
    assert [check.passed for check in checks] == [True] * 11


def test_a_batch_norm_in_training_mode_is_found() -> None:
    def normalised(token_BND: torch.Tensor, _: torch.Tensor) -> torch.Tensor:
        map_BDN = token_BND.transpose(1, 2)
        return torch.nn.functional.batch_norm(map_BDN, None, None, training=True).transpose(1, 2)

    failed = [check for check in check_encoder(tubes_encoder(normalised)) if not check.passed]
    assert "a clip does not depend on its batch" in [check.question for check in failed]


def test_bfloat16_weights_have_a_digest_and_the_clash_with_float32_clips_is_explained() -> None:
    half = Tubes().to(torch.bfloat16)
    assert weights_sha256(half) == weights_sha256(Tubes().to(torch.bfloat16)) != weights_sha256(Tubes())
    (failed,) = [check for check in check_encoder(as_encoder(half, name="half", **SHAPE)) if not check.passed]
    assert "its weights are torch.bfloat16 and clips float32: call network.float()" in failed.found


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"mean": (0.5, 0.5)}, "mean is (0.5, 0.5); give three numbers"),
        ({"mean": 0.5}, "mean is 0.5; give three numbers"),
        ({"std": (0.5, 0.0, 0.5)}, "std is (0.5, 0.0, 0.5); give values for colours from 0 to 1"),
        ({"mean": (123.7, 116.3, 103.5)}, "divide values for 0 to 255 by 255"),
        ({"std": (float("nan"),) * 3}, "give values for colours from 0 to 1"),
        ({"grid": (4, 4)}, "the grid is (4, 4); give three whole numbers"),
        ({"grid": (4.0, 4, 4)}, "give three whole numbers"),
        ({"grid": (8, 4, 4)}, "has 8 time slots, but 8 frames in tubelets of 2 make 4; its order is time slots"),
        ({"num_frames": "8"}, "num_frames"),
    ],
)
def test_numbers_that_cannot_be_are_refused(changed: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError) as caught:
        tubes_encoder(**changed)
    assert sentence in str(caught.value)


MODULES = {
    "syntax": (
        "def build(:\n",
        "'faulty_syntax' cannot be imported: SyntaxError: invalid syntax (faulty_syntax.py, line 1)",
    ),
    "missing": (
        "\nimport not_here_at_all\n",
        "No module named 'not_here_at_all' (faulty_missing.py, line 2); install it",
    ),
    "raising": ("1 / 0\n", "cannot be imported: ZeroDivisionError: division by zero (faulty_raising.py, line 1)"),
    "leaving": ("import sys\nsys.exit(3)\n", "it ends the program (SystemExit: 3 (faulty_leaving.py, line 2))"),
    "arguments": ("def build(config): pass\n", "is called without arguments (missing a required argument: 'config')"),
    "failing": (
        "def build():\n    raise KeyError('x')\n",
        "faulty_failing:build fails: KeyError: 'x' (faulty_failing.py, line 2, in build)",
    ),
    "file": (
        "def build():\n    open('/nowhere/at.pt')\n",
        "No such file or directory: '/nowhere/at.pt' (faulty_file.py, line 2",
    ),
    "value": ("build = 3\n", "faulty_value:build is an object of type int, not a function"),
    "nothing": ("def build():\n    pass\n", "faulty_nothing:build returns None, which has no 'card'"),
    "generator": ("def build():\n    yield 1\n", "is a generator or async function"),
    "module": (
        "import torch\ndef build():\n    return torch.nn.Identity()\n",
        "returns an object of type Identity, which has no 'card' and 'encode'",
    ),
    "no_network": (
        "from tests.models.tubes import SHAPE\nfrom sigma_bench.models.custom_encoder import as_encoder\n"
        "def build():\n    return as_encoder(lambda clip: clip, name='x', **SHAPE)\n",
        "as_encoder 'x': the network is an object of type function, not a torch.nn.Module",
    ),
    "meta": (
        "import torch\nfrom tests.models.tubes import SHAPE, Tubes\n"
        "from sigma_bench.models.custom_encoder import as_encoder\n"
        "def build():\n    return as_encoder(Tubes().to('meta'), name='x', **SHAPE)\n",
        "the weight 'embed.bias' has no values yet",
    ),
}


@pytest.mark.parametrize("name", MODULES)
def test_a_module_that_fails_is_one_sentence_with_its_line(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    source, sentence = MODULES[name]
    (tmp_path / f"faulty_{name}.py").write_text(source)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    code, out, err = run(monkeypatch, capsys, "check", f"faulty_{name}:build")
    assert (code, out) == (2, "") and len(err.splitlines()) == 1
    assert sentence in err


def test_packages_and_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "faulty_package").mkdir()
    (tmp_path / "faulty_package" / "__init__.py").write_text(textwrap.dedent("import not_here_either\n"))
    (tmp_path / "faulty_package" / "models.py").write_text("")
    (tmp_path / "plain_file.py").write_text("")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(
        ValueError, match=r"'faulty_package' cannot be imported: .*'not_here_either'.*__init__.py, line 1"
    ):
        load_encoder("faulty_package.models:build")
    with pytest.raises(ValueError, match=r"'plain_file\.py' is a file; name its module, as in 'plain_file:build'"):
        load_encoder("plain_file.py:build")
    for name in ("plain_file.part:build", "not_there.part:build"):
        with pytest.raises(ValueError, match=r"No module '.*part' can be imported from here"):
            load_encoder(name)
