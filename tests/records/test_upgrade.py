"""Older records: read as today's, never rewritten, and one fixture per version."""

import json
from pathlib import Path

import pytest

from sigma_bench.records.store import Store
from sigma_bench.records.upgrade import SCHEMA_VERSION, UPGRADES, upgraded
from sigma_bench.specs.base_protocol import RetiredProtocol
from sigma_bench.specs.fingerprint import task_fingerprint
from tests.factories import make_record

FIXTURES = Path(__file__).parent / "fixtures"


def test_every_older_version_has_a_step_and_a_fixture() -> None:
    assert sorted(UPGRADES) == list(range(1, SCHEMA_VERSION))
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


def test_schema_1_intervals_are_plain_percentiles() -> None:
    for path, record in Store(FIXTURES / "schema_1").records():
        written = json.loads(path.read_text())["scores"]
        assert [score["interval"]["method"] for score in written] == ["bootstrap", "bootstrap"]
        assert [score.interval.method for score in record.scores] == ["percentile", "percentile"]
        assert [score.interval.low for score in record.scores] == [score["interval"]["low"] for score in written]


def test_a_protocol_that_is_not_run_any_more_is_kept_as_it_was_written() -> None:
    knn, linear = (record for _, record in Store(FIXTURES / "schema_1").records())
    assert knn.task.protocol.kind == "knn"
    assert isinstance(linear.task.protocol, RetiredProtocol)
    assert linear.task.protocol.as_written["inverse_regularisation_grid"] == [0.1, 1.0]
    assert task_fingerprint(linear.task) == linear.fingerprint


def test_todays_content_is_left_alone() -> None:
    content = make_record().model_dump(mode="json")
    assert upgraded(content) is content


@pytest.mark.parametrize("version", [None, 0, SCHEMA_VERSION + 1, "1", True])
def test_an_unknown_version_is_refused(version: object) -> None:
    with pytest.raises(ValueError, match=r"schema version .* is unknown to this sigma-bench, which reads 1 to"):
        upgraded({"schema_version": version})
