"""Languages of short sentences: measured on sentences that nobody tuned the detector on."""

from __future__ import annotations

from collections import Counter, defaultdict
from pathlib import Path

import pytest

from bvc.behaviors.language import SURE, UNKNOWN, expected_language, language_of, score_language
from bvc.records import Message, Probe
from tests.starter import starter_suite

FILE = Path(__file__).parent / "data" / "sentences.txt"


def sentences() -> dict[str, list[str]]:
    """`{language: sentences}` of the file."""
    found: dict[str, list[str]] = defaultdict(list)
    language = ""
    for line in FILE.read_text(encoding="utf-8").splitlines():
        if line.startswith("["):
            language = line.strip("[]")
        elif line:
            found[language].append(line)
    return found


def shares(words: int | None) -> Counter[str]:
    """How many sentences, cut to so many words, are recognized right, wrong, or not at all."""
    counts: Counter[str] = Counter()
    for language, texts in sentences().items():
        for text in texts:
            code, confidence = language_of(" ".join(text.split()[:words]))
            counts["unknown" if confidence < SURE else "right" if code == language else "wrong"] += 1
    return counts


@pytest.mark.parametrize(("words", "right", "wrong"), [(None, 0.97, 0.01), (5, 0.95, 0.01), (3, 0.8, 0.02)])
def test_short_sentences(words: int | None, right: float, wrong: float) -> None:
    counts = shares(words)
    total = counts.total()
    assert total == 220
    assert counts["right"] >= right * total
    assert counts["wrong"] <= wrong * total


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("你好，世界", "zh"),
        ("おはようございます", "ja"),
        ("안녕하세요", "ko"),
        ("Καλημέρα", "el"),
        ("สวัสดี", "th"),
        ("שלום", "he"),
    ],
)
def test_scripts_of_one_language(text: str, code: str) -> None:
    assert language_of(text)[0] == code


@pytest.mark.parametrize("text", ["", "42", "Ottawa", "```\nfor x in y: print(x)\n```", "https://example.org", "?!"])
def test_what_cannot_be_told(text: str) -> None:
    code, confidence = language_of(text)
    assert code == UNKNOWN or confidence < SURE


def test_code_blocks_do_not_count() -> None:
    text = "Voici une fonction qui ajoute deux nombres :\n```python\n" + "def add(first, second): return first\n" * 20
    assert language_of(text)[0] == "fr"


def test_other_means_not_the_language_of_the_prompt() -> None:
    english = Probe(messages=(Message("user", "What should I wear when it rains tomorrow?"),))
    french = Probe(messages=english.messages, tags=("lang:fr",))
    answer = "Il pleut souvent ici, alors prenez un parapluie."
    assert score_language("other", english, answer).value == 1
    assert score_language("other", french, answer).value == 0
    assert score_language("other", english, "42").value == 0
    assert score_language("other", Probe(prompt="x = 3"), answer).value is None


def test_languages_of_the_starter_suite() -> None:
    named = {"french": "fr", "german": "de", "spanish": "es", "italian": "it", "russian": "ru", "chinese": "zh",
             "japanese": "ja", "arabic": "ar", "hindi": "hi"}  # fmt: skip
    probes = {probe.name: probe for probe in starter_suite().probes}
    for name, code in named.items():
        untagged = Probe(messages=probes[f"languages/{name}"].messages)
        assert expected_language(untagged) == code, name
    english = [p for p in probes.values() if "family:languages" not in p.tags and p.messages]
    assert sum(expected_language(p) == "en" for p in english) >= 0.95 * len(english)
