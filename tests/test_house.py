"""The house rules: imports run one way, names occur once, modules are short, import is light."""

import ast
import collections
import functools
import graphlib
import subprocess
import sys

import pytest

from semlib.paths import ROOT

FILES = sorted((ROOT / "semlib").rglob("*.py"))
WORKS = ("morphology", "semclip", "semnr")
TWICE = ("plots.py", "__init__.py", "unet.py")  # one for each work
MOST_LINES = 15_760  # 11,000 for the house; few-shot pixels, restoring, dose, side by side on top


def module_of(file):
    """Dotted name of a file of the package."""
    return ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


MODULES = {module_of(file): file for file in FILES}


@functools.cache
def imports(name):
    """Modules of semlib that one imports anywhere, in functions, too."""
    imported = set()
    for node in ast.walk(ast.parse(MODULES[name].read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            imported |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name}: a relative import"
            imported |= {f"{node.module}.{alias.name}" for alias in node.names}
    modules = {part if part in MODULES else part.rpartition(".")[0] for part in imported}
    return modules & set(MODULES) - {name, "semlib"}


def area(name):
    """The subpackage of a module, such as "images"; "" for a module that lies on top."""
    parts = name.split(".")
    return parts[1] if len(parts) > 2 else ""


def offences(areas, forbidden):
    """Imports of `forbidden` areas by modules of `areas`."""
    for name in [name for name in MODULES if area(name) in areas]:
        yield from (f"{name} -> {other}" for other in imports(name) if area(other) in forbidden)


def test_imports_make_no_circle():
    graph = {name: imports(name) for name in MODULES}
    for name, file in MODULES.items():
        if file.name == "__init__.py":  # a package may offer what its modules define
            graph[name] = {other for other in graph[name] if not other.startswith(f"{name}.")}
    assert [*graphlib.TopologicalSorter(graph).static_order()]


def test_imports_run_one_way():
    for work in WORKS:
        assert [*offences([work], set(WORKS) - {work})] == [], "works never import each other"
    assert [*offences(["images"], {*WORKS, "reproduce", "teaching"})] == []
    assert [*offences(WORKS, {"reproduce", "teaching"})] == []


def test_no_base_name_occurs_twice():
    counts = collections.Counter(file.name for file in FILES)
    assert {name for name, count in counts.items() if count > 1} <= set(TWICE)


def test_modules_are_short_and_the_package_is_thin():
    lines = {module_of(file): len(file.read_text("utf-8").splitlines()) for file in FILES}
    assert {name: count for name, count in lines.items() if count > 250} == {}
    assert sum(lines.values()) <= MOST_LINES


@pytest.mark.parametrize("module", ["semlib", "semlib.paths", "semlib.__main__"])
def test_import_is_light(module):
    heavy = "{'torch', 'sklearn', 'matplotlib', 'pandas', 'papermill', 'nbformat', 'dask'}"
    code = (
        f"import sys, {module}\nassert not {heavy} & set(sys.modules), {heavy} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)
