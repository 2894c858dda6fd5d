"""Encoders under names that other packages register."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sigma_bench.models.imported import identified_encoder
from sigma_bench.models.zoo import load_encoder
from tests.cli.test_cli import run
from tests.models.external_files import FeaturesOnly
from tests.models.tubes import Tubes, tubes_encoder

BUILD = "from tests.models.tubes import tubes_encoder\ndef build():\n    return tubes_encoder()\n"
Install = Callable[..., None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Put a package on the path: its name, its entry points, and the source of its module ``<name>_code``."""
    site = tmp_path / "site"
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.chdir(tmp_path)

    def put(package: str, source: str, **names: str) -> None:
        info = site / f"{package}-1.0.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
        lines = [f"{name} = {target}" for name, target in names.items()]
        (info / "entry_points.txt").write_text("\n".join(["[sigma_bench.encoders]", *lines]) + "\n")
        (site / f"{package}_code.py").write_text(source)

    yield put
    for name in [name for name in sys.modules if name.endswith("_code") and "." not in name]:
        del sys.modules[name]


def test_a_name_of_a_package_is_a_model(
    install: Install, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    install("tubular", BUILD, tubes_of_a_package="tubular_code:build")
    assert load_encoder("tubes_of_a_package").card.identity == tubes_encoder().card.identity
    code, out, _ = run(monkeypatch, capsys, "check", "tubes_of_a_package")
    assert code == 0 and "fails" not in out
    assert "tubes_of_a_package" in run(monkeypatch, capsys, "models")[1]
    with pytest.raises(ValueError, match=r"no model 'tubes_of_a_packag': .* Did you mean 'tubes_of_a_package'"):
        load_encoder("tubes_of_a_packag")


@pytest.mark.parametrize(
    ("source", "target", "sentence"),
    [
        ("import not_here_at_all\n", "build", "the module 'broken_code' cannot be imported: ModuleNotFoundError"),
        ("def build(size): pass\n", "build", "broken_code:build is called without arguments"),
        ("def build(): return 3\n", "build", "broken_code:build returns an object of type int, which has no 'card'"),
        ("1 / 0\n", "build", "ZeroDivisionError: division by zero"),
        (BUILD, "absent", "the module has no 'absent'"),
        (BUILD, "", "the encoder 'broken_model' is registered as broken_code; its package has to name a function"),
    ],
)
def test_a_package_that_does_not_work_is_one_sentence(
    install: Install,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    source: str,
    target: str,
    sentence: str,
) -> None:
    install("broken", source, broken_model=f"broken_code{':' if target else ''}{target}")
    with pytest.raises(ValueError) as caught:
        load_encoder("broken_model")
    assert sentence in str(caught.value)
    code, _, err = run(monkeypatch, capsys, "check", "broken_model")
    assert code == 2 and sentence in " ".join(err.split()) and "Traceback" not in err


def test_two_packages_with_one_name_are_both_named(install: Install) -> None:
    install("first", BUILD, tubes="first_code:build")
    install("second", BUILD, tubes="second_code:build")
    with pytest.raises(ValueError, match=r"'tubes' is registered by the package .* and by the package"):
        load_encoder("tubes")


def test_a_name_that_is_also_a_file_is_not_guessed(install: Install, tmp_path: Path) -> None:
    install("tubular", BUILD, tubes="tubular_code:build")
    (tmp_path / "tubes").mkdir()
    with pytest.raises(ValueError, match=r"write \./tubes for the file, or tubular_code:build for the encoder"):
        load_encoder("tubes")


def test_an_encoder_that_the_user_wrote_is_identified_by_its_code_once() -> None:
    encoder = FeaturesOnly(tubes_encoder())
    before = encoder.card
    first = identified_encoder(encoder).card
    assert first.identity != before.identity
    assert identified_encoder(encoder).card.identity == first.identity
    encoder._encoder = tubes_encoder(grid=(4, 2, 8))
    assert identified_encoder(encoder).card.identity != first.identity


def test_what_is_no_encoder_is_refused() -> None:
    with pytest.raises(ValueError, match=r"the encoder is an object of type Tubes, which has no 'card' and 'encode'"):
        identified_encoder(Tubes())
