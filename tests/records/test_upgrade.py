"""Older records: read as today's, never rewritten, and one fixture per version."""

import json
from pathlib import Path

import pytest

from sigma_bench.records.store import Store
from sigma_bench.records.upgrade import SCHEMA_VERSION, UPGRADES, upgraded
from tests.factories import make_record

FIXTURES = Path(__file__).parent / "fixtures"


def test_every_older_version_has_a_step_and_a_fixture() -> None:
    assert sorted(UPGRADES) == list(range(1, SCHEMA_VERSION))
    assert {path.name for path in FIXTURES.iterdir()} == {f"schema_{version}" for version in UPGRADES}


@pytest.mark.parametrize("version", sorted(UPGRADES))
def test_a_fixture_loads_as_todays_record(version: int) -> None:
    store = Store(FIXTURES / f"schema_{version}")
    (path,) = store.paths()
    before = path.read_bytes()
    assert json.loads(before)["schema_version"] == version
    ((_, record),) = store.records()
    assert record.schema_version == SCHEMA_VERSION
    assert path.read_bytes() == before
    assert store.find(record.key()) == (record, path)


def test_schema_1_intervals_are_plain_percentiles() -> None:
    ((path, record),) = Store(FIXTURES / "schema_1").records()
    printed = json.loads(path.read_text())["scores"]
    assert [score["interval"]["method"] for score in printed] == ["bootstrap", "bootstrap"]
    assert [score.interval.method for score in record.scores] == ["percentile", "percentile"]
    assert [score.interval.low for score in record.scores] == [score["interval"]["low"] for score in printed]


def test_todays_content_is_left_alone() -> None:
    content = make_record().model_dump(mode="json")
    assert upgraded(content) is content


@pytest.mark.parametrize("version", [None, 0, SCHEMA_VERSION + 1, "1", True])
def test_an_unknown_version_is_refused(version: object) -> None:
    with pytest.raises(ValueError, match=r"schema version .* is unknown to this sigma-bench, which reads 1 to"):
        upgraded({"schema_version": version})
