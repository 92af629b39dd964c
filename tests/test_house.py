"""The house rules that a machine can see, each one shown to catch an offender before it is held against the tree."""

from __future__ import annotations

import ast
import importlib.util
import re
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest
import torch

ROOT = Path(__file__).resolve().parents[1]
LIBRARY = ("sde_diffusion/", "solvers/")
SPEAKING = ("sde_diffusion/cli/", "sde_diffusion/report/")  # rooms that may print
LONGEST_FILE, LONGEST_FUNCTION = 400, 60  # lines
LARGEST_FILE, LARGEST_SUMMARY = 250_000, 50_000  # bytes: git keeps every version for ever
DRAWS = re.compile(r"torch\.((rand|randn|randint)(_like)?|randperm|normal|bernoulli|multinomial|poisson)")
DRAWS_IN_PLACE = re.compile(r".*(?<!init)\.(normal|log_normal|uniform|random|bernoulli|exponential|cauchy|geometric)_")
Functions = (ast.FunctionDef, ast.AsyncFunctionDef)


class Source(NamedTuple):
    """A Python file: its path from the root with forward slashes, and its text."""

    path: str
    text: str

    @property
    def tree(self) -> ast.Module:
        return _parse(self.text)

    @property
    def public(self) -> bool:
        name = Path(self.path).name
        return name == "__init__.py" or not name.startswith("_")

    def calls(self) -> Iterator[tuple[ast.Call, str]]:
        """Every call with the dotted text of what is called."""
        return ((node, ast.unparse(node.func)) for node in ast.walk(self.tree) if isinstance(node, ast.Call))


@cache
def _parse(text: str) -> ast.Module:
    return ast.parse(text)


@cache
def files() -> tuple[str, ...]:
    """What the repository holds or would hold: all but ignored files; without git, all but hidden folders."""
    asked = ["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    if (ROOT / ".git").exists():
        found = subprocess.run(asked, capture_output=True, text=True, check=True).stdout.split("\0")
    else:
        found = [path.relative_to(ROOT).as_posix() for path in ROOT.rglob("*")]
        found = [
            path
            for path in found
            if not re.search(r"(^|/)(\.\w|venv/|build/|dist/|runs/|benchmarks/raw/|__pycache__/)", path)
        ]
    return tuple(sorted({path for path in found if (ROOT / path).is_file()}))


def python(*tops: str) -> list[Source]:
    return [Source(p, text(p)) for p in files() if p.endswith(".py") and p.startswith(tops or "")]


@cache
def text(path: str) -> str:
    """The file's text; nothing for a picture or another binary."""
    try:
        return (ROOT / path).read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return ""


# The rules. Each takes a source and yields (line, what is wrong).

Complaints = Iterator[tuple[int, str]]


def missing_docstring(source: Source) -> Complaints:
    if not source.public:
        return
    if not ast.get_docstring(source.tree):
        yield 1, "the module has no docstring"
    named = [node for node in source.tree.body if isinstance(node, (*Functions, ast.ClassDef))]
    for node in named:
        overload = any(isinstance(d, ast.Name) and d.id == "overload" for d in node.decorator_list)
        if not (overload or node.name.startswith("_") or ast.get_docstring(node)):
            yield node.lineno, f"{node.name} has no docstring"


def unpickled_file(source: Source) -> Complaints:
    for call, name in source.calls():
        safe = any(k.arg == "weights_only" and getattr(k.value, "value", None) is True for k in call.keywords)
        if name == "torch.load" and not safe:
            yield call.lineno, "torch.load without weights_only=True runs code from the file"


def printing(source: Source) -> Complaints:
    for call, name in source.calls():
        if name == "print" and not source.path.startswith(SPEAKING):
            yield call.lineno, "the library prints; return it, yield it or log it"


def own_json(source: Source) -> Complaints:
    """JSON is read by io/plain.py, which bounds it."""
    readers = {"load", "loads", "JSONDecoder"}
    for node in ast.walk(source.tree):
        of_json = isinstance(node, ast.ImportFrom) and node.module == "json"
        taken = {alias.name for alias in node.names} if of_json else set()
        used = isinstance(node, ast.Attribute) and ast.unparse(node.value) == "json" and node.attr in readers
        if (used or taken & readers) and source.path != "sde_diffusion/io/plain.py":
            yield node.lineno, "JSON without bounds: use read_json, read_plain or parse_json of sde_diffusion.io.plain"


def swallowed_error(source: Source) -> Complaints:
    for node in ast.walk(source.tree):
        if isinstance(node, ast.ExceptHandler):
            if node.type is None:
                yield node.lineno, "a bare except catches even an interrupt"
            elif ast.unparse(node.type) in ("Exception", "BaseException") and isinstance(node.body[0], ast.Pass):
                yield node.lineno, "an error is swallowed"


def long_file(source: Source) -> Complaints:
    lines = source.text.count("\n")
    if lines > LONGEST_FILE:
        yield lines, f"{lines} lines, more than {LONGEST_FILE}: two ideas live here"


def long_function(source: Source) -> Complaints:
    for node in ast.walk(source.tree):
        lines = node.end_lineno - node.lineno + 1 if isinstance(node, Functions) else 0
        if lines > LONGEST_FUNCTION:
            yield node.lineno, f"{node.name} has {lines} lines, more than {LONGEST_FUNCTION}"


def global_draw(source: Source) -> Complaints:
    for call, name in source.calls():
        draws = DRAWS.fullmatch(name) or DRAWS_IN_PLACE.fullmatch(name)
        if draws and not any(keyword.arg == "generator" for keyword in call.keywords):
            yield call.lineno, f"{name} without generator= draws from the global generator"
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Import) and any(alias.name == "random" for alias in node.names):
            yield node.lineno, "the module random is one global generator"


def unfinished(source: Source) -> Complaints:
    yield from lines_with(r"\b(TO" r"DO|FIX" r"ME|X" r"XX|HA" r"CK)\b", source.text, "unfinished")


def machine_path(source: Source) -> Complaints:
    yield from lines_with(r"(?<![\w.)\]}/-])/(work|root|tmp/venv)\b(?![.-])", source.text, "a path of one machine")


def large_file(source: Source) -> Complaints:
    """The source's text has one character a byte (`in_bytes`)."""
    summary = re.fullmatch(r"benchmarks/results/.*\.json", source.path)
    most, size = LARGEST_SUMMARY if summary else LARGEST_FILE, len(source.text)
    if size > most:
        yield 1, f"{size} bytes, more than {most}: keep it out of git, or make it smaller"


def in_bytes(path: str) -> Source:
    return Source(path, (ROOT / path).read_bytes().decode("latin-1"))


def lines_with(pattern: str, text: str, complaint: str) -> Complaints:
    for number, line in enumerate(text.split("\n"), 1):
        if re.search(pattern, line):
            yield number, f"{complaint}: {line.strip()[:80]}"


def held_against(rule, sources: list[Source]) -> list[str]:
    return [f"{source.path}:{line}: {complaint}" for source in sources for line, complaint in rule(source)]


IN_LIBRARY = [missing_docstring, own_json, printing, long_function, global_draw]
IN_ALL_PYTHON = [unpickled_file, swallowed_error, long_file, unfinished]


@pytest.mark.parametrize("rule", IN_LIBRARY, ids=lambda rule: rule.__name__)
def test_the_library_keeps(rule):
    assert len(python(*LIBRARY)) > 3, "the library was not found"
    assert not held_against(rule, python(*LIBRARY))


@pytest.mark.parametrize("rule", IN_ALL_PYTHON, ids=lambda rule: rule.__name__)
def test_all_python_keeps(rule):
    assert not held_against(rule, python())


def test_no_file_names_a_path_of_one_machine():
    assert "pyproject.toml" in files()
    assert not held_against(machine_path, [Source(path, text(path)) for path in files()])


def test_git_holds_no_large_file():
    """.pre-commit-config.yaml runs this test before each commit."""
    assert any(path.endswith(".png") for path in files()), "pictures were not looked at"
    assert not held_against(large_file, [in_bytes(path) for path in files()])


def test_a_summary_of_a_benchmark_is_held_to_less():
    small, large = "x" * LARGEST_SUMMARY, "x" * (LARGEST_SUMMARY + 1)
    assert held_against(large_file, [Source("benchmarks/results/a.json", large)])
    for path, code in [("benchmarks/results/a.json", small), ("benchmarks/results/a.png", large), ("a.json", large)]:
        assert not held_against(large_file, [Source(path, code)])


HEAD = '"""A module."""\n'
OFFENDERS = [
    (missing_docstring, "x = 1\n"),
    (missing_docstring, HEAD + "def f():\n    return 1\n"),
    (missing_docstring, HEAD + "class A:\n    x = 1\n"),
    (unpickled_file, HEAD + "torch.load(path)\n"),
    (unpickled_file, HEAD + "torch.load(path, weights_only=False)\n"),
    (printing, HEAD + "print(1)\n"),
    (own_json, "json.loads(text)\n"),
    (own_json, "read = json.load\n"),
    (own_json, "from json import loads\n"),
    (swallowed_error, HEAD + "try:\n    f()\nexcept:\n    g()\n"),
    (swallowed_error, HEAD + "try:\n    f()\nexcept Exception:\n    pass\n"),
    (long_file, "\n" * (LONGEST_FILE + 1)),
    (long_function, "def f():\n" + "    g()\n" * LONGEST_FUNCTION),
    (global_draw, "torch.randn(3)\n"),
    (global_draw, "x.new_empty(3).normal_()\n"),
    (global_draw, "import random\n"),
    (unfinished, "# TO" + "DO: later\n"),
    (machine_path, "cd /wo" + "rk/main\n"),
    (machine_path, 'open("/ro' + 'ot/x")\n'),
    (machine_path, "`/tmp/ve" + "nv/bin/python`\n"),
    (large_file, "x" * (LARGEST_FILE + 1)),
]
INNOCENTS = [
    (missing_docstring, HEAD + "def _f():\n    return 1\n"),
    (unpickled_file, "torch.load(path, weights_only=True)\n"),
    (printing, "console.print(1)\n"),
    (own_json, "json.dumps(value)\nfrom json import dumps\nread_json(path)\n"),
    (swallowed_error, "try:\n    f()\nexcept ValueError:\n    pass\n"),
    (long_file, "\n" * LONGEST_FILE),
    (long_function, "def f():\n" + "    g()\n" * (LONGEST_FUNCTION - 1)),
    (global_draw, "torch.randn(3, generator=g)\nx.normal_(generator=g)\nnn.init.normal_(w)\n"),
    (large_file, "x" * LARGEST_FILE),
    (machine_path, "docs/working/net\n../root\nhttps://a.org/work/1\nx/root\n/workflows\n"),
]


def named(case: object) -> str | None:
    return getattr(case, "__name__", None)


@pytest.mark.parametrize(("rule", "code"), OFFENDERS, ids=named)
def test_an_offender_is_caught(rule, code):
    assert held_against(rule, [Source("sde_diffusion/room/file.py", code)])


@pytest.mark.parametrize(("rule", "code"), INNOCENTS, ids=named)
def test_an_innocent_passes(rule, code):
    assert not held_against(rule, [Source("sde_diffusion/room/file.py", code)])


def test_every_rule_has_an_offender():
    assert {rule for rule, _ in OFFENDERS} == {*IN_LIBRARY, *IN_ALL_PYTHON, machine_path, large_file}


# The watch of conftest.py over torch's global generator.


@pytest.mark.parametrize("draw", [lambda: torch.rand(1), lambda: torch.zeros(3).normal_(), lambda: torch.randperm(4)])
def test_a_draw_from_the_global_generator_is_noticed(global_generator, draw):
    draw()
    global_generator.look()
    assert global_generator.leaked
    global_generator.leaked = False
    global_generator.forgive()


def test_a_draw_hidden_before_a_fair_use_is_noticed(global_generator):
    torch.rand(1)
    torch.manual_seed(1)
    assert global_generator.leaked
    global_generator.leaked = False


def test_fair_uses_pass(global_generator):
    torch.manual_seed(3)
    torch.nn.MultiheadAttention(4, 2)
    torch.nn.Sequential(torch.nn.Conv2d(1, 2, 3), torch.nn.Embedding(3, 2), torch.nn.GRU(2, 2))
    torch.nn.init.trunc_normal_(torch.empty(3))
    torch.rand(3, generator=torch.Generator().manual_seed(0))
    global_generator.look()
    assert not global_generator.leaked


# The reader of the README's commands (.ci/readme.py).


@cache
def readme():
    spec = importlib.util.spec_from_file_location("readme", ROOT / ".ci/readme.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


LINE = "python3 -m venv .venv && .venv/bin/pip install . && .venv/bin/sde-diffusion demo"
SECTION = f"# A\n<!-- demo -->\nText.\n\n```bash\n{LINE}\n```\n<!-- /demo -->\n```bash\nother\n```\n"


def test_the_command_of_the_readme_is_found():
    assert readme().command(SECTION, "demo") == LINE
    assert readme().without_environment(LINE) == ".venv/bin/pip install . && .venv/bin/sde-diffusion demo"


OPEN, EMPTY, TWO_LINES = (SECTION.replace(*pair) for pair in [("<!-- /demo", ""), (LINE, ""), (LINE, LINE + "\nls")])


@pytest.mark.parametrize("wrong", ["", OPEN, EMPTY, TWO_LINES, SECTION * 2])
def test_a_readme_without_exactly_one_command_is_refused(wrong):
    with pytest.raises(ValueError, match="one line from one block"):
        readme().command(wrong, "demo")


@pytest.mark.parametrize("wrong", ["pip install .", "python3 -m venv .venv", "python3 -m venv a && " * 2 + "b"])
def test_a_command_that_makes_no_one_environment_is_refused(wrong):
    with pytest.raises(ValueError, match="make its environment once"):
        readme().without_environment(wrong)
