"""The layers and the shape of the code, read from the sources (`docs/architecture.md` explains the rules)."""

from __future__ import annotations

import ast
import importlib.metadata
import statistics
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests import layer_rules as rules
from tests.layer_rules import Sources

TOP = Path(__file__).resolve().parent.parent
LIGHT = [
    *("bvc", "bvc.cli", "bvc.config", "bvc.errors", "bvc.records", "bvc.results", "bvc.store.store"),
    *("bvc.api.handle", "bvc.api.history", "bvc.api.refs", "bvc.api.settings", "bvc.api.status", "bvc.api.suites"),
    *("bvc.api.search", "bvc.api.search_log", "bvc.store.postings"),
]

TORCH_FREE = ["bvc.capture.engine", "bvc.capture.identity", "bvc.capture.recipe", "bvc.capture.runner"]


def module_name(path: Path, top: Path) -> str:
    parts = path.relative_to(top).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def read_sources(*folders: str) -> dict[str, str]:
    """Every Python file below `folders`, by dotted module name."""
    paths = [path for folder in folders for path in sorted((TOP / folder).rglob("*.py"))]
    return {module_name(path, TOP): path.read_text(encoding="utf-8") for path in paths}


@pytest.fixture(scope="module")
def sources() -> Sources:
    found = read_sources("bvc")
    assert len(found) > 40, "the package was not found"
    return Sources(found)


@pytest.fixture(scope="module")
def all_sources() -> Sources:
    return Sources(
        read_sources(*(folder for folder in ("bvc", "tests", "examples", "bench") if (TOP / folder).is_dir()))
    )


def test_arrows_point_down(sources: Sources) -> None:
    assert list(rules.misplaced_imports(sources)) == []


def test_every_folder_is_a_package(sources: Sources) -> None:
    assert list(rules.folders_without_init(sources)) == []


def test_no_import_cycles(sources: Sources) -> None:
    assert list(rules.cycles(sources)) == []


def test_light_paths_load_nothing_heavy(sources: Sources) -> None:
    missing = [name for name in LIGHT + TORCH_FREE if name not in sources.modules]
    assert missing == []
    assert list(rules.heavy_imports(sources, LIGHT)) == []
    with_torch = [
        v for v in rules.heavy_imports(sources, TORCH_FREE) if v.rpartition(" ")[2].partition(".")[0] == "torch"
    ]
    assert with_torch == []


@pytest.mark.parametrize("module", LIGHT)
def test_light_modules_really_stay_light(module: str) -> None:
    heavy = {"numpy", "torch", "dulwich.object_store", "backports.zstd"}
    code = f"import sys, {module}; print(*sorted({heavy} & set(sys.modules)))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.split() == []


def test_nothing_below_the_commands_speaks_or_runs_data(sources: Sources) -> None:
    assert list(rules.unsafe_calls(sources)) == []


def test_sizes_and_names(all_sources: Sources) -> None:
    assert list(rules.oversized(all_sources)) == []


def test_functions_are_short(sources: Sources) -> None:
    lengths = sorted(n for module in sources.modules.values() for n in rules.function_lengths(module).values())
    assert statistics.median(lengths) <= 9
    assert lengths[int(len(lengths) * 0.9)] < 40


def test_everything_public_is_documented(sources: Sources) -> None:
    assert list(rules.undocumented(sources)) == []


def test_every_foreign_import_is_a_declared_dependency(sources: Sources) -> None:
    project = tomllib.loads((TOP / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    core = {_distribution(r) for r in project["dependencies"]}
    declared = core | {_distribution(r) for group in project["optional-dependencies"].values() for r in group}
    providers = importlib.metadata.packages_distributions()
    optional_parts = ("capture", "features", "suites")
    wrong = []
    for module in sources.modules.values():
        allowed = declared if module.part in optional_parts else core
        for found in module.imports:
            top = found.target.partition(".")[0]
            if top in sys.stdlib_module_names or top in {"bvc", "compression"}:  # the latter from Python 3.14 on
                continue
            if not {name.lower().replace("_", "-") for name in providers.get(top, [])} & allowed:
                wrong.append(f"{module.name}:{found.line}: {top}")
    assert wrong == []


def _distribution(requirement: str) -> str:
    name = requirement
    for stop in " <>=!~;[":
        name = name.partition(stop)[0]
    return name.lower().replace("_", "-")


# The checker itself, on small made-up sources: each rule must find what breaks it, and nothing else.

GOOD = {
    "bvc": '"""Doc."""\ndef open():\n    """Doc."""\n    from bvc.api.repo import Repo\n    return Repo\n',
    "bvc.ids": '"""Doc."""\nimport hashlib\n',
    "bvc.store": "",
    "bvc.store.store": '"""Doc."""\nfrom bvc.ids import x\ndef f():\n    """Doc."""\n    import numpy\n',
    "bvc.capture": "",
    "bvc.capture.engine": '"""Doc."""\nimport torch\nimport re\np = re.compile("x")\nmodel.eval()\n',
    "bvc.api": "",
    "bvc.api.repo": '"""Doc."""\nfrom bvc.store import store\nfrom bvc.capture import engine\n',
    "bvc.commands": "",
    "bvc.commands.log": '"""Doc."""\nimport click, os\nfrom bvc.api import repo\nprint(os.environ)\n',
}
BROKEN = {
    "arrow up": (
        "misplaced_imports",
        "bvc.store.store",
        "from bvc.api import repo",
        "layer 1 imports bvc.api.repo of layer 3",
    ),
    "arrow up in a function": (
        "misplaced_imports",
        "bvc.store.store",
        "def g():\n    import bvc.api.repo",
        "layer 1 imports",
    ),
    "arrow up by a relative import": (
        "misplaced_imports",
        "bvc.store.store",
        "from ..api import repo",
        "layer 1 imports",
    ),
    "arrow up for types": (
        "misplaced_imports",
        "bvc.ids",
        "if TYPE_CHECKING:\n    from bvc.store import store",
        "layer 0",
    ),
    "parts of layer 2": ("misplaced_imports", "bvc.compare.diff", "from bvc.capture import engine", "layer 2 imports"),
    "parts of layer 1": ("misplaced_imports", "bvc.evidence", "from bvc.store import store", "layer 1 imports"),
    "the door from below": ("misplaced_imports", "bvc.api.repo", "import bvc", "layer 3 imports bvc of layer 4"),
    "layer 0 with a package": ("misplaced_imports", "bvc.ids", "import xxhash", "imports xxhash"),
    "torch outside capture": ("misplaced_imports", "bvc.compare.diff", "import torch.nn", "imports torch.nn"),
    "an unknown part": ("misplaced_imports", "bvc.extra.thing", "x = 1", "in no layer"),
    "pickle": ("misplaced_imports", "bvc.store.store", "import pickle", "imports pickle"),
    "a cycle": ("cycles", "bvc.capture.engine", "def g():\n    from bvc.api import repo", "import cycle"),
    "numpy on a light path": ("heavy", "bvc.store.store", "import numpy", "bvc.store.store: loads numpy"),
    "numpy behind one import": ("heavy", "bvc.ids", "import numpy", "bvc.store.store: loads numpy"),
    "numpy in a package's init": ("heavy", "bvc.store", "import numpy", "bvc.store.store: loads numpy"),
    "print": ("unsafe_calls", "bvc.api.repo", "print(1)", "calls print"),
    "environ": ("unsafe_calls", "bvc.api.repo", "import os\nx = os.environ['A']", "uses os.environ"),
    "exit": ("unsafe_calls", "bvc.api.repo", "import sys\nsys.exit(1)", "calls sys.exit"),
    "SystemExit": ("unsafe_calls", "bvc.api.repo", "raise SystemExit(1)", "raises SystemExit"),
    "eval": ("unsafe_calls", "bvc.commands.log", "eval('1')", "calls eval"),
    "torch.load": ("unsafe_calls", "bvc.capture.engine", "torch.load('x')", "calls torch.load"),
    "allow_pickle": ("unsafe_calls", "bvc.store.store", "load('x', allow_pickle=True)", "passes allow_pickle=True"),
    "weights_only": (
        "unsafe_calls",
        "bvc.capture.engine",
        "load('x', weights_only=False)",
        "passes weights_only=False",
    ),
    "a long file": ("oversized", "bvc.ids", "x = 1\n" * 500, "lines"),
    "a long function": ("oversized", "bvc.ids", "def f():\n" + "    x = 1\n" * 70, "71 lines"),
    "a vague name": ("oversized", "bvc.store.utils", "x = 1", "says nothing"),
    "no init": ("folders_without_init", "bvc.store.inner.x", "x = 1", "bvc.store.inner: no __init__.py"),
    "no docstring": ("undocumented", "bvc.ids", "def f(): pass", "f has no docstring"),
}


def run_rule(rule: str, fake: dict[str, str]) -> list[str]:
    if rule == "heavy":
        return list(rules.heavy_imports(Sources(fake), ["bvc.store.store"]))
    return list(getattr(rules, rule)(Sources(fake)))


@pytest.mark.parametrize(
    "rule",
    ["misplaced_imports", "folders_without_init", "cycles", "heavy", "unsafe_calls", "oversized", "undocumented"],
)
def test_checker_accepts_good_code(rule: str) -> None:
    assert run_rule(rule, GOOD) == []


@pytest.mark.parametrize("case", BROKEN)
def test_checker_finds_broken_code(case: str) -> None:
    rule, module, code, expected = BROKEN[case]
    fake = dict(GOOD)
    if rule != "folders_without_init":
        fake.setdefault(module.rpartition(".")[0], "")
    fake[module] = GOOD.get(module, '"""Doc."""\n') + code + "\n"
    found = run_rule(rule, fake)
    assert any(expected in line for line in found), found


def test_function_lengths_count_from_def_to_end() -> None:
    module = Sources({"bvc.x": "@deco\ndef f():\n    a = 1\n    return a\n"}).modules["bvc.x"]
    assert list(rules.function_lengths(module).values()) == [3]
    assert isinstance(module.tree, ast.Module)
