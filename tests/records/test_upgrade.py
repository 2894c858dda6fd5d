"""Older records: read as today's, never rewritten, and one fixture per version."""

import json
from pathlib import Path

import pytest

from sigma_bench.records.record import Record
from sigma_bench.records.store import Store
from sigma_bench.records.upgrade import SCHEMA_VERSION, UPGRADES, upgraded
from sigma_bench.specs.fingerprint import task_fingerprint
from tests.factories import make_record

FIXTURES = Path(__file__).parent / "fixtures"


def test_every_older_version_has_a_step_and_a_fixture() -> None:
    assert sorted(UPGRADES) == list(range(3, SCHEMA_VERSION))
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


def test_keys_with_one_value_leave_records_of_schema_3() -> None:
    before = {path: json.loads(path.read_bytes()) for path in Store(FIXTURES / "schema_3").paths()}
    gone = {"knn": {"pooling"}, "propagation": {"frame_to_clip", "scored_frames", "void_label", "on_decode_failure"}}
    for path, record in Store(FIXTURES / "schema_3").records():
        protocol, was = record.task.protocol.model_dump(mode="json"), before[path]["task"]["protocol"]
        assert was.keys() - protocol.keys() == gone[record.task.protocol.kind]
        assert record.fingerprint == task_fingerprint(record.task) != before[path]["fingerprint"]
        assert record.scores == Record.model_validate_json(json.dumps(upgraded(before[path]))).scores


def test_todays_content_is_left_alone() -> None:
    content = make_record().model_dump(mode="json")
    assert upgraded(content) is content


@pytest.mark.parametrize("version", [None, 1, SCHEMA_VERSION + 1, "1", True])
def test_an_unknown_version_is_refused(version: object) -> None:
    with pytest.raises(ValueError, match=r"schema version .* is unknown to this sigma-bench, which reads 3 to"):
        upgraded({"schema_version": version})


def test_another_key_of_an_older_record_is_no_constant() -> None:
    content = json.loads(Store(FIXTURES / "schema_3").paths()[0].read_bytes())
    content["task"]["protocol"]["mixing"] = 3
    with pytest.raises(ValueError, match="mixing"):
        upgraded(content)
