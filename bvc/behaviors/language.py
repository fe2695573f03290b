"""The language that a text is written in.

Scripts that one language alone uses decide by themselves; for the others the naive Bayes model of py3langid (whose
loader reads plain arrays and unpickles nothing) chooses among the languages below.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from functools import lru_cache
from typing import Any

from bvc.behaviors.records import Score
from bvc.records import Probe

UNKNOWN = "und"
"""The code for "cannot be told": too short, no words, or several languages are as likely."""
SURE = 0.5
"""Least confidence at which a language counts as recognized."""
READ = 4000
"""Characters of a text that are looked at."""

NAMES = {
    "ar": "Arabic", "az": "Azerbaijani", "be": "Belarusian", "bg": "Bulgarian", "bn": "Bengali", "ca": "Catalan",
    "cs": "Czech", "cy": "Welsh", "da": "Danish", "de": "German", "el": "Greek", "en": "English", "eo": "Esperanto",
    "es": "Spanish", "et": "Estonian", "eu": "Basque", "fa": "Persian", "fi": "Finnish", "fr": "French", "ga": "Irish",
    "gu": "Gujarati", "he": "Hebrew", "hi": "Hindi", "hr": "Croatian", "hu": "Hungarian", "hy": "Armenian",
    "id": "Indonesian", "is": "Icelandic", "it": "Italian", "ja": "Japanese", "ka": "Georgian", "kk": "Kazakh",
    "km": "Khmer", "kn": "Kannada", "ko": "Korean", "la": "Latin", "lo": "Lao", "lt": "Lithuanian", "lv": "Latvian",
    "mk": "Macedonian", "ml": "Malayalam", "mr": "Marathi", "my": "Burmese", "nl": "Dutch", "no": "Norwegian",
    "pa": "Punjabi", "pl": "Polish", "pt": "Portuguese", "ro": "Romanian", "ru": "Russian", "sk": "Slovak",
    "sl": "Slovenian", "sq": "Albanian", "sr": "Serbian", "sv": "Swedish", "sw": "Swahili", "ta": "Tamil",
    "te": "Telugu", "th": "Thai", "tl": "Tagalog", "tr": "Turkish", "uk": "Ukrainian", "ur": "Urdu", "vi": "Vietnamese",
    "zh": "Chinese",
}  # fmt: skip
"""ISO 639-1 codes that can be recognized, with their English names."""

_RARE = frozenset({"ca", "cy", "eo", "eu", "ga", "la", "sq", "sl", "az", "is", "sw", "tl", "et", "mk", "be", "kk"})
_RARE_WEIGHT = 0.3
"""How much less often than others the rare languages are expected: a short text should not be Latin by a letter."""
_SCRIPTS = {
    "HIRAGANA": "ja", "KATAKANA": "ja", "HANGUL": "ko", "THAI": "th", "GREEK": "el", "HEBREW": "he", "ARMENIAN": "hy",
    "GEORGIAN": "ka", "TAMIL": "ta", "TELUGU": "te", "MALAYALAM": "ml", "KANNADA": "kn", "GUJARATI": "gu",
    "GURMUKHI": "pa", "KHMER": "km", "LAO": "lo", "MYANMAR": "my", "BENGALI": "bn",
}  # fmt: skip
_CODE = re.compile(r"```.*?(?:```|\Z)|`[^`\n]*`|https?://\S+|<[^<>\n]{1,40}>", re.DOTALL)


def language_of(text: str) -> tuple[str, float]:
    """(ISO 639-1 code, confidence in 0..1) of the language of most of `text`, code blocks and addresses left out.

    The code is "und" with confidence 0 where there are no words.
    """
    plain = " ".join(_CODE.sub(" ", text[: 2 * READ])[:READ].split())
    scripts = _scripts(plain)
    letters = scripts.total()
    if letters < 2:
        return UNKNOWN, 0.0
    kana = scripts["HIRAGANA"] + scripts["KATAKANA"]
    if kana and kana + scripts["CJK"] > letters / 2:
        return "ja", 1.0
    script, count = scripts.most_common(1)[0]
    if script == "CJK":
        return "zh", count / letters
    return (_SCRIPTS[script], count / letters) if script in _SCRIPTS else _classified(plain)


def recognized(text: str) -> str:
    """The code of a text's language, "und" where `language_of` is not sure."""
    code, confidence = language_of(text)
    return code if confidence >= SURE else UNKNOWN


@lru_cache(maxsize=4096)
def _script(character: str) -> str:
    return unicodedata.name(character, "UNKNOWN").split(" ", 1)[0].split("-")[0]


def _scripts(text: str) -> Counter[str]:
    return Counter(_script(character) for character in text if character.isalpha())


@lru_cache(maxsize=1)
def _identifier() -> Any:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    identifier = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    identifier.set_languages(list(NAMES))
    return identifier


def _classified(text: str) -> tuple[str, float]:
    ranked = _identifier().rank(text.lower())
    weighted = [(code, p * (_RARE_WEIGHT if code in _RARE else 1.0)) for code, p in ranked]
    code, best = max(weighted, key=lambda item: item[1])
    return code, best / sum(p for _, p in weighted)


def expected_language(probe: Probe) -> str:
    """The language that an answer should be in: the probe's `lang:` tag, else the language it is asked in."""
    tagged = next((tag.removeprefix("lang:") for tag in probe.tags if tag.startswith("lang:")), None)
    return tagged or recognized(probe.text)


def score_language(wanted: str, probe: Probe, text: str) -> Score:
    """1 where the text is in the language `wanted`, or for "other" in another one than the probe asks for.

    A text whose language cannot be told (a number, a name) is in none: 0.
    """
    found = recognized(text)
    what = "no language that can be told" if found == UNKNOWN else f"in {NAMES.get(found, found)}"
    if wanted != "other":
        return Score(float(found == wanted), what)
    expected = expected_language(probe)
    if expected == UNKNOWN:
        return Score(None, "the language of the prompt cannot be told")
    return Score(float(found not in (UNKNOWN, expected)), f"{what}, asked for {NAMES.get(expected, expected)}")
