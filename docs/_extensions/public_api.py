"""Autodoc for the public names of sigma_bench and sigma_bench.extend.

They are defined in other modules and imported when they are used.
"""

import re
from typing import get_type_hints

from docutils import nodes
from pydantic import BaseModel
from sphinx.addnodes import desc_content, pending_xref
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment

import sigma_bench
import sigma_bench.extend

CONSTRUCTED = ("Records",)
"""Classes of ``sigma_bench`` whose arguments are shown; objects of the others are returned by functions."""


def plain_types(cls: type[BaseModel]) -> None:
    """Replace the types of the fields of a declaration by those without limits, such as ``int`` for ``1 to 4096``."""
    plain = get_type_hints(cls)
    cls.__annotations__ = {name: plain[name] for name in cls.__annotations__}


def shorten_signature(
    app: Sphinx, what: str, name: str, obj: object, options: object, signature: str | None, returned: str | None
) -> tuple[str | None, str | None] | None:
    """No arguments for classes that users do not construct, and paths and checked texts as text."""
    if what == "class" and name.rpartition(".")[2] not in CONSTRUCTED:
        return "", None
    plain = re.sub(r"~?(?:typing\.)?Annotated\[str, ~?[\w.]+\([^()]*\)\]", "str", signature or "")
    return re.sub(r"PosixPath\(('[^']*')\)", r"\1", plain) or None, returned


def drop_aliases(app: Sphinx, what: str, name: str, obj: object, options: object, lines: list[str]) -> None:
    """No docstrings that Python gives to the fields of a named tuple."""
    lines[:] = [line for line in lines if not line.startswith("Alias for field number")]


def resolve_reference(
    app: Sphinx, env: BuildEnvironment, node: pending_xref, contnode: nodes.Node
) -> nodes.Node | None:
    """A link to a public name that a type refers to by the module in which it is defined; others stay plain text."""
    module, _, name = str(node.get("reftarget", "")).rpartition(".")
    if node.get("refdomain") != "py" or not module.startswith("sigma_bench."):
        return None
    public = next((each for each in (sigma_bench, sigma_bench.extend) if name in each.__all__), None)
    if public is None:
        return contnode
    domain = env.domains.python_domain
    return domain.resolve_xref(env, node["refdoc"], app.builder, "obj", f"{public.__name__}.{name}", node, contnode)


def set_dashes(app: Sphinx, doctree: nodes.document, page: str) -> None:
    """A dash, not two hyphens, between an argument and its description."""
    for content in doctree.findall(desc_content):
        for text in [text for text in content.findall(nodes.Text) if text == " -- "]:
            text.parent.replace(text, nodes.Text(" – "))


def setup(app: Sphinx) -> dict[str, bool]:
    public = [getattr(module, name) for module in (sigma_bench, sigma_bench.extend) for name in module.__all__]
    for cls in public:
        if isinstance(cls, type) and issubclass(cls, BaseModel):
            plain_types(cls)
    app.connect("autodoc-process-signature", shorten_signature)
    app.connect("autodoc-process-docstring", drop_aliases)
    app.connect("missing-reference", resolve_reference)
    app.connect("doctree-resolved", set_dashes)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
