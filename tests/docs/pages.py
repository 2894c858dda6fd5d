"""The pages of the documentation as tests see them: blocks of code, commands, links and headings."""

import re
import shlex
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
GENERATED = ("cli.md", "datasets.md", "models.md")
"""Pages that ``docs/_extensions/generated_pages.py`` writes, so that they may be absent."""
PAGES = (
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md")),
    *sorted(path for path in DOCS.rglob("*.md") if path.name not in GENERATED),
)
"""Every page that is written by hand; ``CONTRIBUTING.md`` may be absent."""
ONLY_PARSED = re.compile(r"<!-- parsed only: (.+?) -->")
_FILE_COMMENT = re.compile(r"# (?P<file>[\w./-]+\.(?:py|yaml|csv))\b")
_HEREDOC = re.compile(r"<<-?\s*['\"]?(\w+)['\"]?")


@dataclass(frozen=True)
class Block:
    """A fenced block of code."""

    language: str
    text: str
    line: int
    """Number of the line of the fence, from 1."""
    is_run: bool
    """Whether a test runs it; otherwise the page states why it is only parsed."""

    @property
    def file(self) -> str | None:
        """The path in a comment on the first line, to which the block is written instead of being run."""
        found = _FILE_COMMENT.match(self.text)
        return found["file"] if found else None


def name_of(page: Path) -> str:
    """Path of a page in the repository."""
    return page.relative_to(ROOT).as_posix()


def pages() -> list[Path]:
    """The pages that are here."""
    return [page for page in PAGES if page.is_file()]


@cache
def tokens(page: Path) -> tuple[Token, ...]:
    """The Markdown tokens of a page."""
    return tuple(MarkdownIt("commonmark").enable("table").parse(page.read_text(encoding="utf-8")))


def blocks(page: Path) -> list[Block]:
    """The fenced blocks of a page, in order."""
    found = []
    is_run = True
    for token in tokens(page):
        if token.type == "fence":
            assert token.map is not None
            found.append(Block(token.info.strip(), token.content, token.map[0] + 1, is_run))
        is_run = not (token.type == "html_block" and ONLY_PARSED.search(token.content))
    return found


def commands(text: str) -> list[str]:
    """The commands of a shell block: one per line, or several lines with a backslash or a here-document."""
    found: list[str] = []
    lines = iter(text.replace("\\\n", " ").splitlines())
    for line in lines:
        command = line.strip()
        if end := _HEREDOC.search(command):
            body = iter(lines)
            command = "\n".join([command, *iter(lambda body=body: next(body), end[1]), end[1]])
        elif not shlex.split(command, comments=True):
            continue
        found.append(command)
    return found


def inline_code(page: Path) -> list[str]:
    """The texts in backticks outside of blocks."""
    return [child.content for child in _inline(page) if child.type == "code_inline"]


def links(page: Path) -> list[str]:
    """The targets of the links of a page."""
    return [str(child.attrs["href"]) for child in _inline(page) if child.type == "link_open"]


def figures(page: Path) -> list[str]:
    """The paths of the figures of a page."""
    return [str(child.attrs["src"]) for child in _inline(page) if child.type == "image"]


def _inline(page: Path) -> list[Token]:
    return [child for token in tokens(page) if token.type == "inline" for child in token.children or ()]


def headings(page: Path) -> list[str]:
    """The anchors of the headings of a page, as GitHub and MyST make them, and its explicit targets."""
    found = []
    for opening, text in zip(tokens(page), tokens(page)[1:], strict=False):
        if opening.type == "heading_open":
            words = "".join(child.content for child in text.children or ()).strip().lower()
            found.append(re.sub(r"[^\w\- ]", "", words).replace(" ", "-"))
    return [*found, *re.findall(r"^\(([\w-]+)\)=$", page.read_text(encoding="utf-8"), re.MULTILINE)]
