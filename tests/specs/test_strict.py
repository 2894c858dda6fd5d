"""Strict reading of declarations: implicit types of YAML, typos, missing keys and wrong types."""

from typing import Annotated, Any, Literal

import pytest
from pydantic import Field, ValidationError

from sigma_bench.specs.strict import Spec, load_spec, parse_spec, quoted_scalar, read_scalar, read_yaml, suggestion


class Cat(Spec):
    animal: Literal["cat"]
    whiskers: int


class Dog(Spec):
    animal: Literal["dog"]
    tail_metres: float


class Zoo(Spec):
    name: str
    rate: float
    open_hours: tuple[int, ...]
    star: Annotated[Cat | Dog, Field(discriminator="animal")]
    places: dict[str, Dog] = Field(default_factory=dict)


ZOO = """\
name: Artis
rate: 1.5e-4
open_hours: [9, 18]
star: {animal: cat, whiskers: 24}
"""


@pytest.fixture
def write(tmp_path):
    def to_file(text: str | bytes):
        path = tmp_path / "spec.yaml"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return to_file


def value_of(path) -> Any:
    return read_yaml(path)["key"]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-4", 1e-4), ("1E5", 1e5), ("-2e+3", -2000.0), ("1.5e-4", 1.5e-4), (".5", 0.5), ("1.", 1.0),
        ("0", 0), ("-7", -7), ("+5", 5), ("120", 120), ("true", True), ("false", False), ("null", None), ("", None),
        ('"no"', "no"), ("'010'", "010"), ("2024-01-01", "2024-01-01"), ("knn@1", "knn@1"), ("v1.2.3", "v1.2.3"),
    ],
)  # fmt: skip
def test_scalars_are_what_they_look_like(write, text, value):
    found = value_of(write(f"key: {text}\n"))
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("no", "no"), ("yes", "yes"), ("on", "on"), ("Off", "Off"), ("n", "n"), ("True", True), ("FALSE", False),
        ("NULL", None), ("010", 10), ("00", 0), ("-010", -10), ("0x1F", 31), ("0o17", 15), ("16:20", "16:20"),
        ("1:02:03", "1:02:03"),
    ],
)  # fmt: skip
def test_scalars_that_yaml_versions_disagree_on_are_those_of_yaml_1_2(write, text, value):
    found = value_of(write(f"key: {text}\n"))
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("whiskers: 24", "whiskers: no", r"'star\.cat\.whiskers': .* integer, got 'no'"),
        ("whiskers: 24", "whiskers: 16:20", r"'star\.cat\.whiskers': .* integer, got '16:20'"),
        ("rate: 1.5e-4", "rate: .inf", "'rate': Input should be a finite number, got inf"),
        ("rate: 1.5e-4", "rate: .nan", "'rate': Input should be a finite number, got nan"),
        ("name: Artis", "name: 010", "'name': Input should be a valid string, got 10"),
    ],
)
def test_a_scalar_of_another_type_is_refused(write, old, new, message):
    with pytest.raises(ValueError, match=message):
        load_spec(Zoo, write(ZOO.replace(old, new)))


@pytest.mark.parametrize("text", ["key: 1\nkey: 2\n", "outer: {key: 1, key: 2}\n", "outer:\n  key: 1\n  key: 1\n"])
def test_duplicate_keys_are_refused(write, text):
    with pytest.raises(ValueError, match=r'line \d: .*duplicate key "key"'):
        read_yaml(write(text))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- 1\n", "expected a mapping"),
        ("", "expected a mapping"),
        ("a: [1\n", "line 2: not valid YAML"),
        ("a: b: c\n", "line 1: not valid YAML"),
        ("a: !!python/name:os.system\n", "line 1: tags"),
        ("a: !!int ''\n", "line 1: tags"),
        ("%YAML 1.1\n---\na: no\n", "line 1: directives"),
        ("# x\n%YAML 9.9\n---\na: no\n", "line 2: directives"),
        ("? [a]\n: 1\n", "line 1: a key must be a plain word or number"),
        ("a: &x [1]\nb: [*x, *x]\n", "line 1: anchors and aliases"),
        ("a: " + 5_000 * "[", "line 1: nested deeper than 32 levels"),
        (5_000 * "- " + "a", "line 1: nested deeper than 32 levels"),
        ("a: " + 5_000 * "9" + "\n", "integer string conversion"),
        ("# " + (1 << 20) * "x", "larger than 1,048,576 bytes"),
        (b"a: \xff\xfe\n", "can't decode"),
    ],
)
def test_what_is_no_declaration_names_the_file(write, text, message):
    path = write(text)
    with pytest.raises(ValueError, match=message) as caught:
        read_yaml(path)
    assert str(caught.value).startswith(f"{path}: ")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"absent\.yaml: cannot be read \(No such file"):
        read_yaml(tmp_path / "absent.yaml")


def test_a_whole_declaration_is_loaded_and_lists_become_tuples(write):
    zoo = load_spec(Zoo, write(ZOO))
    assert zoo == Zoo(name="Artis", rate=1.5e-4, open_hours=(9, 18), star=Cat(animal="cat", whiskers=24))
    assert isinstance(zoo.open_hours, tuple)


def test_lists_inside_dictionaries_become_tuples_too():
    class Nested(Spec):
        pairs: dict[str, tuple[tuple[int, int], ...]]

    nested = parse_spec(Nested, {"pairs": {"a": [[1, 2], [3, 4]]}}, where="here")
    assert nested.pairs == {"a": ((1, 2), (3, 4))}


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("rate:", "rte:", r"unknown key 'rte'\. Did you mean 'rate'\?|the key 'rate' is missing"),
        ("name: Artis", "name: Artis\nnam: x", r"unknown key 'nam'\. Did you mean 'name'\?"),
        ("whiskers: 24", "whiskers: 24, wiskers: 1", r"'star\.cat\.wiskers'\. Did you mean 'whiskers'\?"),
        ("name: Artis", "name: Artis\nqqq: 1", r"unknown key 'qqq'\. Known: name, open_hours, places, rate, star"),
        ("rate: 1.5e-4\n", "", "the key 'rate' is missing"),
        ("whiskers: 24", "", r"the key 'star\.cat\.whiskers' is missing"),
        ("rate: 1.5e-4", "rate: fast", r"key 'rate': Input should be a valid number, got 'fast'"),
        ("rate: 1.5e-4", 'rate: "1"', r"key 'rate': Input should be a valid number, got '1'"),
        ("[9, 18]", "[9, 18.5]", r"key 'open_hours\.1': .* got 18\.5"),
        ("[9, 18]", "9", r"key 'open_hours': Input should be a valid tuple, got 9"),
        ("whiskers: 24", "whiskers: true", r"key 'star\.cat\.whiskers': .* integer, got True"),
        ("animal: cat", "animal: cow", "key 'star': .*'cow'"),
        ("name: Artis", "name: Artis\nplaces: {den: {animal: dog, tail_meters: 1.0}}", r"'places\.den\.tail_met"),
    ],
)
def test_mistakes_name_file_and_key(write, old, new, message):
    assert ZOO.count(old) == 1
    path = write(ZOO.replace(old, new))
    with pytest.raises(ValueError, match=message) as caught:
        load_spec(Zoo, path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


def test_several_mistakes_are_counted(write):
    with pytest.raises(ValueError, match=r"\(and 1 more\)"):
        load_spec(Zoo, write(ZOO.replace("rate: 1.5e-4", "rate: fast\nextra: 1")))


def test_whole_numbers_are_fine_where_a_float_is_asked(write):
    assert load_spec(Zoo, write(ZOO.replace("1.5e-4", "2"))).rate == 2.0


def test_specs_do_not_change():
    cat = Cat(animal="cat", whiskers=3)
    with pytest.raises(ValidationError, match="frozen"):
        cat.whiskers = 4


def test_nearest_suggests_or_lists():
    assert suggestion("liner", ["knn", "linear"]) == " Did you mean 'linear'?"
    assert suggestion("zzz", ["knn", "linear"]) == " Known: knn, linear."
    assert suggestion("zzz", []) == ""


@pytest.mark.parametrize(
    "text",
    [
        *(
            "plain",
            "two words",
            "",
            " ",
            "null",
            "True",
            "1e3",
            "010",
            "0x1F",
            ".inf",
            "2024-01-01",
            "a: b",
            "a #b",
            "#b",
        ),
        *(
            "{a}",
            "[a]",
            "a, b",
            "'",
            '"',
            "\\",
            "\\n",
            "\n",
            "\t",
            "\x00",
            "\x1b[31m",
            "\x7f",
            "\x85",
            "\u2028",
            "\ufeff",
        ),
        *(
            "%",
            "&a",
            "*a",
            "!t",
            "|",
            ">",
            "---",
            "...",
            "- a",
            "?",
            "é",
            "\U0001f600",
            "\ue000",
            "\U000e0001",
            "x" * 300,
        ),
    ],
)
def test_a_written_text_is_read_again_unchanged(text: str) -> None:
    written = quoted_scalar(text)
    assert read_scalar(written) == text and written.isprintable()
    assert read_scalar(f"{{a: {written}, b: [{written}]}}  # end") == {"a": text, "b": [text]}


def test_text_that_is_not_utf_8_is_not_written() -> None:
    with pytest.raises(ValueError, match="not text in UTF-8; rename it"):
        quoted_scalar("bad\udce9")
