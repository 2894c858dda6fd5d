"""Settings of the documentation: ``make docs`` builds it to ``build/docs``.

No page asks another host for anything: the theme has no web fonts, and no extension loads a script from a network.
"""

import sys
from pathlib import Path

DOCS = Path(__file__).resolve().parent
sys.path[:0] = [str(DOCS / "_extensions"), str(DOCS.parent)]

import sigma_bench  # noqa: E402

project = "sigma-bench"
version = release = sigma_bench.__version__
project_copyright = "the authors of sigma-bench"

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
    "generated_pages",
    "import_diagram",
    "public_api",
]
exclude_patterns = ["_extensions"]
smartquotes = False  # they turn the dashes of options into others
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 4

nitpicky = True
# There are no inventories of other projects without a network, so only the names of this project are checked.
nitpick_ignore_regex = [(r"py:.*", r"(?!sigma_bench).*")]
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_use_type_comments = False
napoleon_numpy_docstring = False
maximum_signature_line_length = 80
toc_object_entries_show_parents = "hide"

html_theme = "furo"
html_title = f"sigma-bench {release}"
html_static_path = ["_static"]
html_css_files = ["sigma_bench.css"]
html_copy_source = False
html_show_sourcelink = False
pygments_style = "friendly"
pygments_dark_style = "monokai"
copybutton_exclude = ".linenos, .gp, .go"
