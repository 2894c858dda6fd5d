"""Every command and script in README, CONTRIBUTING and docs/ exists and, unless the page says why not, runs."""

import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

import sigma_bench as sb
from sigma_bench.resources import INCLUDE_VARIABLE
from sigma_bench.specs.strict import read_yaml
from tests.docs.pages import (
    DOCS,
    GENERATED,
    ONLY_PARSED,
    ROOT,
    Block,
    blocks,
    commands,
    figures,
    headings,
    inline_code,
    links,
    name_of,
    pages,
    tokens,
)
from tests.docs.shell import Reader, require_parsed, require_sound

LANGUAGES = ("sh", "python", "yaml", "toml", "text", "json", "csv", "markdown", "make")
RUN_ELSEWHERE = () if ONLY_PARSED.search((ROOT / "README.md").read_text()) else ("README.md",)
"""The README as long as it does not say which of its blocks are only parsed; ``tests/test_readme.py`` runs them."""
IDS = {"ids": name_of}


@pytest.mark.parametrize("page", pages(), **IDS)
def test_a_page_says_first_what_it_is_for(page: Path) -> None:
    first, second = [token for token in tokens(page) if token.level == 0 and token.type.endswith("_open")][:2]
    assert (first.type, first.tag, second.type) == ("heading_open", "h1", "paragraph_open")
    assert [token.tag for token in tokens(page) if token.type == "heading_open"].count("h1") == 1


@pytest.mark.parametrize("page", pages(), **IDS)
def test_blocks_can_be_parsed(page: Path) -> None:
    """Commands by the command line, scripts by Python, declarations by the reader of YAML."""
    for block in blocks(page):
        where = f"{name_of(page)}:{block.line}"
        assert block.language.startswith("{") or block.language in LANGUAGES, f"{where}: {block.language or 'none'}"
        if block.language == "sh":
            for command in commands(block.text):
                try:
                    require_sound(command)
                except Exception as error:
                    raise AssertionError(f"{where}: {command}: {error}") from error
        elif block.language == "python":
            compile(block.text, where, "exec")


@pytest.mark.parametrize("page", pages(), **IDS)
def test_yaml_can_be_read(page: Path, tmp_path: Path) -> None:
    for block in (block for block in blocks(page) if block.language == "yaml"):
        (tmp_path / "block.yaml").write_text(re.sub(r"^\.\.\. .*\n", "", block.text, flags=re.MULTILINE))
        assert read_yaml(tmp_path / "block.yaml")


@pytest.mark.parametrize("page", pages(), **IDS)
def test_names_in_the_text_exist(page: Path) -> None:
    """Commands, public functions and files of the project that a sentence names; new files are named in extending/."""
    for code in inline_code(page):
        if found := re.match(r"sigma-bench((?: [a-z]+)+)", code):
            first, *_ = found[1].split()
            require_parsed([first, "--help"])
        for name in re.findall(r"\bsb\.(\w+)", code):
            assert hasattr(sb, name), f"{name_of(page)}: {code}"
        if re.fullmatch(r"(sigma_bench|tests|docs)/[\w./@-]*", code) and page.parent != DOCS / "extending":
            assert (ROOT / code).exists(), f"{name_of(page)}: {code}"


@pytest.mark.parametrize("page", pages(), **IDS)
def test_links_and_figures_lead_somewhere(page: Path) -> None:
    for link in links(page):
        if re.match(r"(https?|mailto):", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if target.parent == DOCS and target.name in GENERATED:
            continue
        assert target.exists(), f"{name_of(page)}: {link}"
        assert not anchor or anchor in headings(target), f"{name_of(page)}: {link}"
    for figure in figures(page):
        assert (page.parent / figure).is_file(), f"{name_of(page)}: {figure}"


def test_every_page_is_in_the_table_of_contents() -> None:
    listed: set[Path] = {DOCS / "index.md"}
    for page in (page for page in pages() if page.is_relative_to(DOCS)):
        for block in (block for block in blocks(page) if block.language == "{toctree}"):
            entries = [line.strip() for line in block.text.splitlines() if line.strip() and not line.startswith(":")]
            listed |= {page.parent / f"{entry}.md" for entry in entries}
    assert listed == {page for page in pages() if page.is_relative_to(DOCS)} | {DOCS / name for name in GENERATED}


def run_blocks(page: Path) -> list[Block]:
    return [block for block in blocks(page) if block.is_run and block.language in ("sh", "python", "yaml", "csv")]


@pytest.fixture
def reader(world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Reader]:
    """A reader in an empty folder, whose modules, variables and folder are forgotten afterwards.

    All pages share one cache of features, since most of them evaluate the same model on the same clips.
    """
    monkeypatch.chdir(tmp_path)
    for output in ("results/runs", "runs"):
        (world.parent / "features_of_pages").mkdir(exist_ok=True)
        Path(output).mkdir(parents=True)
        Path(output, "features").symlink_to(world.parent / "features_of_pages")
    monkeypatch.setenv(INCLUDE_VARIABLE, "")
    before, path, variables = set(sys.modules), list(sys.path), dict(os.environ)
    with torch.random.fork_rng():
        yield Reader(tmp_path, world)
    for name in set(sys.modules) - before:
        if Path(getattr(sys.modules[name], "__file__", None) or "/").is_relative_to(tmp_path):
            del sys.modules[name]
    sys.path[:] = path
    os.environ.clear()
    os.environ |= variables


@pytest.mark.slow
@pytest.mark.parametrize("page", [page for page in pages() if run_blocks(page)], **IDS)
def test_blocks_run(page: Path, reader: Reader) -> None:
    """In the order of the page, in one folder that is empty at first."""
    if name_of(page) in RUN_ELSEWHERE:
        pytest.skip("tests/test_readme.py runs the blocks of this page")
    for block in run_blocks(page):
        try:
            reader.run(block)
        except (Exception, SystemExit) as error:
            raise AssertionError(f"{name_of(page)}:{block.line}: {error!r}") from error
