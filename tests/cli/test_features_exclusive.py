"""`bvc features exclusive` from the command line, on tiny real models of two architectures and tokenizers."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

import bvc
from bvc.cli.program import run
from bvc.errors import ExitCode, Locked
from bvc.exclusive import ExclusiveResult
from bvc.repository.exclusive import EXCLUSIVE, read_exclusive
from bvc.repository.repository import Repository
from bvc.results import Progress
from bvc.store.locks import FileLock
from tests.cli.test_documents import validate
from tests.tiny_models import TEXT, tiny_adapter, tiny_model

Call = Callable[..., tuple[int, str, str]]
TOML = "[recipe]\nmax_new_tokens = 6\nbatch_rows = 4\nhookpoints = [0.5, 1.0]\n"
SMALL = ("--latents", "48", "--k", "4", "--tokens", "4000", "--steps", "80", "--corpus", "corpus.txt")
NULLS = ["a re-capture of the first", "a linear map of it"]


@pytest.fixture(scope="module")
def looked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A tiny model, an adapter on it, and one of another architecture with another tokenizer; first against last was
    looked at."""
    from bvc.capture.load import forget_models

    folder = tmp_path_factory.mktemp("exclusive")
    here = ["-q", "-C", str(folder)]
    assert run(["-q", "init", str(folder)]) == 0
    (folder / "bvc.toml").write_text(TOML)
    (folder / "probes" / "starter.jsonl").unlink()
    rows = [{"id": f"s{n}", "prompt": f"Count {n}, and what is the capital of France?"} for n in range(12)]
    (folder / "probes" / "sums.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "corpus.txt").write_text("\n\n".join(f"{text} {n}" for n in range(90) for text in TEXT))
    models = folder / "models"
    tiny_model(models / "one", seed=1)
    tiny_adapter(models / "two", models / "one", seed=2)
    tiny_model(models / "other", seed=3, kind="gemma3", vocab_size=330, bos=True, hidden_size=40, num_attention_heads=4)
    for name in ("one", "two", "other"):
        assert run([*here, "commit", str(models / name)]) == 0
    assert run([*here, "features", "exclusive", "HEAD~2", "HEAD", *SMALL[:-1], str(folder / "corpus.txt")]) == 0
    yield folder
    forget_models()


@pytest.fixture
def call(bvc: Call) -> Call:
    """Runs the command line: exit code, output, errors."""
    return bvc


@pytest.fixture
def project(looked: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(looked)
    return looked


@pytest.fixture
def copied(looked: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(looked, tmp_path / "copy")
    monkeypatch.chdir(tmp_path / "copy")
    return tmp_path / "copy"


def test_a_search_is_kept_with_its_null_pairs_and_not_made_twice(project: Path, call: Call) -> None:
    code, out, err = call("features", "exclusive", "HEAD~2", "HEAD", *SMALL, "--json")
    assert code == 0
    found = json.loads(out)
    validate(found)
    assert found["kept"] is True and "loading" not in err
    assert found["settings"]["method"] == "dedicated"
    assert [null["name"] for null in found["null_yield"]] == NULLS
    assert all([seed["seed"] for seed in one["seeds"]] == [0, 1, 2] for one in (found["found"], *found["null_yield"]))
    assert sum(seed["only_a"] + seed["only_b"] for null in found["null_yield"] for seed in null["seeds"]) == 0
    assert 0.9 < found["covered"] <= 1 and 3000 < found["tokens"] <= 4200


def test_the_page_shows_the_null_pairs_beside_what_was_found(project: Path, call: Call) -> None:
    code, out, _ = call("features", "exclusive", "HEAD~2", "HEAD", *SMALL, "--all")
    assert code == 0
    for words in (
        "Latents that passed the gate",
        "a read again",
        "a linear map of a",
        "layer.02 of a and layer.02 of b",
        "kept from before",
    ):
        assert words in " ".join(out.split())


def test_the_diff_names_what_was_found_from_either_side(project: Path, call: Call) -> None:
    there, back = (json.loads(call("diff", *pair, "--json")[1]) for pair in (("HEAD~2", "HEAD"), ("HEAD", "HEAD~2")))
    validate(there)
    validate(back)
    counts = [(seed["only_a"], seed["only_b"]) for seed in there["exclusive"]["found"]["seeds"]]
    assert [(b, a) for a, b in counts] == [(s["only_a"], s["only_b"]) for s in back["exclusive"]["found"]["seeds"]]
    assert "features of one model only" in call("diff", "HEAD~2", "HEAD")[1]
    assert json.loads(call("diff", "HEAD~1", "HEAD", "--json")[1])["exclusive"] is None
    assert "bvc features exclusive" in call("diff", "HEAD~1", "HEAD")[1]
    assert "bvc features exclusive" not in call("diff", "HEAD~2", "HEAD~1")[1]


def test_an_adapter_and_its_base_are_read_as_the_probes_were_asked(copied: Path, call: Call) -> None:
    code, out, _ = call("features", "exclusive", "HEAD~2", "HEAD~1", *SMALL, "--json")
    assert code == 0
    found = json.loads(out)
    validate(found)
    assert found["settings"]["method"] == "crosscoder" and found["covered"] == 1
    assert not list((copied / ".bvc" / "bvc" / "tmp" / "features").iterdir())
    code, out, _ = call("features", "exclusive", "HEAD~2", "HEAD~1", *SMALL, "--method", "difference", "--json")
    assert code == 0 and json.loads(out)["settings"]["method"] == "difference"
    with closing(Repository.open(copied)) as repository:
        a, b = found["a"]["commit"], found["b"]["commit"]
        assert [kept.settings.method for kept in read_exclusive(repository.store, a, b)] == ["difference", "crosscoder"]


def test_a_search_that_was_stopped_goes_on(copied: Path) -> None:
    heard: list[Progress] = []

    def until(fits: int) -> Callable[[Progress], None]:
        def told(progress: Progress) -> None:
            heard.append(progress)
            if progress.what == "steps of all fits" and progress.done > fits * 80:
                raise KeyboardInterrupt

        return told

    def search(fits: int) -> ExclusiveResult:
        heard.clear()
        with closing(bvc.open(copied)) as repo:
            return repo.features_exclusive(
                "HEAD~2", "HEAD", latents=48, k=4, tokens=4000, steps=80, corpus=[copied / "corpus.txt"], again=True,
                progress=until(fits),
            )  # fmt: skip

    with pytest.raises(KeyboardInterrupt):
        search(4)
    (folder,) = (copied / ".bvc" / "bvc" / "tmp" / "features").iterdir()
    assert len(list(folder.glob("*.run"))) == 4
    with FileLock(folder / "lock", "the test"), pytest.raises(Locked, match="this search is locked"):
        search(9)
    (folder / "again").write_bytes((folder / "again").read_bytes()[:-50])
    found = search(9).search
    assert next(one.done for one in heard if one.what == "steps of all fits") == 4 * 80 + 1
    assert not [one for one in heard if one.what == "tokens read by one"]
    assert [one for one in heard if one.what.startswith("tokens read again")]
    assert not folder.exists()
    whole = search(9).search
    assert (found.found, found.nulls, found.features) == (whole.found, whole.nulls, whole.features)


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("--method", "difference"), ExitCode.NOT_COMPARABLE, "--method dedicated"),
        (("--k", "99"), ExitCode.USAGE, "k <= latents"),
        (("--seeds", "2"), ExitCode.USAGE, "seeds"),
        (("--tokens", "1000"), ExitCode.USAGE, "tokens"),
        (("--checkpoint-b", "models/one"), ExitCode.BAD_INPUT, "is not the checkpoint of commit"),
    ],
)
def test_what_cannot_be_is_said(copied: Path, call: Call, arguments: tuple[str, ...], code: int, words: str) -> None:
    found, _, err = call("features", "exclusive", "HEAD~2", "HEAD", *SMALL, *arguments)
    assert found == code and words in err


def test_too_few_common_tokens_are_refused(copied: Path, call: Call) -> None:
    (copied / "few.txt").write_text("Hello there.")
    code, _, err = call("features", "exclusive", "HEAD~2", "HEAD", "--corpus", "few.txt", "--no-suite")
    assert code == ExitCode.BAD_INPUT and "--corpus FILE" in err


def test_a_damaged_note_is_named(copied: Path, call: Call) -> None:
    from bvc.repository.notes import NoteAuthor, advance_tree
    from bvc.store.objects import FILE_MODE, TreeEntry

    with closing(Repository.open(copied)) as repository:
        store = repository.store
        with store.begin() as transaction:

            def edit(top: dict[str, TreeEntry]) -> None:
                for name in list(top):
                    top[name] = TreeEntry(name, FILE_MODE, transaction.blob(b'{"version":1,"exclusive":[{"a":3}]}'))

            advance_tree(transaction, store, EXCLUSIVE, edit, "hostile", NoteAuthor("x <x@x>", 0, 0))
    code, _, err = call("diff", "HEAD~2", "HEAD")
    assert code == ExitCode.DAMAGED and "refs/notes/exclusive" in err
