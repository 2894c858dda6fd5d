"""Older records: read as today's, never rewritten, and one fixture per version."""

import json
from pathlib import Path

import pytest

from sigma_bench.records.store import Store
from sigma_bench.records.upgrade import SCHEMA_VERSION, UPGRADES, upgraded
from tests.factories import make_record

FIXTURES = Path(__file__).parent / "fixtures"


def test_every_older_version_has_a_step_and_a_fixture() -> None:
    assert sorted(UPGRADES) == list(range(2, SCHEMA_VERSION))
    assert {path.name for path in FIXTURES.iterdir()} == {f"schema_{version}" for version in UPGRADES}


@pytest.mark.parametrize("version", sorted(UPGRADES))
def test_fixtures_load_as_todays_records(version: int) -> None:
    store = Store(FIXTURES / f"schema_{version}")
    before = {path: path.read_bytes() for path in store.paths()}
    assert {json.loads(text)["schema_version"] for text in before.values()} == {version}
    for path, record in store.records():
        assert record.schema_version == SCHEMA_VERSION
        assert store.find(record.key()) == (record, path)
    assert {path: path.read_bytes() for path in store.paths()} == before


def test_a_record_of_schema_2_is_never_taken_for_a_new_evaluation() -> None:
    ((_, record),) = Store(FIXTURES / "schema_2").records()
    assert record.key()["encoder"]["code_sha256"] == "" and record.data.splits["test"].decoders == {}


def test_todays_content_is_left_alone() -> None:
    content = make_record().model_dump(mode="json")
    assert upgraded(content) is content


@pytest.mark.parametrize("version", [None, 1, SCHEMA_VERSION + 1, "1", True])
def test_an_unknown_version_is_refused(version: object) -> None:
    with pytest.raises(ValueError, match=r"schema version .* is unknown to this sigma-bench, which reads 2 to"):
        upgraded({"schema_version": version})
