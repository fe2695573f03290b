"""A store against a plain dict: whatever the order of commits, branches, losses of the index and Git's own tidying."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from bvc.errors import BvcError
from bvc.store.fsck import fsck
from bvc.store.reindex import reindex
from bvc.store.store import Store
from tests.store.build import AUTHOR, START, add_commit, array, git

NAMES = st.sampled_from(["main", "a", "b/c"])
TEXTS = st.dictionaries(st.sampled_from(["p", "q", "r"]), st.text(max_size=5).filter(str.isprintable), min_size=1)


class StoreMachine(RuleBasedStateMachine):
    """`branches` and `commits` are the plain dicts: what the store must say."""

    @initialize()
    def create(self) -> None:
        self.folder = Path(tempfile.mkdtemp())
        self.store = Store.create(self.folder / ".bvc")
        self.branches: dict[str, str] = {}
        self.commits: dict[str, tuple[list[str], dict[str, str]]] = {}

    @rule(branch=NAMES, texts=TEXTS, seed=st.integers(0, 3))
    def commit(self, branch: str, texts: dict[str, str], seed: int) -> None:
        parents = [self.branches[branch]] if branch in self.branches else []
        number = len(self.commits)
        new = add_commit(
            self.store, f"m{number}", texts, [array(seed)], ref=f"refs/heads/{branch}", date=START + number
        )
        self.commits[new] = (parents, texts)
        self.branches[branch] = new

    @precondition(lambda self: self.branches)
    @rule(data=st.data(), name=NAMES)
    def branch(self, data: st.DataObject, name: str) -> None:
        target = data.draw(st.sampled_from(sorted(self.commits)))
        try:
            self.store.refs.update(f"refs/heads/{name}", target, None, "branch", AUTHOR, START)
        except BvcError:
            assert name in self.branches
        else:
            assert name not in self.branches
            self.branches[name] = target

    @rule(name=st.sampled_from(["a", "b/c"]))
    def delete(self, name: str) -> None:
        if name in self.branches:
            self.store.refs.delete(f"refs/heads/{name}", self.branches.pop(name))

    @rule()
    def reopen(self) -> None:
        self.store.close()
        self.store = Store.open(self.store.root)

    @rule()
    def lose_the_index(self) -> None:
        self.store.close()
        shutil.rmtree(self.store.layout.index, ignore_errors=True)

    @rule()
    def rebuild_the_index(self) -> None:
        reindex(self.store)

    @rule()
    def pack_refs(self) -> None:
        git(self.store.root, "pack-refs", "--all")

    @rule()
    def repack(self) -> None:
        git(self.store.root, "repack", "-aq")

    @invariant()
    def refs_are_right(self) -> None:
        assert self.store.refs.all() == {f"refs/heads/{n}": c for n, c in self.branches.items()}
        assert self.store.refs.head() == ("main", self.branches.get("main"))

    @invariant()
    def commits_are_right(self) -> None:
        for tip in self.branches.values():
            for info in self.store.history.walk([tip]):
                parents, texts = self.commits[info.id]
                assert list(info.parents) == parents
                (outputs,) = (e for e in self.store.objects.tree(info.tree) if e.name == "outputs")
                found = {e.name: self.store.objects.blob(e.oid).decode() for e in self.store.objects.tree(outputs.oid)}
                assert found == texts

    def teardown(self) -> None:
        if hasattr(self, "store"):
            assert fsck(self.store).ok
            self.store.close()
            shutil.rmtree(self.folder)


TestStore = StoreMachine.TestCase
TestStore.settings = settings(max_examples=12, stateful_step_count=12, deadline=None, derandomize=True)
