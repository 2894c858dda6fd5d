"""The pages of the protocols: every protocol and every condition is listed with the values of its file."""

import re
from pathlib import Path

import pytest

from sigma_bench.specs.catalogue import load_protocol, load_suite, load_variants, protocol_names

PAGES = Path(__file__).resolve().parents[2] / "docs" / "protocols"
INDEX = (PAGES / "index.md").read_text(encoding="utf-8")
ROBUSTNESS = (PAGES / "robustness.md").read_text(encoding="utf-8")
INCLUDED = re.compile(r"\{literalinclude\} (\S+)")


@pytest.mark.parametrize("name", protocol_names())
def test_a_protocol_is_in_the_table_with_its_kind_and_metric_and_its_page_shows_its_file(name: str) -> None:
    protocol = load_protocol(name)
    found = re.search(rf"^\| `{re.escape(name)}` \| \[`(\w+)`\]\((\S+)\) \| `(\w+)` \|", INDEX, re.MULTILINE)
    assert found is not None
    kind, page, metric = found.groups()
    assert (kind, metric) == (protocol.kind, protocol.metrics[0])
    assert f"../../tasks/protocols/{name}.yaml" in INCLUDED.findall((PAGES / page).read_text(encoding="utf-8"))


def test_the_table_lists_no_other_protocol() -> None:
    assert sorted(re.findall(r"^\| `([\w]+@\d+)` \|", INDEX, re.MULTILINE)) == protocol_names()


def test_files_that_pages_show_exist() -> None:
    for page in PAGES.glob("*.md"):
        for path in INCLUDED.findall(page.read_text(encoding="utf-8")):
            assert (page.parent / path).is_file(), f"{page.name}: {path}"


def test_severities_are_those_of_the_file() -> None:
    by_kind: dict[str, list[str]] = {}
    for overrides in load_variants("conditions").overrides.values():
        kind, *others = overrides["test_condition"]
        values = by_kind.setdefault(overrides["test_condition"][kind], [])
        if others:  # the severity, and the key that changes the clip
            value = overrides["test_condition"][others[1]]
            values.append(value if isinstance(value, str) else f"{value:g}")
    shown = dict(re.findall(r"^\| `(\w+)` \| ([^|]+) \| [^|]+ \|$", ROBUSTNESS, re.MULTILINE))
    assert {kind: ", ".join(values) or "none" for kind, values in by_kind.items()} == shown


def test_the_columns_of_severe_are_the_tasks_of_the_suite() -> None:
    rows = re.findall(r"^\| ([a-z ]+) \| [^|]+ \| `(\S+)` \|", ROBUSTNESS, re.MULTILINE)
    axes: dict[str, tuple[str, ...]] = {}
    for axis, task in rows:
        key = axis.replace(" ", "_")
        axes[key] = (*axes.get(key, ()), task)
    assert axes == load_suite("severe").axes
