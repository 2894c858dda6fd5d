"""Files of the project beside the code: the changelog, the citation and the templates state what the package states."""

import re
from pathlib import Path
from typing import Any

import pytest

import sigma_bench
from sigma_bench.specs.strict import read_yaml

ROOT = Path(__file__).resolve().parents[2]
FORMS = sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml"))
INPUTS = {"textarea", "input", "dropdown", "checkboxes"}


def test_the_changelog_begins_with_the_version_of_the_package() -> None:
    versions = re.findall(r"^## \[([\d.]+)\]", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert versions[0] == sigma_bench.__version__
    assert versions == sorted(set(versions), key=lambda version: [int(part) for part in version.split(".")])[::-1]


def test_the_citation_names_the_package_and_the_paper() -> None:
    citation: dict[str, Any] = read_yaml(ROOT / "CITATION.cff")
    assert citation["version"] == sigma_bench.__version__
    assert (citation["title"], citation["license"], citation["type"]) == ("sigma-bench", "Apache-2.0", "software")
    (paper,) = citation["references"]
    assert paper["url"].endswith("/2407.15447") and len(paper["authors"]) == 6


@pytest.mark.parametrize("form", [form for form in FORMS if form.name != "config.yml"], ids=lambda path: path.stem)
def test_a_form_has_what_github_asks_for(form: Path) -> None:
    """Name, description, and inputs with one id each and a label."""
    content: dict[str, Any] = read_yaml(form)
    assert content.keys() == {"name", "description", "labels", "body"}
    ids = [part["id"] for part in content["body"]]
    assert len(set(ids)) == len(ids) > 1
    for part in content["body"]:
        assert part["type"] in INPUTS and part["attributes"]["label"]
    assert any(part.get("validations", {}).get("required") for part in content["body"])


def test_there_are_forms() -> None:
    assert {form.stem for form in FORMS} == {"config", "fault", "number", "request"}
