"""Checks of the small files: format, config, HEAD, refs, packed-refs and reflogs."""

from __future__ import annotations

import re
from collections.abc import Iterable

from bvc.errors import BvcError, DamagedObject
from bvc.store.findings import CORRUPT, MISSING, Findings
from bvc.store.layout import GIT_CONFIG, Layout, check_format
from bvc.store.reflog import NOTHING, damaged_lines, read_log
from bvc.store.refs import BRANCHES, HEAD, Refs

_PACKED_HEADER = re.compile(rb"# pack-refs with:(?: (?:peeled|fully-peeled|sorted))* ?")


def check_small_files(layout: Layout, refs: Refs, findings: Findings) -> dict[str, str]:
    """Checks them all; returns every object that they name, with the name of who names it."""
    findings.count("files", 3)
    try:
        check_format(layout)
    except BvcError as error:
        findings.add(CORRUPT, "bvc/format", error.message)
    _check_config(layout, findings)
    named = _check_head(refs, findings)
    named |= _check_refs(layout, refs, findings)
    for oid, name in _check_logs(layout, refs, findings):
        named.setdefault(oid, name)
    return named


def _check_config(layout: Layout, findings: Findings) -> None:
    """The lines that bvc wrote must still be there; what else stands in the file is the user's."""
    try:
        lines = layout.config.read_bytes().split(b"\n")
    except OSError as error:
        findings.add(MISSING, "config", str(error))
        return
    for line in GIT_CONFIG.split(b"\n"):
        if line not in lines:
            findings.add(CORRUPT, "config", f"the line {line.decode().strip()!r} is missing")


def _check_head(refs: Refs, findings: Findings) -> dict[str, str]:
    try:
        commit = refs.head().commit
    except BvcError as error:
        findings.add(CORRUPT, HEAD, error.message)
        return {}
    return {} if commit is None else {commit: HEAD}


def _check_refs(layout: Layout, refs: Refs, findings: Findings) -> dict[str, str]:
    named: dict[str, str] = {}
    try:
        packed = refs.packed()
    except DamagedObject as error:
        findings.add(CORRUPT, "packed-refs", error.message)
        packed = {}
    if packed:
        _check_packed_header(layout, findings)
    for name in sorted({*packed, *refs.loose_names("refs/")}):
        findings.count("refs")
        try:
            value = refs.get(name)
        except BvcError as error:
            findings.add(CORRUPT, name, error.message)
            continue
        if value is not None:
            named.setdefault(value, name)
    for name, (_, peeled) in packed.items():
        if peeled is not None:
            named.setdefault(peeled, name)
    return named


def _check_packed_header(layout: Layout, findings: Findings) -> None:
    for line in layout.packed_refs.read_bytes().split(b"\n"):
        if line.startswith(b"#") and not _PACKED_HEADER.fullmatch(line):
            findings.add(CORRUPT, "packed-refs", f"unknown header {line.decode('utf-8', 'replace')!r}")


def _check_logs(layout: Layout, refs: Refs, findings: Findings) -> Iterable[tuple[str, str]]:
    """Every reflog, line by line; a branch's reflog must have its branch."""
    top = layout.root / "logs"
    for path in sorted(p for p in top.rglob("*") if p.is_file() and p.suffix != ".lock"):
        name = path.relative_to(top).as_posix()
        findings.count("reflogs")
        bad = damaged_lines(path)
        for number in bad:
            findings.add(CORRUPT, f"logs/{name}", f"line {number} was altered or cut off")
        if bad:
            continue
        entries = read_log(path)
        if name.startswith(BRANCHES) and entries and entries[0].new != NOTHING and _is_gone(refs, name):
            findings.add(MISSING, name, f"its reflog ends at {entries[0].new}, but the branch does not exist")
        for entry in entries:
            yield from ((oid, f"logs/{name}") for oid in (entry.old, entry.new) if oid != NOTHING)


def _is_gone(refs: Refs, name: str) -> bool:
    try:
        return refs.get(name) is None
    except BvcError:
        return False
