"""The documentation is true: links lead somewhere, every error is listed, the tutorial prints what it shows."""

from __future__ import annotations

import ast
import importlib
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

import pytest

from bvc import errors
from bvc.cli.table import SHORT_HELP
from tests import screens
from tests.test_architecture import module_name

TOP = Path(__file__).resolve().parent.parent
PAGES = sorted([*TOP.glob("*.md"), *(TOP / "docs").rglob("*.md"), *(TOP / "examples").rglob("*.md")])
FENCED = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#{1,6} +(.+?) *$", re.MULTILINE)
COMMAND = re.compile(r"^[ `$]*bvc ([a-z][a-z-]+)", re.MULTILINE)
LATER_WORDS = re.compile(r"\b(?:TODO|FIXME|TBD|coming soon|not yet implemented|will be added)\b", re.IGNORECASE)


def anchors(page: str) -> set[str]:
    """The anchors that a page's headings get, as code hosts build them."""
    plain = [re.sub(r"[`*_]|\[([^\]]*)\]\([^)]*\)", r"\1", h) for h in HEADING.findall(FENCED.sub("", page))]
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in plain}


def dead_links(page: Path, text: str) -> Iterator[str]:
    for target in LINK.findall(FENCED.sub("", text)):
        if re.match(r"[a-z]+:", target):
            continue
        file, _, anchor = unquote(target).partition("#")
        path = (page.parent / file).resolve() if file else page
        if not path.exists():
            yield f"{page.name}: {target}"
        elif anchor and path.suffix == ".md" and anchor not in anchors(path.read_text(encoding="utf-8")):
            yield f"{page.name}: {target} (no such heading)"


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(TOP)))
def test_links_lead_somewhere(page: Path) -> None:
    assert list(dead_links(page, page.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(TOP)))
def test_pages_describe_what_is_there(page: Path) -> None:
    assert LATER_WORDS.findall(page.read_text(encoding="utf-8")) == []


def test_every_page_can_be_reached_from_the_readme() -> None:
    seen: set[Path] = set()
    waiting = [TOP / "README.md"]
    while waiting:
        page = waiting.pop()
        if page in seen or page.suffix != ".md":
            continue
        seen.add(page)
        links = LINK.findall(FENCED.sub("", page.read_text(encoding="utf-8")))
        waiting += [
            (page.parent / link.partition("#")[0]).resolve() for link in links if not re.match(r"[a-z]+:", link)
        ]
    assert [str(page.relative_to(TOP)) for page in PAGES if page not in seen] == []


def test_commands_in_the_pages_exist() -> None:
    known = set(SHORT_HELP)
    written = {
        (page.name, name)
        for page in PAGES
        for code in re.findall(r"`[^`\n]+`|^```.*?^```$", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
        for name in COMMAND.findall(code)
    }
    assert {entry for entry in written if entry[1] not in known} == set()


def error_classes() -> list[type[errors.BvcError]]:
    """Every class of the package that derives from BvcError, found in the sources and then imported."""
    places = {"BvcError": "bvc.errors"}
    trees = {module_name(p, TOP): ast.parse(p.read_text(encoding="utf-8")) for p in (TOP / "bvc").rglob("*.py")}
    grew = True
    while grew:
        found = {
            node.name: name
            for name, tree in trees.items()
            for node in ast.walk(tree)
            if isinstance(node, ast.ClassDef) and any(ast.unparse(b).rpartition(".")[2] in places for b in node.bases)
        }
        grew = not found.keys() <= places.keys()
        places |= found
    return [getattr(importlib.import_module(module), name) for name, module in places.items()]


def test_every_error_and_exit_code_is_described() -> None:
    rows = re.findall(r"^\| (\d+) \| `?(\w+)`? ", (TOP / "docs/errors.md").read_text(encoding="utf-8"), re.MULTILINE)
    described = {name: int(code) for code, name in rows}
    for cls in error_classes():
        assert described.get(cls.__name__) == int(cls.code), cls.__name__
    assert set(errors.ExitCode) == set(described.values())


def test_tutorial_prints_what_it_shows(tmp_path: Path) -> None:
    page = (TOP / "docs/tutorial.md").read_text(encoding="utf-8")
    folder = tmp_path / "work"
    folder.mkdir()
    steps = 0
    for command, printed in screens.play(page, folder):
        steps += 1
        assert screens.agreeing(command, printed), f"$ {command.text}\n{printed}"
    assert steps > 10


# The runner itself.

PAGE = """Text
```jsonl data/a.jsonl
{"x": 1}
```
```console
$ cat data/a.jsonl
{"x": 1}
$ echo 0123abcd4567; echo took 3.2 s
8923abcd4567
took 1.0 s
$ printf 'a\\nb\\nc\\n'
a
...
$ printf x \\
  | tr x y
y
```
"""
NOW = PAGE.replace("8923abcd4567\ntook 1.0 s", "0123abcd4567\ntook 3.2 s")
"""The page after an output on it had to be written again: all of them are, but for the one with `...`."""


def test_runner_writes_files_masks_and_runs(tmp_path: Path) -> None:
    played = list(screens.play(PAGE, tmp_path))
    assert [c.text.split()[0] for c, _ in played] == ["cat", "echo", "printf", "printf"]
    assert all(screens.agreeing(c, printed) for c, printed in played)


@pytest.mark.parametrize(
    ("shown", "printed"), [("a", "b"), ("a", "a\nb"), ("", "a"), ("a\n...\nc", "a\nb"), ("abcdefg", "abcdefh")]
)
def test_runner_sees_a_difference(shown: str, printed: str) -> None:
    assert not screens.agrees(screens.masked(shown), screens.masked(printed))


def test_runner_rewrites_what_differs(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    for written, expected in ((PAGE, PAGE), (PAGE.replace('\n{"x": 1}\n$', "\nold\n$"), NOW)):
        page.write_text(written, encoding="utf-8")
        subprocess.run([sys.executable, "-m", "tests.screens", str(page)], cwd=TOP, check=True)
        assert page.read_text(encoding="utf-8") == expected


def test_link_checker_finds_dead_links(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# A `b` c\n[ok](#a-b-c) [dead](#d) [gone](x.md) [web](https://example.org)\n", encoding="utf-8")
    assert list(dead_links(page, page.read_text(encoding="utf-8"))) == [
        "page.md: #d (no such heading)",
        "page.md: x.md",
    ]
