"""Who imports whom, read from the source by `ast`: files, parts, levels, circles.

    python -m tests.imports [ROOT]     # the shape of each package of a checkout

A *part* of a package is a module or a folder right inside it. Imports inside functions
count like those at the top; imports under `if TYPE_CHECKING:` do too.
"""

import ast
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def parse(path):
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def imports(tree):
    """Every module that a file names in an import, and its line.

    `from a import b` gives both `a` and `a.b`: which of them is a module is for the
    reader of the tree to say.
    """
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, node.lineno
        elif isinstance(node, ast.ImportFrom):
            module = "." * node.level + (node.module or "")
            yield module, node.lineno
            for alias in node.names:
                yield f"{module}.{alias.name}", node.lineno
        elif isinstance(node, ast.Call) and "import_module" in ast.unparse(node.func):
            if node.args and isinstance(node.args[0], ast.Constant):
                yield node.args[0].value, node.lineno


def modules(root, packages):
    """Dict, the dotted name of each module of `packages` to its path."""
    found = {}
    for package in packages:
        for path in sorted((root / package).rglob("*.py")):
            name = path.relative_to(root).as_posix().removesuffix(".py")
            found[name.removesuffix("/__init__").replace("/", ".")] = path
    return found


def arrows(paths):
    """Dict, each module to the set of those of `paths` that it imports.

    A package file stands for the folder: `from a import b` of a module `a.b` is an
    arrow to `a.b` only.
    """
    graph = {}
    for name, path in paths.items():
        named = {target for target, _ in imports(parse(path))}
        found = {target for target in named if target in paths}
        inner = {t.rpartition(".")[0] for t in found if t.rpartition(".")[0] in found}
        packages = {t for t in inner if paths[t].name == "__init__.py"}
        graph[name] = found - packages - {name}
    return graph


def circles(graph):
    """The sets of nodes that reach each other (strongly connected, more than one)."""
    reach = {}
    for start in graph:
        seen, todo = set(), [start]
        while todo:
            for target in graph[todo.pop()]:
                if target not in seen:
                    seen.add(target)
                    todo.append(target)
        reach[start] = seen
    found = {
        frozenset({other for other in reach[node] if node in reach[other]} | {node})
        for node in graph
    }
    return sorted((sorted(group) for group in found if len(group) > 1), key=str)


def num_levels(graph):
    """The longest chain of imports, counted in nodes; circles count once."""
    depth = {}

    def visit(node, above=()):
        if node in above:
            return 0
        if node not in depth:
            below = [visit(target, (*above, node)) for target in graph[node]]
            depth[node] = 1 + max(below, default=0)
        return depth[node]

    return max((visit(node) for node in graph), default=0)


def parts(graph, package):
    """The arrows among the parts of a package: its modules and folders."""

    def part(name):
        return name.removeprefix(f"{package}.").partition(".")[0]

    inside = {name for name in graph if name.startswith(f"{package}.")}
    found = {part(name): set() for name in inside}
    for name in inside:
        targets = {part(target) for target in graph[name] if target in inside}
        found[part(name)] |= targets - {part(name)}
    return found


def main(root=ROOT):
    """Prints files, parts, levels, arrows and circles of each package of a checkout."""
    tops = sorted(
        path.parent.name
        for path in root.glob("*/__init__.py")
        if path.parent.name != "tests"
    )
    graph = arrows(modules(root, tops))
    row = "{:<12} {:>6} {:>6} {:>7} {:>7} {:>8}"
    print(row.format("package", "files", "parts", "levels", "arrows", "circles"))
    for top in tops:
        inner = parts(graph, top)
        files = [name for name in graph if name.partition(".")[0] == top]
        counts = (
            len(files),
            len(inner),
            num_levels(inner),
            sum(map(len, inner.values())),
        )
        print(row.format(top, *counts, len(circles(inner))))
    whole = {top: set() for top in tops}
    for name, targets in graph.items():
        top = name.partition(".")[0]
        whole[top] |= {target.partition(".")[0] for target in targets} - {top}
    arrows_of_files = sum(map(len, graph.values()))
    print(
        f"packages: {num_levels(whole)} levels, {sum(map(len, whole.values()))} arrows"
    )
    print(
        f"files: {len(graph)}, {num_levels(graph)} levels, {arrows_of_files} arrows, "
        f"{len(circles(graph))} circles {circles(graph) or ''}"
    )


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
