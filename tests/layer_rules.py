"""The rules of `docs/architecture.md` as tables, and a reader that finds where Python sources break them.

Everything here works on a mapping of module name to source text, so that it can be tried on small made-up sources.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

LAYERS = {
    **dict.fromkeys(("bisection", "codec", "config", "dictionaries", "errors", "exclusive", "feature_results"), 0),
    **dict.fromkeys(("files", "ids", "quantiles", "records", "results", "tomlfile", "wording"), 0),
    **dict.fromkeys(("evidence", "store"), 1),
    **dict.fromkeys(("repository", "suites", "capture", "features", "compare", "behaviors"), 2),
    **dict.fromkeys(("api",), 3),
    **dict.fromkeys(("render", "web"), 4),
    **dict.fromkeys(("cli", "commands", "__main__"), 5),
}
"""Part (first name below `bvc`) to layer; an arrow may point to a lower layer, or stay inside the part."""

SHARED = frozenset({0, 5})
"""Layers whose parts may import each other."""

ENTRY_LAYER = 5
DOOR_LAYER = 4
"""`bvc/__init__.py`: the public door to the api, for the entry layer and for users; nobody below goes through it."""
MODEL_STACK = frozenset({"torch", "transformers", "peft", "accelerate", "safetensors", "tokenizers", "huggingface_hub"})
THIRD_PARTY: dict[str, frozenset[str]] = {
    "config": frozenset({"tomlkit"}),
    "evidence": frozenset({"numpy"}),
    "store": frozenset({"dulwich", "lmdb", "numpy", "backports", "compression", "xxhash"}),
    "repository": frozenset({"numpy", "xxhash"}),
    "suites": frozenset({"pyarrow"}),
    "capture": MODEL_STACK | {"numpy", "xxhash"},
    "features": MODEL_STACK | {"numpy"},
    "compare": frozenset({"numpy"}),
    "behaviors": frozenset({"py3langid", "regex", "tomlkit"}),
    "api": frozenset({"numpy"}),
    "render": frozenset({"click"}),
    "cli": frozenset({"click", "dulwich"}),
    "commands": frozenset({"click"}),
}
"""What each part may import beyond the standard library (a part that is not named: nothing)."""

HEAVY = MODEL_STACK | {"numpy", "pyarrow", "tomlkit", "backports.zstd", "dulwich.object_store", "dulwich.repo"}
"""Too slow to load for a command that only looks at history."""
UNPICKLERS = frozenset({"pickle", "cPickle", "marshal", "shelve", "dill", "cloudpickle", "joblib"})
SPEAKING_CALLS = frozenset(
    {"print", "input", "exit", "quit", "sys.exit", "os._exit", "os.getenv", "click.echo", "click.secho"}
)
SPEAKING_NAMES = frozenset({"os.environ", "os.environb", "sys.stdout", "sys.stderr", "sys.stdin", "sys.argv"})
RUNNING_CALLS = frozenset(
    {"eval", "exec", "compile", "torch.load", "pickle.load", "pickle.loads", "os.system", "os.popen"}
)
UNSAFE_KEYWORDS = {"allow_pickle": True, "weights_only": False, "trust_remote_code": True, "shell": True}
VAGUE_NAMES = frozenset({"utils", "util", "helpers", "helper", "common", "misc"})

MAX_FILE_LINES = 500
MAX_FUNCTION_LINES = 70


@dataclass(frozen=True)
class Import:
    """One imported name: the dotted `target`, whether it is loaded with the module (`eager`), or only for types."""

    target: str
    line: int
    eager: bool
    typing_only: bool


@dataclass(frozen=True)
class Module:
    """One source file; `name` is dotted, a package's own name for its `__init__`."""

    name: str
    source: str
    is_package: bool = False

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.source, self.name)

    @property
    def part(self) -> str:
        """The name directly below `bvc`; empty for `bvc` itself."""
        return self.name.partition(".")[2].partition(".")[0]

    @property
    def layer(self) -> int:
        """The layer of the module."""
        return LAYERS[self.part] if self.part else DOOR_LAYER

    @cached_property
    def imports(self) -> tuple[Import, ...]:
        return tuple(_imports(self, self.tree, eager=True, typing_only=False))


def _imports(module: Module, node: ast.AST, *, eager: bool, typing_only: bool) -> Iterator[Import]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import | ast.ImportFrom):
            for target in _targets(module, child):
                yield Import(target, child.lineno, eager and not typing_only, typing_only)
        elif isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            yield from _imports(module, child, eager=eager, typing_only=True)
        else:
            inside = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            yield from _imports(module, child, eager=eager and not inside, typing_only=typing_only)


def _targets(module: Module, node: ast.Import | ast.ImportFrom) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    base = node.module or ""
    if node.level:
        parents = module.name.split(".")
        kept = parents[: len(parents) - node.level + module.is_package]
        base = ".".join([*kept, base]).rstrip(".")
    return [f"{base}.{alias.name}" for alias in node.names]


class Sources:
    """All modules of the package, by name, with the questions that the rules ask."""

    def __init__(self, sources: Mapping[str, str]) -> None:
        packages = {name.rpartition(".")[0] for name in sources}
        self.modules = {name: Module(name, text, name in packages) for name, text in sources.items()}

    def resolve(self, target: str) -> str | None:
        """The module of ours that an imported name leads to; None for anything outside."""
        if target in self.modules:
            return target
        parent = target.rpartition(".")[0]
        return parent if parent in self.modules else None

    def arrows(self, module: Module) -> Iterator[tuple[Import, Module]]:
        """Imports of our own modules (the version number, which loads nothing, may be had from anywhere)."""
        for found in module.imports:
            target = self.resolve(found.target)
            if target not in (None, module.name) and found.target != "bvc.__version__":
                yield found, self.modules[str(target)]

    def loaded_with(self, name: str) -> set[str]:
        """Everything that is loaded when `name` is imported: our modules and dotted foreign names."""
        seen: set[str] = set()
        waiting = [name]
        while waiting:
            current = waiting.pop()
            if current in seen:
                continue
            seen.add(current)
            module = self.modules.get(current)
            if module is None:
                continue
            waiting += [found.rpartition(".")[0] for found in [current] if "." in found]
            waiting += [self.resolve(i.target) or i.target for i in module.imports if i.eager]
        return seen


def folders_without_init(sources: Sources) -> Iterator[str]:
    """Folders of modules that are not packages: installers and importers may miss them."""
    for name in sorted({name.rpartition(".")[0] for name in sources.modules} - {""}):
        if name not in sources.modules:
            yield f"{name}: no __init__.py"


def misplaced_imports(sources: Sources) -> Iterator[str]:
    """Arrows that do not point down, and foreign packages where they do not belong."""
    for module in sources.modules.values():
        if module.part and module.part not in LAYERS:
            yield f"{module.name}: `{module.part}` is in no layer"
            continue
        for found, target in sources.arrows(module):
            level = target.layer == module.layer and target.layer not in SHARED and target.part != module.part
            if target.layer > module.layer or level:
                yield f"{module.name}:{found.line}: layer {module.layer} imports {target.name} of layer {target.layer}"
        yield from _foreign(sources, module)


def _foreign(sources: Sources, module: Module) -> Iterator[str]:
    allowed = THIRD_PARTY.get(module.part, frozenset())
    for found in module.imports:
        top = found.target.partition(".")[0]
        if top in UNPICKLERS:
            yield f"{module.name}:{found.line}: imports {top}"
        elif sources.resolve(found.target) is None and top not in sys.stdlib_module_names and top not in allowed:
            yield f"{module.name}:{found.line}: imports {found.target}"


def cycles(sources: Sources) -> Iterator[str]:
    """Modules that import each other, at load time or inside functions (imports for types alone do not count)."""
    arrows = {
        name: sorted({t.name for found, t in sources.arrows(module) if not found.typing_only})
        for name, module in sources.modules.items()
    }
    state: dict[str, str] = {}

    def visit(name: str, path: list[str]) -> Iterator[str]:
        state[name] = "open"
        for target in arrows[name]:
            if state.get(target) == "open":
                yield "import cycle: " + " -> ".join([*path[path.index(target) :], target])
            elif target not in state:
                yield from visit(target, [*path, target])
        state[name] = "closed"

    for name in sorted(arrows):
        if name not in state:
            yield from visit(name, [name])


def heavy_imports(sources: Sources, light: list[str]) -> Iterator[str]:
    """Modules of the light paths that load something heavy when they are imported."""
    for name in light:
        for loaded in sorted(sources.loaded_with(name)):
            if any(loaded == heavy or loaded.startswith(heavy + ".") for heavy in HEAVY):
                yield f"{name}: loads {loaded}"


def unsafe_calls(sources: Sources) -> Iterator[str]:
    """Calls that run or unpickle data, and below the entry layer whatever speaks to the process's outside."""
    for module in sources.modules.values():
        for node in ast.walk(module.tree):
            for word in _unsafe(node, entry=module.layer == ENTRY_LAYER):
                yield f"{module.name}:{getattr(node, 'lineno', 0)}: {word}"


def _unsafe(node: ast.AST, *, entry: bool) -> Iterator[str]:
    if isinstance(node, ast.Call):
        called = ast.unparse(node.func)
        if called in RUNNING_CALLS or (called in SPEAKING_CALLS and not entry):
            yield f"calls {called}"
        for keyword in node.keywords:
            value = keyword.value.value if isinstance(keyword.value, ast.Constant) else None
            if value is not None and UNSAFE_KEYWORDS.get(keyword.arg or "") is value:
                yield f"passes {keyword.arg}={value}"
    elif isinstance(node, ast.Attribute) and not entry and ast.unparse(node) in SPEAKING_NAMES:
        yield f"uses {ast.unparse(node)}"
    elif isinstance(node, ast.Raise) and node.exc is not None and "SystemExit" in ast.unparse(node.exc) and not entry:
        yield "raises SystemExit"


def function_lengths(module: Module) -> dict[str, int]:
    """Lines of each function, from `def` to its end."""
    return {
        f"{module.name}:{node.lineno} {node.name}": (node.end_lineno or node.lineno) - node.lineno + 1
        for node in ast.walk(module.tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }


def oversized(sources: Sources) -> Iterator[str]:
    """Files and functions that are too long, and files whose name says nothing."""
    for module in sources.modules.values():
        lines = module.source.count("\n")
        if lines >= MAX_FILE_LINES:
            yield f"{module.name}: {lines} lines"
        if module.name.rpartition(".")[2] in VAGUE_NAMES:
            yield f"{module.name}: a name that says nothing"
        for name, length in function_lengths(module).items():
            if length > MAX_FUNCTION_LINES:
                yield f"{name}: {length} lines"


def undocumented(sources: Sources) -> Iterator[str]:
    """Modules with code, public classes and public functions without a docstring."""
    for module in sources.modules.values():
        if module.tree.body and ast.get_docstring(module.tree) is None:
            yield f"{module.name}: no docstring"
        for node in module.tree.body:
            if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) or node.name.startswith("_"):
                continue
            if ast.get_docstring(node) is None and not _is_command(node):
                yield f"{module.name}:{node.lineno}: {node.name} has no docstring"


def _is_command(node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> bool:
    """Whether the text of a function is its command's help, given to the decorator."""
    return any("help=" in ast.unparse(decorator) for decorator in node.decorator_list)
