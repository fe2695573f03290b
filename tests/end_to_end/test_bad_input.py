"""What users get wrong: one clear line, a hint, the contract's exit code, and nothing lost."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

import bvc
from bvc.api.handle import Repo
from bvc.codec import canonical
from bvc.records import FORMAT_VERSION
from bvc.store.layout import format_line
from bvc.store.objects import FILE_MODE, TREE_MODE, TreeEntry
from bvc.store.transaction import CommitDraft
from tests.api.doubles import checkpoint
from tests.end_to_end.conftest import Done, Shell
from tests.store.build import AUTHOR, MAIN, git


def test_not_a_repository(tmp_path: Path) -> None:
    shell = Shell(tmp_path / "project")
    for command in (["log"], ["commit", "x"], ["diff"], ["status"], ["fsck"], ["suite", "ls"], ["switch", "x"]):
        assert "hint: run `bvc init`" in shell.refuse(11, "-C", tmp_path, *command)


def test_a_git_repository_is_not_one_of_bvc(tmp_path: Path) -> None:
    shell = Shell(tmp_path / "project")
    (tmp_path / "other").mkdir()
    git(tmp_path, "init", "-q", "--bare", "other/.bvc")
    assert "bvc did not make" in shell.refuse(14, "-C", tmp_path / "other", "log")


def test_not_a_model_folder(shell: Shell) -> None:
    shell.write("models/step-3/config.json", "{}")
    assert "step-3?" in shell.refuse(18, "commit", "models")
    assert "is not a model folder" in shell.refuse(18, "commit", "probes")
    assert "a checkpoint is a folder" in shell.refuse(18, "commit", "answers.json")
    assert "there is no such folder" in shell.refuse(18, "commit", "./nothing")


def test_weights_missing_truncated_pickled_or_not_weights(shell: Shell) -> None:
    place = checkpoint(shell.folder / "m")
    weights = place / "model.safetensors"
    whole = weights.read_bytes()
    for bad in (whole[:-3], whole[:5], b"", b"\xff" * 100):
        weights.write_bytes(bad)
        assert str(weights) in shell.refuse(18, "commit", "m")
    weights.unlink()
    assert "weights" in shell.refuse(18, "commit", "m")
    (place / "pytorch_model.bin").write_bytes(b"\x80\x02pickled")
    assert "hint: " in (told := shell.refuse(18, "commit", "m")) and "pickle" in told
    index = {"weight_map": {"a": "../../outside.safetensors"}}
    (place / "model.safetensors.index.json").write_text(json.dumps(index))
    shell.refuse(18, "commit", "m")
    (place / "config.json").write_text("{")
    assert "config.json" in shell.refuse(18, "commit", "m")


BAD_LINES = {
    "not JSON": ('{"prompt": "ok"}\n{"prompt": }\n', ":2: ", "is not JSON"),
    "no prompt": ('{"id": "x"}\n', ":1: ", "prompt"),
    "two inputs": ('{"prompt": "a", "messages": []}\n', ":1: ", ""),
    "duplicate id": ('{"id": "x", "prompt": "a"}\n\n{"id": "x", "prompt": "b"}\n', ":3: ", "x"),
    "asked twice": ('{"prompt": "a"}\n{"prompt": "a"}\n', ":2: ", ""),
    "unknown field": ('{"prompt": "a", "promt": "b"}\n', ":1: ", "promt"),
    "empty": ("\n", "", ""),
    "binary": ('{"prompt": "\0"}\n', ":1: ", ""),
}


@pytest.mark.parametrize("case", BAD_LINES)
def test_a_suite_line_that_cannot_be_used(case: str, shell: Shell) -> None:
    text, place, word = BAD_LINES[case]
    good = (shell.folder / "probes" / "sums.jsonl").read_text()
    path = shell.write("probes/sums.jsonl", text)
    told = shell.refuse(18, "commit", checkpoint(shell.folder / "m"))
    assert f"{path}{place}" in told and word in told
    shell.write("probes/sums.jsonl", good)


def test_an_unknown_key_in_the_settings(shell: Shell) -> None:
    path = shell.folder / "bvc.toml"
    good = path.read_text()
    for bad in (
        'autor = "x"\n',
        "[recipe]\ndtyp = 1\n",
        "= 3\n",
        "[recipe]\nbatch_rows = 0\n",
        '[suites]\ndefault = ["../x"]\n',
    ):
        path.write_text(bad)
        told = shell.refuse(18, "commit", checkpoint(shell.folder / "m"))
        assert f"{path}:" in told
    path.write_text('autor = "x"\n')
    assert "author" in shell.refuse(18, "commit", "m").splitlines()[1]
    path.write_text(good)


def test_an_adapter_whose_base_is_not_found(shell: Shell) -> None:
    place = checkpoint(shell.folder / "m")
    (place / "model.safetensors").rename(place / "adapter_model.safetensors")
    (place / "config.json").unlink()
    for named in ("/nowhere/base", "nobody/at-all", None):
        (place / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": named}))
        assert "--base" in shell.refuse(18, "commit", "m").splitlines()[1]
    shell.refuse(18, "commit", "m", "--base", "probes")


def test_recorded_outputs_that_cannot_be_used(shell: Shell) -> None:
    shell.write("bad.jsonl", '{"prompt": "Count 1", "output": "x"}\n{"prompt": "Count 1"}\n')
    assert "bad.jsonl:2: " in shell.refuse(18, "commit", "--outputs", "bad.jsonl", "--model", "m")
    shell.refuse(18, "commit", "--outputs", "nothing.jsonl", "--model", "m")
    assert "--model" in shell.refuse(2, "commit", "--outputs", "answers.json")
    shell.refuse(2, "commit", "m", "--outputs", "answers.json", "--model", "m")


def test_revisions_ids_and_names(shell: Shell) -> None:
    assert "bvc commit" in shell.refuse(12, "log")
    shell.run("commit", "--outputs", "answers.json", "--model", "one")
    assert "no parent" in shell.refuse(12, "diff")
    for command in (
        ["show", "nothing"],
        ["diff", "HEAD", "a b"],
        ["log", "..x"],
        ["switch", "nothing"],
        ["reflog", "x"],
    ):
        shell.refuse(12, *command)
    shell.refuse(12, "show", "--probe", "nothing")
    shell.refuse(12, "cat-file", "HEAD:nothing")
    shell.refuse(2, "branch", "a..b")
    shell.refuse(2, "tag", "-bad-", "HEAD", "x")
    shell.refuse(18, "suite", "show", "../../etc/passwd")
    shell.refuse(2, "suite", "import", "answers.json", "--name", "../x")


def test_a_model_that_cannot_be_loaded(shell: Shell) -> None:
    told = shell.refuse(16, "commit", checkpoint(shell.folder / "m"))
    assert "cannot load m" in told


def test_commits_of_different_recipes_and_tokenizers_compare_what_they_can(shell: Shell, model: Path) -> None:
    import torch

    torch.set_num_threads(1)
    other = shutil.copytree(model, shell.folder / "other")
    words = json.loads((other / "tokenizer.json").read_text())
    ids = words["model"]["vocab"]
    ids["a"], ids["b"] = ids["b"], ids["a"]
    (other / "tokenizer.json").write_text(json.dumps(words))
    with bvc.open(shell.folder) as repo:
        repo.commit(model, max_new_tokens=4)
        repo.commit(model, max_new_tokens=4, batch_size=2)
        repo.commit(other, max_new_tokens=4)
        repo.commit(outputs=shell.folder / "answers.json", model="served")
    for revisions, word in (
        (["HEAD~3", "HEAD~2"], "recipe"),
        (["HEAD~3", "HEAD~1"], "tokenizer"),
        (["HEAD~1", "HEAD"], ""),
    ):
        done = shell.run("diff", "--json", *revisions)
        assert done.code == 0, done
        found = json.loads(done.out)
        assert found["summary"]["probes"] == 4
        reasons = [found["comparable"]] if isinstance(found["comparable"], str) else found["comparable"]
        assert word in json.dumps([reasons, found.get("reasons")])
    assert "text" in shell.run("diff", "HEAD~1", "HEAD").out
    told = shell.refuse(17, "diff", "HEAD~1", "HEAD", "--channel", "logprob")
    assert "error: " in told


def test_commits_that_share_no_probe(shell: Shell) -> None:
    shell.run("commit", "--outputs", "answers.json", "--model", "one")
    shell.write("else.json", json.dumps([{"prompt": "something else", "output": "x"}]))
    shell.run("commit", "--outputs", "else.json", "--model", "two")
    shell.refuse(17, "diff")
    shell.run("commit", checkpoint(shell.folder / "m"), "--no-capture")
    assert "without capture" in shell.refuse(17, "diff")
    assert "without capture" in shell.refuse(17, "show", "--probe", "s1")
    assert shell.run("show").code == shell.run("log").code == shell.run("status").code == 0


def test_a_store_that_is_too_new(shell: Shell) -> None:
    path = shell.folder / ".bvc" / "bvc" / "format"
    path.write_bytes(format_line(2))
    for command in (["log"], ["commit", "x"], ["fsck"], ["status"]):
        assert "update bvc" in shell.refuse(10, *command)
    path.write_bytes(b"bvc 2 what\n")
    shell.refuse(14, "log")
    path.write_bytes(format_line(1))


def test_a_snapshot_that_is_too_new(shell: Shell) -> None:
    shell.run("commit", "--outputs", "answers.json", "--model", "one")
    with bvc.open(shell.folder) as repo:
        before = repo.rev_parse("HEAD")
        newer_snapshot(repo)
    for command in (["log"], ["show"], ["diff"]):
        assert "update bvc to read it" in shell.refuse(10, *command)
    git(shell.folder / ".bvc", "update-ref", "refs/heads/main", before)
    assert shell.run("log").code == 0


def newer_snapshot(repo: Repo) -> None:
    """A commit on main whose snapshot.json is of the next version, as a newer bvc would leave it."""
    store = repo.repository.store
    info = repo.show().commit
    assert info.snapshot is not None
    data = {**info.snapshot.to_json(), "version": FORMAT_VERSION + 1}
    with store.begin() as transaction:
        entries = [e for e in store.objects.tree(info.tree) if e.name != "snapshot.json"]
        entries.append(TreeEntry("snapshot.json", FILE_MODE, transaction.blob(canonical(data))))
        draft = CommitDraft(transaction.tree(entries), (info.id,), "new\n\nBvc-X: y\n", AUTHOR, 5, 0, None)
        transaction.commit(draft, ref=MAIN, expected=info.id, reparent=False)
    repo.close()
    shutil.rmtree(store.root / "bvc" / "index")  # as after a clone, the index is derived anew


@pytest.fixture
def read_only(shell: Shell) -> Iterator[Shell]:
    """The project under a mount that cannot be written; skipped where mounting is not allowed."""
    shell.run("commit", "--outputs", "answers.json", "--model", "one")
    place = str(shell.folder)
    commands = (["mount", "--bind", place, place], ["mount", "-o", "remount,ro,bind", place])
    for number, command in enumerate(commands):
        if subprocess.run(command, capture_output=True, check=False).returncode != 0:
            if number:
                subprocess.run(["umount", place], check=True)
            pytest.skip("mounting is not allowed here")
    yield shell
    subprocess.run(["umount", place], check=True)


def test_a_read_only_disk_can_be_read_and_says_why_not_written(read_only: Shell) -> None:
    for command in (["log"], ["show"], ["status"], ["fsck"], ["branch"], ["rev-parse", "HEAD"], ["suite", "ls"]):
        done = read_only.run(*command)
        assert (done.code, done.err) == (0, []), (command, done)
    for command in (
        ["commit", "--outputs", "answers.json", "--model", "two"],
        ["branch", "x"],
        ["tag", "x"],
        ["switch", "-c", "x"],
        ["config", "author", "Ada <a@b>"],
        ["reindex"],
        ["suite", "import", "answers.json", "--name", "x"],
        ["init"],
    ):
        told = read_only.refuse(10, *command)
        assert "Read-only file system" in told or "read-only" in told, (command, told)


# Promises of safety


def test_no_remote_code_runs_and_nothing_is_unpickled(shell: Shell, model: Path) -> None:
    place = shutil.copytree(model, shell.folder / "m")
    mark = shell.folder / "ran"
    code = f"open({str(mark)!r}, 'w').close()\nfrom transformers import PreTrainedModel as Model\n"
    (place / "modeling_own.py").write_text(code)
    (place / "configuration_own.py").write_text(code + "from transformers import PretrainedConfig as Config\n")
    config = json.loads((place / "config.json").read_text())
    config |= {
        "model_type": "own",
        "auto_map": {"AutoConfig": "configuration_own.Config", "AutoModelForCausalLM": "modeling_own.Model"},
    }
    (place / "config.json").write_text(json.dumps(config))
    told = shell.refuse(16, "commit", "m")
    assert "--trust-remote-code" in told and not mark.exists()


def test_a_cloned_repository_cannot_write_outside(shell: Shell, tmp_path: Path) -> None:
    shell.run("commit", "--outputs", "answers.json", "--model", "one")
    with bvc.open(shell.folder) as repo:
        store, info = repo.repository.store, repo.show().commit
        assert info.snapshot is not None
        entry = replace(info.snapshot.suites[0], name="../../../evil")
        snapshot = canonical(replace(info.snapshot, suites=(entry,)).to_json())
        blob = raw_object(shell, "blob", snapshot)
        listing = {e.name: (e.mode, e.oid) for e in store.objects.tree(info.tree)}
        inner = raw_tree(shell, {"../../evil": (FILE_MODE, blob), "..": (TREE_MODE, listing["outputs"][1])})
        listing |= {"snapshot.json": (FILE_MODE, blob), "outputs": (TREE_MODE, inner)}
        listing["../evil.jsonl"] = (FILE_MODE, blob)
    tree = raw_tree(shell, listing)
    commit = git(shell.folder / ".bvc", "commit-tree", tree, "-m", "evil\n\nBvc-Location: /etc").strip()
    before = sorted(tmp_path.rglob("*evil*"))
    git(shell.folder / ".bvc", "update-ref", "refs/heads/evil", commit)
    for line in EVERYTHING.splitlines():
        command = line.split()
        done = shell.run(*command)
        assert done.code in (0, 10, 12, 14, 17), (command, done)
        assert not any("Traceback" in line for line in done.err)
    made = set(tmp_path.rglob("*evil*")) - set(before)
    assert {path.relative_to(shell.folder / ".bvc").parts[0] for path in made} <= {"refs", "logs"}
    git(shell.folder / ".bvc", "symbolic-ref", "HEAD", "refs/heads/main")
    git(shell.folder / ".bvc", "update-ref", "-d", "refs/heads/evil")


EVERYTHING = """\
log evil --stat
show evil
diff main evil
switch evil
status
show evil --probe s1
cat-file evil:
fsck
reindex"""


def raw_object(shell: Shell, kind: str, data: bytes) -> str:
    command = ["git", "-C", str(shell.folder / ".bvc"), "hash-object", "-w", "--literally", "-t", kind, "--stdin"]
    return subprocess.run(command, input=data, capture_output=True, check=True).stdout.decode().strip()


def raw_tree(shell: Shell, entries: dict[str, tuple[int, str]]) -> str:
    """A tree with names that no honest tool writes."""
    data = b"".join(f"{mode:o} {name}\0".encode() + bytes.fromhex(oid) for name, (mode, oid) in sorted(entries.items()))
    return raw_object(shell, "tree", data)


def test_a_project_cannot_point_outside_through_links(shell: Shell, tmp_path: Path) -> None:
    outside = tmp_path / "outside.toml"
    (shell.folder / "bvc.toml").unlink()
    (shell.folder / "bvc.toml").symlink_to(outside)
    shell.run("init")
    assert not outside.exists()
    outside.write_text('author = "X <x@y>"\n')
    done: Done = shell.run("config", "author", "Ada <a@b>")
    assert done.code == 0 and outside.read_text() == 'author = "X <x@y>"\n'
    assert not (shell.folder / "bvc.toml").is_symlink()
