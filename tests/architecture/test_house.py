"""The house stands as ARCHITECTURE.md says: packages, layers, names, sizes."""

from __future__ import annotations

import ast
import importlib
import re
import subprocess
import sys
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.architecture.repository import PACKAGES, ROOT, files, shown, sources

TOP = {
    *PACKAGES, "tests", "bench", "docs", "deploy", ".ci",
    "Dockerfile", "Makefile", "pyproject.toml", "setup.py", "LICENSE", ".gitignore", ".dockerignore",
    "README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md", "THREAT_MODEL.md",
}  # fmt: skip
FORBIDDEN_NAMES = re.compile(r"(^|_)(utils?|helpers?|manager|base|common|misc)$")
LONGEST_FUNCTION = 60
LONG_FUNCTIONS_WITH_REASON = {
    ("control/dashboard/trends.py", "trends"): "a list of charts, one after another"
}
LONGEST_FILE = 400
LONGEST_TESTS = 600  # a test file may tell a longer story
LONGER_WITH_REASON = {
    "geo/dns/lane.py": "what calls each other in C stands in one module",
    "edge/pipeline.py": "the data path is read in one place, from top to bottom",
    "origin/contract.py": "one page holds all that plugins and origin promise each other",
}
# written apart so that this file does not name them
REGISTRIES = ("pypi" + ".org", "python" + "hosted.org", "registry." + "npmjs", "deb." + "debian.org")
PURE = ("edge/policy/", "edge/http/")
PURE_MODULES = {
    "__future__", "base64", "binascii", "bisect", "calendar", "collections", "dataclasses", "datetime",
    "email", "enum", "functools", "hashlib", "hmac", "http_sf", "ipaddress", "itertools", "json", "math",
    "operator", "re", "re2", "string", "types", "typing", "urllib",
}  # fmt: skip
IMPURE_CALLS = {"open", "print", "input", "now", "utcnow", "today"}


def tree(path: Path) -> ast.Module:
    with tokenize.open(path) as file:
        return ast.parse(file.read(), str(path))


def test_imports_go_in_one_direction_and_keep_to_the_contracts() -> None:
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-logo", "--no-cache"]
    linted = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert linted.returncode == 0, linted.stdout + linted.stderr


@pytest.mark.parametrize("name", PACKAGES)
def test_the_package_is_this_projects_own(name: str) -> None:
    package = importlib.import_module(name)
    assert package.__file__ is not None
    assert Path(package.__file__).resolve() == ROOT / name / "__init__.py"


def test_the_top_of_the_house_holds_only_what_people_look_for() -> None:
    assert {path.relative_to(ROOT).parts[0] for path in files()} - TOP == set()


def test_modules_are_named_for_what_they_do() -> None:
    assert [
        shown(path)
        for path in sources()
        if any(FORBIDDEN_NAMES.search(Path(part).stem) for part in path.relative_to(ROOT).parts)
    ] == []


def test_files_are_short_or_have_a_reason() -> None:
    lengths = {shown(path): len(path.read_bytes().splitlines()) for path in sources()}
    long = {
        name
        for name, lines in lengths.items()
        if lines > (LONGEST_TESTS if name.startswith("tests/") else LONGEST_FILE)
    }
    assert long - set(LONGER_WITH_REASON) == set(), "split it, or give the reason in LONGER_WITH_REASON"
    assert set(LONGER_WITH_REASON) <= set(lengths)


def test_every_module_says_what_it_is() -> None:
    silent = [
        shown(path)
        for path in sources(*PACKAGES, "docs", "bench")
        if (module := tree(path)).body and not ast.get_docstring(module)
    ]
    assert silent == []


def test_functions_have_one_idea() -> None:
    long = [
        f"{shown(path)}: {node.name} has {lines} lines"
        for path in sources(*PACKAGES, "docs", "bench")
        if "migrations" not in path.parts
        for node in ast.walk(tree(path))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (lines := (node.end_lineno or 0) - node.lineno + 1) > LONGEST_FUNCTION
        and (shown(path), node.name) not in LONG_FUNCTIONS_WITH_REASON
    ]
    assert long == []


def test_policy_and_http_values_do_nothing_but_think() -> None:
    deeds = [
        f"{shown(path)}:{line} {deed}"
        for path in sources("edge")
        if shown(path).startswith(PURE)
        for line, deed in impurities(tree(path))
    ]
    assert deeds == []


def impurities(module: ast.Module) -> Iterator[tuple[int, str]]:
    """What a module does beside thinking: the line, and what it imports or calls there."""
    for node in ast.walk(module):
        match node:
            case ast.Import(names=names):
                wanted = [name.name for name in names]
            case ast.ImportFrom(module=str(name)):
                wanted = [] if name.startswith(("edge.http", "edge.policy", "edge.position")) else [name]
            case ast.Call(func=ast.Name(id=called) | ast.Attribute(attr=called)) if called in IMPURE_CALLS:
                yield node.lineno, f"calls {called}()"
                continue
            case ast.AsyncFunctionDef() | ast.Await():
                yield node.lineno, "waits"
                continue
            case _:
                continue
        for name in wanted:
            if name.split(".")[0] not in PURE_MODULES:
                yield node.lineno, f"imports {name}"


def test_impurity_is_seen() -> None:
    module = ast.parse("import time\nfrom edge.store import memory\nasync def f(): open('x')\nimport re")
    assert sorted(impurities(module)) == [
        (1, "imports time"), (2, "imports edge.store"), (3, "calls open()"), (3, "waits"),
    ]  # fmt: skip


def test_nobodys_package_registry_is_named() -> None:
    for path in files():
        text = path.read_bytes()
        assert [host for host in REGISTRIES if host.encode() in text] == [], shown(path)


def test_tests_mirror_the_source() -> None:
    for path in sources("tests"):
        parts = path.relative_to(ROOT / "tests").parts
        if parts[0] in PACKAGES and path.stem.startswith("test_"):
            assert (ROOT / Path(*parts[:-1])).is_dir(), shown(path)
