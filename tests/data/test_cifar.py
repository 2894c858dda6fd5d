"""CIFAR's pickles: every pickle protocol is read, and any other file is refused in one sentence."""

import pickle
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sigma_bench.data.cifar import read_cifar
from sigma_bench.data.decoder import DecodeError

PIXELS = np.arange(2 * 3072, dtype=np.uint32).reshape(2, 3072).astype(np.uint8)
GOOD: dict[str, Any] = {"data": PIXELS, "fine_labels": [3, 99], "filenames": ["a.png", "b.png"], "batch_label": "x"}


class Call:
    """An object that pickles as a call and a state that is set on the result."""

    def __init__(self, function: Callable[..., object], arguments: tuple[object, ...], *state: object) -> None:
        self.parts = (function, arguments, *state)

    def __reduce__(self) -> tuple[object, ...]:
        return self.parts


def refusal(tmp_path: Path, content: bytes) -> str:
    (tmp_path / "train").write_bytes(content)
    with pytest.raises(DecodeError, match=r"train: not one of CIFAR's files \(") as refused:
        read_cifar(tmp_path / "train")
    assert str(refused.value).isprintable()
    return str(refused.value)


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("order", ["C", "F"])
def test_every_protocol_gives_the_same_content(tmp_path: Path, protocol: int, order: Any) -> None:
    (tmp_path / "train").write_bytes(pickle.dumps({**GOOD, "data": np.array(PIXELS, order=order)}, protocol=protocol))
    content = read_cifar(tmp_path / "train")
    assert np.array_equal(content.pop("data"), PIXELS)
    assert content == {key: value for key, value in GOOD.items() if key != "data"}


def test_a_file_as_python_2_wrote_it_is_read(tmp_path: Path) -> None:
    """The published files: bytes are text there, and the array's content is one long text."""

    def text(words: bytes) -> bytes:
        return b"U" + bytes([len(words)]) + words

    array = b"cnumpy.core.multiarray\n_reconstruct\nq\x01cnumpy\nndarray\nq\x02"
    array += b"K\x00\x85U\x01b\x87Rq\x03(K\x01K\x02M\x00\x0c\x86"
    array += (
        b"cnumpy\ndtype\nq\x04U\x02u1K\x00K\x01\x87Rq\x05(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89"
    )
    array += b"T" + struct.pack("<i", PIXELS.size) + PIXELS.tobytes() + b"tb"
    names = b"](" + text(b"a.png") + text(b"b.png") + b"e"
    labels = b"](K\x03K\x63e"
    body = text(b"filenames") + names + text(b"fine_labels") + labels + text(b"data") + array
    (tmp_path / "train").write_bytes(b"\x80\x02}q\x00(" + body + b"u.")
    content = read_cifar(tmp_path / "train")
    assert np.array_equal(content["data"], PIXELS)
    assert (content["filenames"], content["fine_labels"]) == (["a.png", "b.png"], [3, 99])


def test_no_name_of_the_file_is_called(tmp_path: Path) -> None:
    """NumPy's constructors are refused too, because they could build arrays of pointers from the file."""
    touched = tmp_path / "touched"
    assert "refers to" in refusal(tmp_path, pickle.dumps({"data": Call(Path.touch, (touched,))}))
    assert not touched.exists()
    pointers = Call(np.ndarray, ((2,), np.dtype("O"), b"\x41" * 16))
    assert "something other than numbers" in refusal(tmp_path, pickle.dumps({**GOOD, "fine_labels": pointers}))
    disguised = Call(np.dtype, ("V8",), (3, "|", None, ("a",), {"a": (np.dtype("O"), 0)}, 8, 1, 0))
    refusal(tmp_path, pickle.dumps({**GOOD, "data": Call(np.ndarray, ((2, 4), disguised, b"\x42" * 64))}))
    named = Call(np.dtype, ("u1",), (3, "|", None, ("a",), {"a": (np.dtype("O"), 0)}, 8, 1, 0))
    refusal(tmp_path, pickle.dumps({**GOOD, "data": named}))
    called = Call(np.ndarray, ((2, 3072), np.dtype("u1"), PIXELS.tobytes()))
    assert "calls numpy.ndarray" in refusal(tmp_path, pickle.dumps({**GOOD, "data": called}))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"text",
        b"}K\x01a.",
        b"\x80\x02]K\x00K\x01s.",
        b"\x80\x04\x95" + b"\xff" * 8 + b"}.",
        b"\x80\x04\x8d" + b"\xff" * 7 + b"\x0f.",
        b"\x80\x02}r\xff\xff\xff\x7fh\x05.",
        b"\x80\x02N" + b"\x85" * 300_000 + b".",
        b"\x80\x02}N" + b"\x85" * 200_000 + b"K\x01s.",
        b"\x80\x02" + b"]" * 300_000 + b"a" * 299_999 + b".",
        b"\x80\x02}(X\x01\x00\x00\x00x\x85" + b"".join(b"q%ch%c\x86" % (i, i) for i in range(64)) + b"K\x01u.",
        b"\x80\x02}(X\x04\x00\x00\x00dataL" + b"9" * 100_000 + b"L\nu.",
        b"cos\nsystem\n(S'echo this must not run'\ntR.",
        b"\x80\x02c_codecs\nencode\nX\x50\x00\x00\x00" + b"x" * 80 + b"X\x06\x00\x00\x00latin1\x86q\x00R"
        + b"0c_codecs\nencode\nh\x00R" * 200,
    ],
)  # fmt: skip
def test_damaged_and_hostile_pickles_are_one_sentence(tmp_path: Path, content: bytes) -> None:
    """A frame and a text longer than memory, a far memo, deep tuples and lists, a key of 2^64 parts, copies."""
    refusal(tmp_path, content)


def test_an_array_does_not_grow_beyond_its_file(tmp_path: Path) -> None:
    shape = pickle.dumps({**GOOD, "data": PIXELS}, protocol=2).replace(
        b"K\x02M\x00\x0c\x86", b"J\xff\xff\xff\x1fM\x00\x0c\x86"
    )
    assert "fewer or more bytes than its shape requires" in refusal(tmp_path, shape)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"data": PIXELS[:1]}, "'fine_labels' is not a list of 1 entries"),
        ({"data": PIXELS[:, :5]}, "'data' is not an array of bytes with 3072 columns"),
        ({"data": PIXELS * np.nan}, "'data' is not an array of bytes"),
        ({"data": None}, "'data' is not an array of bytes"),
        ({"data": [1, 2]}, "'data' is not an array of bytes"),
        ({"fine_labels": None}, "'fine_labels' is not a list of 2 entries"),
        ({"fine_labels": [1]}, "'fine_labels' is not a list of 2 entries"),
        ({"fine_labels": [-5, 0]}, "whole numbers from 0 to 99"),
        ({"fine_labels": [10**30, 0]}, "whole numbers from 0 to 99"),
        ({"fine_labels": [True, 0.5]}, "whole numbers from 0 to 99"),
        ({"fine_labels": ["x", "y"]}, "whole numbers from 0 to 99"),
        ({"filenames": [0, 1]}, "'filenames' is not a list of names"),
        ({"filenames": ["../../x\x1b]0;x\x07", "b"]}, "not a plain name"),
        ({"fine_label_names": ["a", "a"]}, "'fine_label_names' names a class twice"),
    ],
)
def test_wrong_contents_are_one_sentence(tmp_path: Path, change: dict[str, Any], words: str) -> None:
    assert words in refusal(tmp_path, pickle.dumps({**GOOD, **change}, protocol=2))
