"""The packages of sigma_bench in layers, drawn from their imports as SVG.

An arrow leads from a package to one that it imports; arrows that follow from others are left out.  The colours are
variables of the theme, so that the diagram is light or dark with the page.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from itertools import pairwise

import grimp

PACKAGE = "sigma_bench"
WIDTH, ROW, BOX_HEIGHT, GAP = 380, 64, 30, 6
"""Sizes in units of the drawing, which is as wide as the screen of a phone."""
DETOUR = 0.2
"""Width of a place where an arrow passes a row, in widths of a box."""
Imports = Mapping[str, frozenset[str]]


def read_imports(package: str = PACKAGE) -> tuple[Imports, frozenset[str]]:
    """The imports between the packages inside a package, and those that need no torch; type checking is left out."""
    graph = grimp.build_graph(
        package, include_external_packages=True, exclude_type_checking_imports=True, cache_dir=None
    )
    inner = {
        module.split(".")[1] for module in graph.modules if module.startswith(f"{package}.") and module.count(".") > 1
    }
    found: dict[str, set[str]] = {name: set() for name in inner}
    with_torch = set()
    for name in inner:
        for module in {f"{package}.{name}"} | graph.find_descendants(f"{package}.{name}"):
            targets = graph.find_modules_directly_imported_by(module)
            found[name] |= {t.split(".")[1] for t in targets if t.startswith(f"{package}.")} & inner - {name}
            with_torch |= {name} if "torch" in targets else set()
    imports = {name: frozenset(targets) for name, targets in found.items()}
    return imports, frozenset(n for n in inner if not ({n} | reachable(imports, n)) & with_torch)


def reachable(imports: Imports, name: str) -> frozenset[str]:
    """All packages that a package imports, also through others."""
    return frozenset().union(*({target} | reachable(imports, target) for target in imports[name]))


def essential(imports: Imports) -> Imports:
    """The imports without those that follow from others."""
    return {
        name: frozenset(t for t in targets if not any(t in reachable(imports, other) for other in targets))
        for name, targets in imports.items()
    }


def layer(imports: Imports, name: str) -> int:
    """The length of the longest chain of imports below a package."""
    return 1 + max((layer(imports, target) for target in imports[name]), default=-1)


Place = str | tuple[str, str, int]
"""A package, or the place at which an arrow between two packages passes a layer."""


def arranged(imports: Imports) -> tuple[list[list[Place]], list[list[Place]]]:
    """Layers from the lowest to the highest, and arrows as chains of places; neighbours are close to each other."""
    level = {name: layer(imports, name) for name in imports}
    rows: list[list[Place]] = [[] for _ in range(1 + max(level.values()))]
    for name in sorted(imports):
        rows[level[name]].append(name)
    chains: list[list[Place]] = []
    for name, targets in sorted(imports.items()):
        for target in sorted(targets):
            passed: list[Place] = [(name, target, row) for row in range(level[name] - 1, level[target], -1)]
            for place, row in zip(passed, range(level[name] - 1, level[target], -1), strict=True):
                rows[row].append(place)
            chains.append([name, *passed, target])
    near: dict[Place, list[Place]] = defaultdict(list)
    for one, other in (pair for chain in chains for pair in pairwise(chain)):
        near[one].append(other)
        near[other].append(one)
    for _ in range(12):  # every place moves to the mean of its neighbours
        x = _columns(rows)
        for row in rows:
            row.sort(key=lambda place: sum(x[n] for n in near[place]) / len(near[place]))
            x |= _columns([row])
    return rows, chains


def _columns(rows: Iterable[list[Place]]) -> dict[Place, float]:
    """The centre of every place; the boxes of all layers are equally wide, and each layer fills the width evenly."""
    x: dict[Place, float] = {}
    for row in rows:
        left, whole = 0.0, sum(map(_share, row))
        for place in row:
            x[place] = WIDTH * (left + _share(place) / 2) / whole
            left += _share(place)
    return x


def _share(place: Place) -> float:
    return 1.0 if isinstance(place, str) else DETOUR


def diagram(imports: Imports, without_torch: frozenset[str]) -> str:
    """The packages as an SVG element; its label holds all imports as text."""
    rows, chains = arranged(essential(imports))
    x = _columns(rows)
    y = {place: (len(rows) - 0.5 - index) * ROW for index, row in enumerate(rows) for place in row}
    most = max(sum(map(_share, row)) for row in rows)
    label = "; ".join(f"{name} imports {', '.join(sorted(found))}" for name, found in sorted(imports.items()) if found)
    return "\n".join(
        [
            f'<svg class="import-diagram" viewBox="0 0 {WIDTH} {len(rows) * ROW}" role="img" aria-label="{label}">',
            '<marker id="arrow" viewBox="0 0 6 6" refX="5" refY="3" markerWidth="6" markerHeight="6" orient="auto">',
            '<path d="M0,0 L6,3 L0,6 z"/></marker>',
            *(_arrow([(x[place], y[place]) for place in chain]) for chain in chains),
            *(_box(n, x[n], y[n], WIDTH / most - GAP, n in without_torch) for n in sorted(imports)),
            "</svg>",
        ]
    )


def _arrow(points: Sequence[tuple[float, float]]) -> str:
    """A curve through points of neighbouring layers, which passes the layers between its ends vertically."""
    half = BOX_HEIGHT / 2
    path = f"M{points[0][0]:.0f},{points[0][1] + half:.0f}"
    for (x0, y0), (x1, y1) in pairwise(points):
        middle = (y0 + y1) / 2
        path += f" C{x0:.0f},{middle:.0f} {x1:.0f},{middle:.0f} {x1:.0f},{y1 - half:.0f}"
        path += "" if (x1, y1) == points[-1] else f" V{y1 + half:.0f}"
    return f'<path d="{path}" marker-end="url(#arrow)"/>'


def _box(name: str, x: float, y: float, width: float, is_light: bool) -> str:
    kind = ' class="light"' if is_light else ""
    return (
        f'<g{kind}><rect x="{x - width / 2:.1f}" y="{y - BOX_HEIGHT / 2:.1f}" width="{width:.1f}" '
        f'height="{BOX_HEIGHT}" rx="5"/><text x="{x:.1f}" y="{y:.1f}">{escape(name)}</text></g>'
    )
