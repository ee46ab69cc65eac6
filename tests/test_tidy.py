"""The rules of the house, enforced: sizes, the purity of the core, documented commands, no keys and no machine's paths."""

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from command_tree import commands

from fixgw.cli import main

ROOT = Path(__file__).parents[1]
MODULES = sorted((ROOT / "fixgw").rglob("*.py"))
MAX_MODULE_LINES = 500
MAX_FUNCTION_LINES = 70
# what decides must be a function of its arguments: no clock, no randomness, no I/O, no threads, nothing that hides them
PURE_PACKAGES = ("core", "risk", "algos", "router")
# fmt: off
PURE_IMPORTS = frozenset((
    "__future__", "abc", "ast", "bisect", "collections", "contextlib", "copy", "dataclasses", "decimal",
    "enum", "functools", "hashlib", "heapq", "importlib", "itertools", "math", "msgspec", "numbers",
    "operator", "pkgutil", "re", "string", "struct", "types", "typing", "zlib",
))
# fmt: on
IMPURE_CALLS = frozenset(("open", "input", "print", "id", "hash", "exec", "eval", "breakpoint", "float"))
SKIPPED_FOLDERS = frozenset(
    (".git", ".venv", "__pycache__", ".mypy_cache", ".ruff_cache", ".pytest_cache", ".hypothesis", "dist", "build")
)


def relative(path: Path) -> str:
    return str(path.relative_to(ROOT))


def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def test_there_is_something_to_check() -> None:
    # algos and router come with their issues
    assert len(MODULES) > 30 and all((ROOT / "fixgw" / name).is_dir() for name in ("core", "risk"))


def test_no_module_is_too_long() -> None:
    sizes = {relative(path): len(path.read_text(encoding="utf-8").splitlines()) for path in MODULES}
    assert {path: size for path, size in sizes.items() if size > MAX_MODULE_LINES} == {}


def functions(module: ast.Module) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(module):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def length(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    assert function.end_lineno is not None
    return function.end_lineno - function.lineno + 1


def test_no_function_is_too_long() -> None:
    found = {
        f"{relative(path)}:{function.lineno} {function.name}": length(function)
        for path in MODULES
        for function in functions(tree(path))
        if length(function) > MAX_FUNCTION_LINES
    }
    assert found == {}


def imports(module: ast.Module) -> Iterator[tuple[int, str, list[str]]]:
    """(level, module, names); level 0 is absolute."""
    for node in ast.walk(module):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield 0, alias.name, []
        elif isinstance(node, ast.ImportFrom):
            yield node.level, node.module or "", [alias.name for alias in node.names]


def impurities(module: ast.Module, depth: int) -> list[str]:
    """What a pure module must not have. `depth`: its folders below fixgw/ (1 for fixgw/core/x.py)."""
    found = []
    for level, name, names in imports(module):
        if level == 0 and name.split(".")[0] == "fixgw":
            level, name = depth + 1, name.partition(".")[2]
        if level == 0:
            if name.split(".")[0] not in PURE_IMPORTS:
                found.append(f"import {name}")
        elif level > depth:
            # above its own package: only another pure one may be named
            for package in [name.split(".")[0]] if name else names:
                if package not in PURE_PACKAGES:
                    found.append(f"from fixgw import {package}")
        if "datetime" in names or "time" in names:
            found.append(f"from {name} import a clock")
    for node in ast.walk(module):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in IMPURE_CALLS:
            found.append(f"{node.func.id}() in line {node.lineno}")
    return found


@pytest.mark.parametrize("package", PURE_PACKAGES)
def test_what_decides_is_pure(package: str) -> None:
    found = {}
    for path in sorted((ROOT / "fixgw" / package).rglob("*.py")):
        bad = impurities(tree(path), len(path.relative_to(ROOT / "fixgw").parts) - 1)
        if bad:
            found[relative(path)] = bad
    assert found == {}


@pytest.mark.parametrize(
    "text",
    [
        "import time",
        "import random",
        "import os.path",
        "from datetime import datetime",
        "from ..journal import store",
        "from .. import engine",
        "from fixgw.venues import host",
        "def f(): return open('x')",
        "x = float('1')",
    ],
)
def test_the_check_of_purity_can_fail(text: str) -> None:
    assert impurities(ast.parse(text), 1)


@pytest.mark.parametrize("text", ["import msgspec", "from .ids import x", "from ..core import commands", "x = Decimal('1')"])
def test_the_check_of_purity_can_pass(text: str) -> None:
    assert impurities(ast.parse(text), 1) == []


EVERYTHING = sorted(commands(), key=lambda row: row[0])
COMMANDS = [(name, command) for name, command in EVERYTHING if not isinstance(command, click.Group)]


@pytest.mark.parametrize("name", [name for name, _ in EVERYTHING])
def test_every_command_has_help_with_an_example(name: str) -> None:
    result = CliRunner().invoke(main, [*name.split(), "--help"])
    assert result.exit_code == 0
    assert re.search(r"(?m)^\s*Examples?:", result.output), result.output
    assert f"fixgw {name}".strip() in result.output


@pytest.mark.parametrize("name", [name for name, _ in COMMANDS])
def test_every_command_is_in_the_readme(name: str) -> None:
    assert re.search(rf"`fixgw {re.escape(name)}\b", (ROOT / "README.md").read_text()), f"README.md does not name `fixgw {name}`"


def test_the_readme_names_only_commands_that_exist() -> None:
    known = {name for name, _ in COMMANDS} | {name.split()[0] for name, _ in COMMANDS}
    for words in re.findall(r"`(?:\.venv/bin/)?fixgw ([a-z]+(?: [a-z]+)?)", (ROOT / "README.md").read_text()):
        assert words in known or words.split()[0] in known, words


READS = ["check", "status", "sessions", "orders", "order", "fills", "positions", "limits", "decode"]


@pytest.mark.parametrize("name", READS)
def test_every_read_has_json(name: str) -> None:
    command = dict(COMMANDS)[name]
    assert any("--json" in parameter.opts for parameter in command.params), name


def committed() -> list[Path]:
    """The files of the repository as git sees them (ignored ones left out); all files where there is no git."""
    try:
        command = ["git", "-C", str(ROOT), "ls-files", "-co", "--exclude-standard", "-z"]
        listed = subprocess.run(command, capture_output=True, check=True).stdout.split(b"\0")
        found = [ROOT / name.decode() for name in listed if name]
    except (OSError, subprocess.CalledProcessError):
        found = []
    if not found:
        found = [path for path in ROOT.rglob("*") if not SKIPPED_FOLDERS & set(path.relative_to(ROOT).parts)]
    return [path for path in found if path.is_file()]


# put together here, so that this file does not hold what it looks for
KEY = re.compile(rb"-----BEGIN [A-Z ]*" + rb"PRIVATE KEY-----")
MACHINE_PATH = re.compile(rb"(?<![\w.])/(?:work" + rb"/|home/[a-z]|root" + rb"/|Users/[a-z])")


def test_no_private_key_is_committed() -> None:
    assert [relative(path) for path in committed() if KEY.search(path.read_bytes())] == []


def test_no_path_of_a_machine_is_committed() -> None:
    found = [relative(path) for path in committed() if MACHINE_PATH.search(path.read_bytes())]
    assert found == []


def test_the_checks_of_content_can_fail() -> None:
    assert KEY.search(b"-----BEGIN EC PRIVATE" + b" KEY-----") and MACHINE_PATH.search(b"cd /work" + b"/main")
    assert not MACHINE_PATH.search(b"a/work" + b"/b") and not KEY.search(b"-----BEGIN CERTIFICATE-----")


def test_licence_and_notice() -> None:
    assert "Apache License" in (ROOT / "LICENSE").read_text()
    acknowledgement = "This product includes software developed by quickfixengine.org (http://www.quickfixengine.org/)."
    assert acknowledgement in (ROOT / "NOTICE").read_text()


def test_scripts_can_be_run() -> None:
    for name in ("scripts/setup", "scripts/test", "scripts/check", "scripts/demo", ".ci/run"):
        path = ROOT / name
        assert path.stat().st_mode & 0o111, name
        subprocess.run(["bash", "-n", str(path)], check=True)


def test_the_tables_of_the_documents_are_those_of_the_code() -> None:
    from fixgw.docs import stale

    assert list(stale(ROOT / "fixgw")) == [], "run: python -m fixgw.docs --write"
