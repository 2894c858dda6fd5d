"""The built documentation in headless Chromium: nothing is asked of another host, and every page fits a phone.

``make docs`` builds it; without it, or if a page has changed since, these tests are skipped.
"""

import shutil
from collections.abc import Iterator

import pytest

from tests.docs.pages import DOCS, ROOT

playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright: pip install -e '.[dev]'")
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
SITE = ROOT / "build" / "docs"
SOURCES = [path for path in DOCS.rglob("*") if path.suffix in (".md", ".py", ".css") and "examples" not in path.parts]


def is_built() -> bool:
    index = SITE / "index.html"
    return index.is_file() and index.stat().st_mtime > max(path.stat().st_mtime for path in SOURCES)


pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium: apt-get install chromium"),
    pytest.mark.skipif(not is_built(), reason="needs the current documentation: make docs"),
]
QUIET = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)
PHONE = {"width": 390, "height": 844}
PAGES = sorted(path.relative_to(SITE).as_posix() for path in SITE.rglob("*.html") if "_static" not in path.parts)


@pytest.fixture(scope="module")
def window() -> Iterator["playwright.Page"]:
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield browser.new_page()
        browser.close()


@pytest.mark.slow
def test_pages_ask_no_other_host_for_anything_and_fit_a_phone(window: "playwright.Page") -> None:
    """Only tables and code, which scroll inside their own containers, are wider than the screen."""
    asked: list[str] = []
    problems: list[str] = []
    wide = {}
    window.on("request", lambda request: asked.append(request.url))
    window.on("pageerror", lambda error: problems.append(str(error)))
    window.set_viewport_size(PHONE)
    for page in PAGES:
        window.goto((SITE / page).as_uri())
        width = window.evaluate("document.scrollingElement.scrollWidth")
        if width > PHONE["width"]:
            wide[page] = width
    assert len(asked) > len(PAGES)
    assert [url for url in asked if not url.startswith((f"{SITE.as_uri()}/", "data:", "blob:"))] == []
    assert (wide, problems) == ({}, [])


@pytest.mark.slow
def test_the_diagram_is_readable_in_light_and_dark(window: "playwright.Page") -> None:
    """Every name lies inside its box, and letters and boxes have other colours in the dark."""
    window.set_viewport_size(PHONE)
    colours = {}
    for scheme in ("light", "dark"):
        window.emulate_media(color_scheme=scheme)
        window.goto((SITE / "architecture.html").as_uri())
        boxes = window.locator(".import-diagram g")
        assert boxes.count() >= 17
        for box in boxes.all():
            text, frame = box.locator("text").bounding_box(), box.locator("rect").bounding_box()
            assert frame["x"] <= text["x"] and text["x"] + text["width"] <= frame["x"] + frame["width"]
            assert text["height"] >= 11
        colours[scheme] = window.evaluate(
            "[...document.querySelectorAll('.import-diagram g:first-of-type > *')].map(e => getComputedStyle(e).fill)"
        )
        assert len(set(colours[scheme])) == 2
    assert set(colours["light"]) & set(colours["dark"]) == set()
