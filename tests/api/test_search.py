"""grep and the searching options of log, against a search that reads everything."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import regex
from hypothesis import given, settings
from hypothesis import strategies as st

import bvc
from bvc.api.handle import Repo
from bvc.api.search_records import GrepResult, LogSearch
from bvc.errors import AmbiguousId, DamagedObject, UnknownRevision, UsageError
from bvc.results import Progress
from bvc.store.changes import CHANGES
from bvc.store.postings import POSTINGS
from tests.api.doubles import Project
from tests.api.histories import History, Texts, texts_at

WORDS = st.sampled_from(
    ["yes", "Yes", "no", "aaa", "aa", "Köln", "köln", "ſo", "so", "x\n", "\x1b[31m", "漢字", "🙂", "ß", "ss", "a.b", "",
     "İs", "kelvin", "K"]
)  # fmt: skip
TEXT = st.lists(WORDS, max_size=3).map(" ".join)
ANSWERS = st.lists(TEXT, min_size=1, max_size=3).map(tuple)
STEP = st.none() | st.dictionaries(st.integers(0, 3), ANSWERS, min_size=1)
PATTERN = st.one_of(
    WORDS,
    st.text(alphabet="yesnoaKköſß\n.", max_size=3),
    st.sampled_from(["y.s", "^no$", "(yes|no) aa", "[kK]öln", "a{2}", "x*", r"\bso\b", "Köln|漢字", "aa+ yes"]),
)  # fmt: skip


@pytest.fixture
def history(tmp_path: Path) -> Iterator[History]:
    made = History(tmp_path / "p")
    yield made
    made.repo.close()


def matcher(pattern: str, fixed: bool, ignore_case: bool) -> Callable[[str], int]:
    flags = regex.MULTILINE | (regex.IGNORECASE if ignore_case else 0)
    compiled = regex.compile(regex.escape(pattern) if fixed else pattern, flags)
    return lambda text: len(compiled.findall(text))


def scanned(repo: Repo, matches: Callable[[str], int]) -> dict[tuple[str, str], set[str]]:
    """The commits of every probe's text that matches, by reading every commit."""
    found: dict[tuple[str, str], set[str]] = {}
    for entry in repo.log():
        for probe, texts in texts_at(repo, entry.commit.id).items():
            for text in texts:
                if matches(text):
                    found.setdefault((probe, text), set()).add(entry.commit.id)
    return found


def told(result: GrepResult) -> dict[tuple[str, str], int]:
    return {(m.probe, m.text): m.commits for m in result.matches}


def build(folder: Path, steps: list[tuple[Any, int, bool]]) -> History:
    """A history in which each step follows one before it, and now and then merges another; the last takes in all."""
    history = History(folder)
    made: list[str] = []
    for answers, back, merge in steps:
        parents = [made[-1 - back % len(made)]] if made else []
        if merge and len(made) > 1 and made[-1] not in parents:
            parents.append(made[-1])
        made.append(history.commit(answers, parents))
    tips = [commit for commit in made if not any(commit in parents_of(history, other) for other in made)]
    history.commit({0: ("the end",)}, tips)
    return history


def parents_of(history: History, commit: str) -> tuple[str, ...]:
    return history.repo.repository.store.history.node(commit).parents


STEPS = st.lists(st.tuples(STEP, st.integers(0, 3), st.booleans()), min_size=1, max_size=7)


@given(STEPS, st.lists(st.tuples(PATTERN, st.booleans(), st.booleans()), min_size=1, max_size=5))
@settings(max_examples=25, deadline=None)
def test_grep_finds_what_a_scan_finds(
    steps: list[tuple[Any, int, bool]], patterns: list[tuple[str, bool, bool]]
) -> None:
    with TemporaryDirectory() as folder:
        history = build(Path(folder) / "p", steps)
        repo = history.repo
        for pattern, fixed, ignore_case in patterns:
            fixed = fixed or "[3" in pattern  # half a set, of a control sequence
            want = scanned(repo, matcher(pattern, fixed, ignore_case))
            options: dict[str, Any] = {"fixed": fixed, "ignore_case": ignore_case}
            result = repo.grep(pattern, **options)
            assert told(result) == {key: len(commits) for key, commits in want.items()}
            for match in result.matches:
                ends = {end.id for s in match.stretches for end in (s.oldest, s.newest)}
                assert ends <= want[match.probe, match.text]
                assert sum(s.commits for s in match.stretches) == match.commits
            counts = {row.commit.id: row.answers for row in repo.grep(pattern, counts=True, **options).counts}
            assert counts == tally(want)
            for commit in list(counts)[:2]:
                alone = {key: 1 for key, commits in want.items() if commit in commits}
                assert told(repo.grep(pattern, commit, **options)) == alone
        repo.close()


def tally(found: Mapping[tuple[str, str], set[str]]) -> dict[str, int]:
    commits = {commit for holders in found.values() for commit in holders}
    return {commit: sum(commit in holders for holders in found.values()) for commit in commits}


@given(STEPS, WORDS.filter(bool), st.booleans())
@settings(max_examples=25, deadline=None)
def test_log_lists_what_a_scan_lists(steps: list[tuple[Any, int, bool]], word: str, ignore_case: bool) -> None:
    with TemporaryDirectory() as folder:
        history = build(Path(folder) / "p", steps)
        repo = history.repo
        probe = history.probe(0)
        count = matcher(word, True, ignore_case)

        def number(texts: Texts) -> object:
            return sum(map(count, texts))

        def matching(texts: Texts) -> object:
            return [(n, text) for n, text in enumerate(texts) if count(text)]

        assert listed(repo, LogSearch(text=word, ignore_case=ignore_case)) == changing(history, number)
        assert listed(repo, LogSearch(regex=regex.escape(word), ignore_case=ignore_case)) == changing(history, matching)
        if any(step[0] and 0 in step[0] for step in steps):
            assert listed(repo, LogSearch(probes=("p0",))) == changing(history, lambda texts: texts, probe.id)
            both = LogSearch(text=word, ignore_case=ignore_case, probes=("p0",))
            assert listed(repo, both) == changing(history, number, probe.id)
        repo.close()


def listed(repo: Repo, search: LogSearch) -> list[str]:
    return [entry.commit.id for entry in repo.log(search=search)]


def changing(history: History, value: Callable[[Texts], object], probe: str | None = None) -> list[str]:
    """The commits in which the value of a probe's texts differs from that at every parent with answers."""
    found = []
    for entry in history.repo.log():
        here = texts_at(history.repo, entry.commit.id)
        if not here:
            continue
        bases = [answered(history, parent) for parent in entry.commit.parents] or [{}]
        probes = here.keys() | {p for base in bases for p in base}
        asked = probes if probe is None else probes & {probe}
        if any(all(value(base.get(p, ())) != value(here.get(p, ())) for base in bases) for p in asked):
            found.append(entry.commit.id)
    return found


def answered(history: History, commit: str) -> dict[str, Texts]:
    """The answers of a commit, or of the nearest one before it that has some."""
    found = texts_at(history.repo, commit)
    parents = parents_of(history, commit)
    return found if found or not parents else answered(history, parents[0])


def test_an_answer_is_shown_once_with_its_stretches(history: History) -> None:
    one = history.commit({0: ("Paris.",), 1: ("four", "Paris!")})
    two = history.commit({0: ("London.",), 1: ("four", "Paris!")}, [one])
    three = history.commit({0: ("London.",), 1: ("Paris!", "four")}, [two])
    four = history.commit({0: ("Paris.",), 1: ("four", "nine")}, [three])
    result = history.repo.grep("Paris")
    assert [(m.name, m.text, m.commits, m.greedy, m.draws, m.places) for m in result.matches] == [
        ("p0", "Paris.", 2, True, (), ((0, 5),)),
        ("p1", "Paris!", 3, True, (0,), ((0, 5),)),
    ]
    stretches = [[(s.oldest.id, s.newest.id, s.commits) for s in m.stretches] for m in result.matches]
    assert stretches == [[(four, four, 1), (one, one, 1)], [(one, three, 3)]]
    assert (result.commits, result.records, result.total) == (4, 5, 2)
    assert told(history.repo.grep("Paris", f"{one}..{three}")) == {(history.probe(1).id, "Paris!"): 2}
    assert history.repo.grep("Paris", limit=1).total == 2


def test_a_merge_goes_on_with_what_it_takes_over(history: History) -> None:
    base = history.commit({0: ("no",)})
    left = history.commit({0: ("no",), 1: ("left",)}, [base])
    right = history.commit({0: ("yes",)}, [base])
    merge = history.commit({0: ("yes",), 1: ("left",)}, [left, right])
    result = history.repo.grep("yes")
    (stretch,) = result.matches[0].stretches
    assert (stretch.oldest.id, stretch.newest.id, stretch.commits) == (right, merge, 2)
    assert listed(history.repo, LogSearch(text="yes")) == [right]
    assert listed(history.repo, LogSearch(probes=("p0",))) == [right, base]


def test_commits_without_answers_are_passed_over(history: History) -> None:
    one = history.commit({0: ("yes",)})
    two = history.commit(None, [one])
    three = history.commit({0: ("yes",)}, [two])
    assert [(s.oldest.id, s.newest.id, s.commits) for s in history.repo.grep("yes").matches[0].stretches] == [
        (one, three, 2)
    ]
    assert listed(history.repo, LogSearch(text="yes")) == [one]
    (entry,) = history.repo.log(search=LogSearch(probes=("p0",)))
    assert entry.commit.id == one


def test_a_probe_in_two_suites_is_one_probe(history: History) -> None:
    one = history.commit({0: ("yes",)}, suites=("a", "b"))
    two = history.commit({0: ("yes",)}, [one], suites=("b",))
    history.commit({0: ("no",)}, [two], suites=("b", "c"))
    assert told(history.repo.grep("yes")) == {(history.probe(0).id, "yes"): 2}
    assert len(listed(history.repo, LogSearch(probes=("p0",)))) == 2


def test_suites_that_contradict_each_other_are_read_as_in_a_view(history: History) -> None:
    one = history.commit({0: ("yes",)}, suites=("a", "b"))
    two = history.commit({0: ("no",)}, [one], suites=("a", "b"))
    for suite in ("a", "b"):
        odd = history.with_outputs_of(suite, two, one)
        (said,) = texts_at(history.repo, odd).values()
        assert history.repo.grep(said[0], odd).total == 1
        assert history.repo.grep("yes|no", odd).total == 1


def test_what_changed_is_told(history: History) -> None:
    one = history.commit({0: ("The answer is 4.", "4", "four"), 1: ("x",)})
    history.commit({0: ("The answer is 4.", "5", "five"), 1: ("y",)}, [one])
    newest, oldest = history.repo.log(search=LogSearch(probes=("p0",)))
    assert newest.answers is not None
    assert newest.answers.probes == 1
    (change,) = newest.answers.shown
    assert (change.name, change.draw, change.old, change.new, change.differing) == ("p0", 0, "4", "5", 2)
    assert oldest.answers is not None
    assert [(c.draw, c.old, c.new) for c in oldest.answers.shown] == [(None, None, "The answer is 4.")]
    (entry,) = history.repo.log(search=LogSearch(text="five"))
    assert entry.answers is not None
    assert [(c.draw, c.old, c.new) for c in entry.answers.shown] == [(1, "four", "five")]


def test_listed_commits_are_drawn_joined(history: History) -> None:
    a = history.commit({0: ("a",)})
    b = history.commit({0: ("a",), 1: ("b",)}, [a])
    c = history.commit({0: ("a",), 1: ("b",), 2: ("c",)}, [b])
    d = history.commit({0: ("d",), 1: ("b",)}, [b])
    e = history.commit({0: ("d",), 1: ("b",), 2: ("c",)}, [d, c])
    f = history.commit({0: ("f",), 1: ("b",), 2: ("c",)}, [e])
    entries = list(history.repo.log(search=LogSearch(probes=("p0",))))
    assert [(entry.commit.id, entry.drawn) for entry in entries] == [(f, (d,)), (d, (a,)), (a, ())]


def test_probes_by_label_id_and_tag(history: History) -> None:
    history.commit({n: (f"answer {n}",) for n in range(40)})
    repo = history.repo
    wanted = history.probe(3).id
    for name in ("p3", wanted, wanted[:12]):
        assert [m.probe for m in repo.grep("answer", probes=(name,)).matches] == [wanted]
    assert repo.grep("answer", tags=("even",)).total == 20
    assert repo.grep("answer", tags=("even",), probes=("p2", "p3")).total == 1
    with pytest.raises(UnknownRevision):
        repo.grep("answer", probes=("nothing",))
    with pytest.raises((AmbiguousId, UnknownRevision)):
        repo.grep("answer", probes=(wanted[:1],))


def test_prompts(history: History) -> None:
    one = history.commit({0: ("x",), 7: ("y",)})
    two = history.commit({7: ("y",)}, [one])
    result = history.repo.grep("question [07]", prompts=True, ignore_case=True)
    assert {(m.name, m.text, m.commits) for m in result.matches} == {("p0", "Question 0?", 1), ("p7", "Question 7?", 2)}
    assert history.repo.grep("Question 0", two, prompts=True).total == 0
    assert history.repo.grep("x", prompts=True).total == 0


def test_every_ref(history: History) -> None:
    one = history.commit({0: ("yes",)})
    two = history.commit({0: ("no",)}, [one])
    history.repo.create_tag("kept", two)
    assert history.repo.grep("no", one).total == 0
    assert history.repo.grep("no", every_ref=True).total == 1
    with pytest.raises(UsageError):
        history.repo.grep("no", "HEAD", every_ref=True)


def test_the_second_search_reads_no_answer(history: History) -> None:
    parent: list[str] = []
    for number in range(6):
        parent = [history.commit({0: (f"text {number}",), 1: ("same",)}, parent)]
    steps: list[Progress] = []
    assert history.repo.grep("text", progress=steps.append).total == 6
    assert {step.what for step in steps} == {"changes", "answers filed for search"}
    assert [s.total for s in steps if s.done == s.total] == [6, 7]
    steps.clear()
    assert history.repo.grep("text [45]", progress=steps.append).total == 2
    assert steps == []
    history.commit({0: ("text 6",), 1: ("same",)}, parent)
    assert history.repo.grep("text", progress=steps.append).total == 7
    assert [(s.done, s.total) for s in steps] == [(1, 1), (1, 1)]


@pytest.mark.parametrize(
    "table", [POSTINGS, POSTINGS + b"t", POSTINGS + b"p", POSTINGS + b"h", CHANGES, CHANGES + b"h"]
)
def test_a_lost_index_changes_nothing(history: History, table: bytes) -> None:
    parent: list[str] = []
    for number in range(4):
        parent = [history.commit({n: (f"text {n * number} of {n}", "drawn") for n in range(50)}, parent)]
    before = history.repo.grep("text 4. of")
    assert before.total == 18
    environment = history.repo.repository.store.index.environment
    rows = environment.scan(table)
    assert rows
    environment.put([], [key for key, _ in rows[::2]])
    assert history.repo.grep("text 4. of") == before
    history.repo.reindex()
    assert history.repo.grep("text 4. of") == before
    assert history.repo.fsck().ok


def test_an_index_that_cannot_be_written(history: History, tmp_path: Path) -> None:
    one = history.commit({0: ("yes",)})
    history.commit({0: ("no yes",)}, [one])
    history.repo.close()
    shutil.rmtree(tmp_path / "p" / ".bvc" / "bvc" / "index")
    (tmp_path / "p" / ".bvc" / "bvc" / "index").write_text("a file where the index belongs")
    with bvc.open(tmp_path / "p") as repo:
        assert repo.grep("yes").total == 2
        assert repo.grep("yes").total == 2
        assert len(listed(repo, LogSearch(text="no"))) == 1


def test_patterns_that_cannot_be_used(history: History) -> None:
    history.commit({0: ("a" * 5000 + "b",)})
    for pattern in ("(", "a{9999}{9999}", "(?R)", "x" * 3000):
        with pytest.raises(UsageError):
            history.repo.grep(pattern)
    with pytest.raises(UsageError, match="longer than 1 s"):
        history.repo.grep("(a|aa)+$")
    with pytest.raises(UsageError, match="longer than 1 s"):
        listed(history.repo, LogSearch(regex="(a|aa)+$"))
    assert history.repo.grep("x" * 3000, fixed=True).total == 0
    for search in (LogSearch(text="", probes=("p0",)), LogSearch(regex=""), LogSearch(text="a", regex="b")):
        with pytest.raises(UsageError):
            listed(history.repo, search)


def test_a_damaged_record_is_not_passed_over(history: History) -> None:
    history.commit({0: ("yes",)})
    store = history.repo.repository.store
    place = store.index.object_place(history.repo.rev_parse(f"HEAD:probe/{history.probe(0).id}"))
    assert place is not None
    pack = store.layout.git_packs / f"pack-{place[0]}.pack"
    pack.chmod(0o644)
    data = bytearray(pack.read_bytes())
    data[place[1] + 4] ^= 255
    pack.write_bytes(data)
    with pytest.raises(DamagedObject):
        history.repo.grep("yes")


def test_captures_attached_later_are_searched(project: Project) -> None:
    project.commit("one")
    registered = project.commit("two", capture=False).commit
    assert told(project.repo.grep("answer to probe 3", registered)) == {}
    assert project.repo.grep("answer to probe 3").matches[0].commits == 1
    project.repo.capture(engine=project.script.choice)
    assert project.repo.grep("answer to probe 3").matches[0].commits == 2
    assert list(told(project.repo.grep("answer to probe 3", registered)).values()) == [1]
