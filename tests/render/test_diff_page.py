"""`docs/diff.md` shows what `bvc diff` prints, and explains every line of it."""

from __future__ import annotations

from tests import screens
from tests.render.story import PAGE, agrees, rewritten, shown, story


def commands(page: str) -> list[screens.Command]:
    return [c for block in screens.blocks(page) if block.language == "console" for c in screens.commands(block.text)]


def test_the_page_shows_what_is_printed() -> None:
    page = PAGE.read_text(encoding="utf-8")
    written = commands(page)
    assert [c.text for c in written] == [
        "bvc diff",
        "bvc diff --stat",
        "bvc diff --probe weather-01",
        "bvc diff --behavior agrees",
    ]
    for command in written:
        assert agrees(command), "$ " + "\n".join([command.text, *shown(command.text)])
    assert rewritten(page) == page


def test_a_screen_that_is_out_of_date_is_seen_and_written_again() -> None:
    page = PAGE.read_text(encoding="utf-8")
    old = page.replace("● The model changed", "● The model moved")
    assert not agrees(commands(old)[0])
    assert agrees(commands(rewritten(old))[0])
    assert commands(rewritten(old))[1:] == commands(page)[1:]


def test_the_story_counts_what_it_tells() -> None:
    """The numbers that the story states agree with its own probes, as those of a real diff do."""
    result = story()
    assert len(result.probes) == result.summary.probes == 40
    assert sum(p.q_value is not None and p.q_value <= 0.05 for p in result.probes) == result.summary.outliers
    weather = [p for p in result.probes if "family:weather" in p.probe.tags]
    assert len(weather) == result.families[0].probes
    assert set(result.behaviors[0].gained) == {p.probe.id for p in weather}
    assert [p.rank for p in result.probes] == list(range(1, 41))
