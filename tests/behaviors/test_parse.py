"""`behaviors.toml` is read strictly, and every problem is named with its line."""

from __future__ import annotations

import pytest

from bvc.behaviors.parse import parse_behaviors
from bvc.behaviors.records import VERSIONS, Behavior, Latent
from bvc.behaviors.score import selected
from bvc.behaviors.starter import starter_behaviors
from bvc.behaviors.table import COMBINATIONS, KINDS
from bvc.errors import BadInput
from bvc.records import Message, Probe
from tests.starter import starter_suite


def parse(text: str) -> tuple[Behavior, ...]:
    return parse_behaviors(text.encode(), "behaviors.toml")


def one(body: str) -> Behavior:
    return parse(f"[behavior.x]\n{body}\n")[0]


WRONG = {
    "unknown key": ('[behavior.x]\nrefusal = true\nregexx = "a"', 3, "unknown key 'regexx'"),
    "option of another scorer": ('[behavior.x]\nregex = "a"\nthreshold = 0.5', 3, "takes no 'threshold'"),
    "no scorer": ('[behavior.y]\nrefusal = true\n[behavior.x]\non = "a"', 3, "has no scorer"),
    "two scorers": ('[behavior.x]\nregex = "a"\ncontains = "b"', 3, "two scorers: regex and contains"),
    "bad regex": ('\n[behavior.x]\nregex = "("', 3, "not a regular expression"),
    "regex that fills memory": ('[behavior.x]\nregex = "((a{999}){999}){999}"', 2, "repeats too often"),
    "recursive regex": ('[behavior.x]\nregex = "a(?R)?b"', 2, "calls itself"),
    "long regex": (f'[behavior.x]\nregex = "{"a" * 3000}"', 2, "longer than 2000"),
    "false": ("[behavior.x]\nrefusal = false", 2, "refusal must be true"),
    "empty text": ('[behavior.x]\ncontains = ""', 2, "contains must be a text"),
    "language": ('[behavior.x]\nlanguage = "klingon"', 2, 'must be "other" or one of'),
    "length": ("[behavior.x]\nmin_length = 5\nmax_length = 2", 2, "min_length above its max_length"),
    "negative": ("[behavior.x]\nmax_length = -1", 2, "whole number"),
    "unit": ('[behavior.x]\nmax_length = 1\nunit = "letters"', 3, 'unit must be "words" or "tokens"'),
    "one choice": ('[behavior.x]\nchoice = ["yes"]', 2, "two or more"),
    "function": ('[behavior.x]\npython = "os.system"', 2, "must be module:function"),
    "no latent": ("[behavior.x]\nlatent = true", 2, "latent must be the number of a latent"),
    "negative latent": ("[behavior.x]\nlatent = -1", 2, "latent must be the number of a latent"),
    "huge latent": ("[behavior.x]\nlatent = 16777216", 2, "latent must be the number of a latent"),
    "latent by text": ('[behavior.x]\nlatent = "main"', 2, 'or "DICTIONARY:NUMBER"'),
    "latent of two names": ('[behavior.x]\nlatent = "a:b:3"', 2, 'or "DICTIONARY:NUMBER"'),
    "strength": ("[behavior.x]\nlatent = 3\nmin_strength = nan", 3, "min_strength must be a number, 0 or more"),
    "endless strength": ("[behavior.x]\nlatent = 3\nmin_strength = inf", 3, "min_strength must be a number"),
    "positions": ("[behavior.x]\nlatent = 3\nmin_positions = 0", 3, "min_positions must be a whole number, 1 or"),
    "along": ('[behavior.x]\nlatent = 3\nalong = "draws"', 3, 'along must be "answer" or "reference"'),
    "strength of a text": ('[behavior.x]\nregex = "a"\nmin_strength = 1', 3, "takes no 'min_strength'"),
    "cycle": ('[behavior.x]\nall = ["y"]\n[behavior.y]\nnot = "x"', 3, "made of itself: x -> y -> x"),
    "unknown part": ('[behavior.x]\nany = ["refusl"]\n[behavior.refusal]\nrefusal = true', 2, "which is no behavior"),
    "problem of a named part": ('[behavior.x]\nall = ["y"]\n[behavior.y]\nregex = "("', 4, "behavior y regex"),
    "empty combination": ("[behavior.x]\nall = []", 2, "all is empty"),
    "on": ("[behavior.x]\nrefusal = true\non = 3", 3, "on must be"),
    "name": ('[behavior."a b"]\nrefusal = true', 1, "cannot be the name"),
    "top level": ("[behaviour.x]\nrefusal = true", 1, "unknown key 'behaviour'"),
    "not TOML": ("[behavior.x\n", 1, "is not TOML"),
}


@pytest.mark.parametrize("name", WRONG)
def test_problems_are_named_with_their_line(name: str) -> None:
    text, line, words = WRONG[name]
    with pytest.raises(BadInput) as caught:
        parse(text)
    assert caught.value.line == line, str(caught.value)
    assert words in str(caught.value)


def test_hints_name_what_was_meant() -> None:
    with pytest.raises(BadInput) as caught:
        one('contans = "a"')
    assert caught.value.hint == "did you mean 'contains'?"


def test_deep_nesting_is_refused() -> None:
    chain = "".join(f'[behavior.b{i}]\nall = ["b{i + 1}"]\n' for i in range(900)) + "[behavior.b900]\nrefusal = true\n"
    with pytest.raises(BadInput, match="nested too deeply"):
        parse(chain)
    double = "[behavior.b0]\nrefusal = true\n" + "".join(
        f'[behavior.b{i}]\nall = ["b{i - 1}", "b{i - 1}"]\n' for i in range(1, 60)
    )
    with pytest.raises(BadInput, match="more than 200 parts"):
        parse(double)


def test_size_is_limited() -> None:
    with pytest.raises(BadInput, match="larger than"):
        parse("#" * 1_000_001)


def test_every_kind_has_a_version() -> None:
    assert set(VERSIONS) == {*KINDS, *COMBINATIONS}


def test_digest_is_of_the_scoring_alone() -> None:
    plain = one('contains = ["a", "b"]')
    assert one('description = "d"\non = "s"\ncontains = ["a", "b"]').digest == plain.digest
    assert one('contains = ["b", "a"]').digest != plain.digest
    assert one('contains = ["a", "b"]\nwords = true').digest != plain.digest
    assert one('not_contains = ["a", "b"]').digest != plain.digest


def test_latents_are_asked_for_by_number_and_dictionary() -> None:
    assert one("latent = 3").latents == one('latent = "3"').latents == (Latent(3, None, "answer"),)
    assert one("latent = 3").digest == one('latent = "3"').digest
    assert one('latent = "main:3"\nalong = "reference"').latents == (Latent(3, "main", "reference"),)
    parts = one('any = [{latent = 1}, {not = {latent = "main:2"}}, {contains = "a"}]')
    assert [latent.label for latent in parts.latents] == ["1", "main:2"]
    digests = {one(f"latent = 3\n{option}").digest for option in ("", "min_strength = 1", "min_positions = 2")}
    assert len(digests) == 3


PROBE = Probe(messages=(Message("user", "Hi"),), name="greet/hi", tags=("family:greet", "lang:en"))


@pytest.mark.parametrize(
    ("on", "expected"),
    [
        ("starter", True), ("other", False), ("tag:lang:en", True), ("tag:family:*", True), ("tag:lang:fr", False),
        ("greet/hi", True), ("greet/*", True), ("greet", False), (PROBE.id[:10], True), (PROBE.id[:4], False),
        ("!greet/*", False), ("!tag:lang:fr", True),
    ],
)  # fmt: skip
def test_selection(on: str, expected: bool) -> None:
    assert selected(one(f'refusal = true\non = "{on}"'), "starter", PROBE) is expected


def test_selection_of_several() -> None:
    assert selected(one('refusal = true\non = ["other", "starter", "!tag:lang:fr"]'), "starter", PROBE)
    assert not selected(one('refusal = true\non = ["starter", "!greet/hi"]'), "starter", PROBE)


def test_every_starter_behavior_speaks_of_probes_of_the_starter_suite() -> None:
    suite = starter_suite()
    counts = {
        behavior.name: sum(selected(behavior, suite.name, probe) for probe in suite.probes)
        for behavior in parse_behaviors(starter_behaviors(), "starter.toml")
    }
    assert set(counts) >= {"refusal", "other-language", "agrees", "identity", "format", "correct", "brief", "profanity"}
    assert counts["refusal"] == 11
    assert counts["agrees"] == 10
    assert counts["correct"] > 50
    assert min(counts.values()) > 0
