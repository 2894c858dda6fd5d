"""Directive ``import-diagram``: the packages in layers, as SVG inside the page, so that it has the theme's colours."""

from typing import Any

from docutils import nodes
from docutils.parsers.rst import Directive
from package_diagram import diagram, read_imports


class ImportDiagram(Directive):
    """The diagram; other output formats than HTML show nothing."""

    def run(self) -> list[nodes.Node]:
        return [nodes.raw("", diagram(*read_imports()), format="html")]


def setup(app: Any) -> dict[str, bool]:
    app.add_directive("import-diagram", ImportDiagram)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
