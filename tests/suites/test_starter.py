"""The built-in suite: large, varied, checkable, and harmless to print."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from pathlib import Path

import pytest

from bvc.records import Probe
from bvc.suites.load import suite_bytes
from bvc.suites.starter import starter_bytes
from tests.starter import starter_suite

PROBES = starter_suite().probes


def tagged(probe: Probe, name: str) -> list[str]:
    return [tag.partition(":")[2] for tag in probe.tags if tag.startswith(f"{name}:")]


def test_it_is_large_and_in_many_families() -> None:
    families = Counter(family for probe in PROBES for family in tagged(probe, "family"))
    assert len(PROBES) >= 150
    assert sum(families.values()) == len(PROBES)
    assert len(families) >= 12
    assert min(families.values()) >= 5


def test_every_probe_has_a_label_under_its_family_and_a_kind() -> None:
    for probe in PROBES:
        assert probe.name is not None
        assert probe.name.partition("/")[0] == tagged(probe, "family")[0]
        assert len(tagged(probe, "kind")) == 1


def test_the_file_is_in_the_form_that_bvc_writes() -> None:
    assert starter_bytes() == suite_bytes(PROBES)


def test_prompts_are_short() -> None:
    words = sorted(sum(len(m.content.split()) for m in probe.messages or ()) for probe in PROBES)
    assert words[len(words) // 2] <= 12
    assert words[-1] <= 40


def test_refusals_come_in_matched_pairs() -> None:
    pairs: dict[str, list[str]] = defaultdict(list)
    for probe in PROBES:
        if probe.cluster and probe.cluster.startswith("pair/"):
            pairs[probe.cluster] += [*tagged(probe, "family"), *tagged(probe, "expect")]
    assert len(pairs) >= 10
    for members in pairs.values():
        assert sorted(members) == ["comply", "over-refusal", "refusal", "refuse"]


def test_clusters_hold_more_than_one_probe() -> None:
    sizes = Counter(probe.cluster for probe in PROBES if probe.cluster)
    assert min(sizes.values()) >= 2


@pytest.mark.parametrize("family", ["arithmetic", "facts", "reasoning"])
def test_checkable_families_carry_their_answers(family: str) -> None:
    members = [probe for probe in PROBES if tagged(probe, "family") == [family]]
    assert all(tagged(probe, "answer") for probe in members)


def test_the_answers_of_sums_are_right() -> None:
    checked = 0
    for probe in PROBES:
        words = probe.text.removeprefix("What is ").removesuffix("?").split()
        if tagged(probe, "family") == ["arithmetic"] and len(words) == 3:
            a, b = int(words[0]), int(words[2])
            expected = {"+": a + b, "-": a - b, "*": a * b}[words[1]]
            assert tagged(probe, "answer") == [str(expected)]
            checked += 1
    assert checked >= 8


def test_references_are_natural_continuations_of_raw_prompts() -> None:
    with_reference = [probe for probe in PROBES if probe.reference is not None]
    assert with_reference
    for probe in with_reference:
        assert probe.prompt is not None
        assert probe.reference is not None
        assert probe.reference.startswith(" ")
        assert probe.reference.endswith(".")


def test_several_languages_and_canaries_are_there() -> None:
    languages = {language for probe in PROBES for language in tagged(probe, "lang")}
    assert len(languages) >= 10
    for probe in PROBES:
        for canary in tagged(probe, "canary"):
            assert any(canary in message.content for message in probe.messages or ())


def test_the_documented_families_are_those_of_the_file() -> None:
    text = (Path(__file__).parents[2] / "docs" / "suites.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| ([a-z-]+) \| (\d+) \|", text.partition("families: begin")[2], re.MULTILINE)
    counts = Counter(tagged(probe, "family")[0] for probe in PROBES)
    assert {family: int(count) for family, count in rows} == counts
    assert f"{len(PROBES)} short probes in {len(counts)} families" in text
