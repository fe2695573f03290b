"""What the commands do, beyond their JSON: text forms, messages, changes."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from bvc.cli.author import find_author
from tests.cli.conftest import write_outputs

Call = Callable[..., tuple[int, str, str]]


def test_init_keeps_what_is_there(tmp_path: Path, bvc: Call) -> None:
    folder = tmp_path / "new"
    code, out, err = bvc("init", str(folder))
    assert code == 0
    assert out.splitlines()[0].split() == ["created", ".bvc/"]
    assert "Next: `bvc commit CHECKPOINT`" in err
    (folder / "bvc.toml").write_text("# mine\n", encoding="utf-8")
    code, out, _ = bvc("init", str(folder))
    assert code == 0
    assert "created" not in out
    assert (folder / "bvc.toml").read_text(encoding="utf-8") == "# mine\n"


def test_log_forms(project: Path, bvc: Call) -> None:
    assert len(bvc("log", "--oneline")[1].splitlines()) == 4
    for form in (["-2"], ["-n2"], ["-n", "2"], ["--max-count", "2"], ["--max-count=2"]):
        assert len(bvc("log", "--oneline", *form)[1].splitlines()) == 2
    graph = bvc("log", "--oneline", "--graph")[1].splitlines()
    assert graph[0].startswith("*   ")
    assert graph[1] == "├─╮"
    assert bvc("log", "v1..french", "--format", "%s")[1] == "six answers\n"
    assert bvc("log", "--format", "%m", "-1")[1] == "all\n"


def test_show_probe_by_label_id_and_path(project: Path, bvc: Call) -> None:
    by_label = bvc("show", "--probe", "sum-3")[1]
    assert "La réponse est 6." in by_label
    assert bvc("show", "HEAD:probe/sum-3")[1] == by_label
    identifier = by_label.split("Probe sum-3  ")[1][:10]
    assert bvc("show", "HEAD", "--probe", identifier)[1] == by_label


def test_branches(fresh: Path, bvc: Call) -> None:
    (fresh / "probes" / "starter.jsonl").write_text('{"prompt": "What is 0 plus 0?"}\n', encoding="utf-8")
    write_outputs(fresh / "o.jsonl", 0)
    assert bvc("commit", "--outputs", "o.jsonl", "--model", "m", "-q")[:2] == (0, "")
    assert bvc("branch", "side") == (0, "", "")
    assert bvc("branch")[1] == "* main\n  side\n"
    code, out, err = bvc("switch", "side")
    assert (code, out, err) == (0, "", "Switched to branch 'side'\n")
    assert bvc("switch", "-c", "third")[2] == "Switched to a new branch 'third'\n"
    assert bvc("branch", "-m", "fourth") == (0, "", "")
    assert bvc("branch", "-m", "side", "fifth") == (0, "", "")
    assert [line[2:].split()[0] for line in bvc("branch", "-v")[1].splitlines()] == ["fifth", "fourth", "main"]
    code, _, err = bvc("branch", "-d", "fifth")
    assert code == 0
    assert err.startswith("Deleted branch fifth (was ")
    assert bvc("switch", "--detach", "HEAD")[2].startswith("HEAD is now at ")
    assert bvc("status")[1].startswith("HEAD detached at ")
    assert bvc("branch", "-m", "x")[0] == 2


def test_tags(fresh: Path, bvc: Call) -> None:
    (fresh / "probes" / "starter.jsonl").write_text('{"prompt": "What is 0 plus 0?"}\n', encoding="utf-8")
    write_outputs(fresh / "o.jsonl", 0)
    bvc("commit", "--outputs", "o.jsonl", "--model", "m")
    assert bvc("tag", "v1") == (0, "", "")
    assert bvc("tag", "v2", "-m", "annotated") == (0, "", "")
    assert bvc("tag")[1] == "v1\nv2\n"
    assert bvc("rev-parse", "v2^0")[1] == bvc("rev-parse", "HEAD")[1]
    assert bvc("tag", "v1")[0] == 2
    assert bvc("tag", "-d", "v1")[2].startswith("Deleted tag v1 (was ")
    assert bvc("tag")[1] == "v2\n"


def test_commit_says_what_it_did(fresh: Path, bvc: Call) -> None:
    (fresh / "probes" / "starter.jsonl").write_text('{"prompt": "What is 0 plus 0?"}\n', encoding="utf-8")
    write_outputs(fresh / "o.jsonl", 0)
    code, out, _ = bvc("commit", "--outputs", "o.jsonl", "--model", "m", "-m", "first")
    assert code == 0
    assert out.startswith("[main (root-commit) ")
    assert out.splitlines()[0].endswith("] first")
    assert " m (recorded outputs): 12 probes recorded in " in out


def test_commit_takes_the_author_of_the_environment(fresh: Path, bvc: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    (fresh / "bvc.toml").write_text('author = "Toml <t@example.org>"\n', encoding="utf-8")
    write_outputs(fresh / "o.jsonl", 0)
    bvc("commit", "--outputs", "o.jsonl", "--model", "m")
    monkeypatch.setenv("BVC_AUTHOR", "Env <e@example.org>")
    bvc("commit", "--outputs", str(write_outputs(fresh / "p.jsonl", 1)), "--model", "m")
    assert bvc("log", "--format", "%an %ae")[1] == "Env e@example.org\nToml t@example.org\n"


def test_config(fresh: Path, bvc: Call) -> None:
    assert "recipe.draws = 0\n" in bvc("config")[1]
    assert bvc("config", "recipe.draws", "8") == (0, "", "")
    assert bvc("config", "recipe.draws")[1] == "8\n"
    assert "# Sampled answers per probe" in (fresh / "bvc.toml").read_text(encoding="utf-8")
    (fresh / "bvc.toml").write_text("[recipe]\ndrawz = 3\n", encoding="utf-8")
    code, _, err = bvc("config")
    assert code == 18
    assert "bvc.toml:2:" in err


def test_cat_file(project: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "bvc", "cat-file", "HEAD:probe/sum-0"], capture_output=True, check=True
    )
    assert "La réponse est 0." in done.stdout.decode()
    kind = subprocess.run([sys.executable, "-m", "bvc", "cat-file", "-t", "v1"], capture_output=True, check=True)
    assert kind.stdout == b"commit\n"


def test_merge_base_without_common_ancestor_says_so_by_its_code(fresh: Path, bvc: Call) -> None:
    (fresh / "probes" / "starter.jsonl").write_text('{"prompt": "What is 0 plus 0?"}\n', encoding="utf-8")
    write_outputs(fresh / "o.jsonl", 0)
    bvc("commit", "--outputs", "o.jsonl", "--model", "m")
    head = bvc("rev-parse", "HEAD")[1]
    assert bvc("merge-base", "HEAD", "main") == (0, head, "")


def test_reflog(project: Path, bvc: Call) -> None:
    lines = bvc("reflog", "main")[1].splitlines()
    assert lines[0].split(" ", 1)[1] == "main@{0}: commit (merge): merged" or "main@{0}: commit" in lines[0]
    assert len(bvc("reflog", "main", "-1")[1].splitlines()) == 1


def complete(words: str, folder: Path) -> list[str]:
    environment = {**os.environ, "_BVC_COMPLETE": "bash_complete", "COMP_WORDS": words}
    environment["COMP_CWORD"] = str(len(words.split(" ")) - 1)
    done = subprocess.run(
        [sys.executable, "-m", "bvc"], cwd=folder, env=environment, capture_output=True, text=True, check=True
    )
    assert done.stderr == ""
    return [line.split(",", 1)[1] for line in done.stdout.splitlines() if line]


def test_completion(built: Path, tmp_path: Path) -> None:
    assert complete("bvc swi", built) == ["switch"]
    assert complete("bvc switch ", built) == ["french", "main"]
    assert complete("bvc diff v", built) == ["v1"]
    assert complete("bvc suite show ", built) == ["sums"]
    assert complete("bvc config recipe.dr", built) == ["recipe.draws"]
    assert complete("bvc log --one", built) == ["--oneline"]
    assert complete(f"bvc -C {built} switch f", tmp_path) == ["french"]
    assert complete("bvc switch ", tmp_path) == []


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts(shell: str, bvc: Call) -> None:
    code, out, _ = bvc("completion", shell)
    assert code == 0
    assert "_BVC_COMPLETE" in out


def test_completion_of_an_unknown_shell(bvc: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHELL", "/bin/tcsh")
    code, _, err = bvc("completion")
    assert code == 2
    assert "name one of bash, zsh, fish" in err


def test_author_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    user = {"USER": "ada"}
    git = {"GIT_AUTHOR_NAME": "Git", "GIT_AUTHOR_EMAIL": "git@example.org"}
    assert find_author("Toml <t@e>", {**user, **git, "BVC_AUTHOR": "Env <e@e>"}) == "Env <e@e>"
    assert find_author("Toml <t@e>", {**user, **git}) == "Git <git@example.org>"
    assert find_author("Toml <t@e>", user) == "Toml <t@e>"
    settings = tmp_path / "gitconfig"
    settings.write_text('[user]\n\tname = "From Git"\n\temail = from@git.example\n', encoding="utf-8")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(settings))
    assert find_author(None, user) == "From Git <from@git.example>"
    assert find_author(None, {**user, "GIT_AUTHOR_NAME": "Only Name"}) == "Only Name <from@git.example>"
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    assert find_author(None, user).startswith("ada <ada@")


def test_author_is_one_field_of_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    assert find_author(None, {"BVC_AUTHOR": "A\nB <a@b>\nparent 0000"}) == "A B <a@b>"
    assert find_author(None, {"BVC_AUTHOR": "Ada", "USER": "ada"}).startswith("Ada <ada@")
    assert find_author(None, {"BVC_AUTHOR": "<only@mail>"}) == "unknown <only@mail>"
