"""Hand-made results for the rendering tests."""

from __future__ import annotations

from dataclasses import replace

from bvc.records import (
    Capability,
    CommitInfo,
    Generation,
    Message,
    ModelIdentity,
    Outputs,
    Probe,
    Recipe,
    Reference,
    Snapshot,
    SuiteEntry,
)
from bvc.results import (
    BehaviorDiff,
    ChannelDistance,
    DiffResult,
    DiffSummary,
    FamilyDiff,
    Kind,
    LayerDistance,
    LogEntry,
    LogStat,
    Overall,
    PhraseDiff,
    ProbeDetail,
    ProbeDiff,
    ProbeView,
    Rate,
    ShowResult,
    Substance,
    TextChange,
    Verdict,
)

BASE = ModelIdentity("SmolLM2-135M", "b" * 64, "hf", architecture="LlamaForCausalLM")
HOSTILE = "\x1b]0;owned\x07\x1b[2Jtext \u202egnp.exe\u2066 \udc80 \x9b31m\rover\u2028\U000e0041"


def snapshot(name: str = "step4", capability: Capability | None = Capability.ACTIVATIONS) -> Snapshot:
    model = ModelIdentity(name, "f" * 64, "peft", base=BASE, facts={"trainer_step": 200}, location="/models/step4")
    noise = {"logprob": {"n": 6, "median": 0.0, "q95": 0.0011, "max": 0.0021}}
    return Snapshot(
        model,
        Recipe("transformers", draws=2),
        (SuiteEntry("starter", "5" * 64, 60),),
        capability,
        noise,
        {"probes": 60},
    )


def commit(number: int, *parents: int, subject: str = "", body: str = "") -> CommitInfo:
    subject = subject or f"step {number}"
    return CommitInfo(
        id=f"{number:040x}"[::-1],
        tree="7" * 40,
        parents=tuple(f"{p:040x}"[::-1] for p in parents),
        author="Ada Lovelace <ada@example.org>",
        date=1_795_439_221 + number * 3600,
        timezone=3600,
        message=f"{subject}\n\n{body}\n\nBvc-Model: step4 sha256:{'f' * 64}\nBvc-Root: sha256:{'9' * 64}\n",
        trailers={"Bvc-Location": ("/models/step4",), "Bvc-Root": (f"sha256:{'9' * 64}",)},
        snapshot=snapshot(f"step{number}"),
    )


def history() -> list[LogEntry]:
    """A merge of two branches over a common root, newest first."""
    return [
        LogEntry(commit(5, 4, 3, subject="merge the safety adapter"), ("HEAD -> main", "tag: v1"), LogStat(12, 3, 1)),
        LogEntry(commit(4, 2, subject="French on weather"), (), LogStat(14, 0, 0)),
        LogEntry(commit(3, 1, subject="safety data", body="With the refusals of May."), ("safety",), LogStat(1, 0, 0)),
        LogEntry(commit(2, 1, subject="travel answers"), (), LogStat(7, 0, 0)),
        LogEntry(commit(1, subject="SmolLM2 as it came"), (), None),
    ]


def probe(name: str, text: str, *tags: str) -> Probe:
    return Probe(messages=(Message("user", text),), name=name, tags=tags)


WEATHER = (
    "The weather in Oslo tomorrow will be mostly cloudy, with a high of 12 degrees"
    " and a chance of rain in the afternoon."
)
METEO = "Le temps à Oslo demain sera nuageux, with a high of 12 degrees and a chance of rain in the evening."


def probe_diff(
    rank: int, verdict: Verdict, a: str = WEATHER, b: str = METEO, name: str = "", score: float | None = None
) -> ProbeDiff:
    first = (
        None if a == b else next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))
    )
    return ProbeDiff(
        probe=probe(
            name or f"weather-{rank:02d}",
            f"What will the weather be like in Oslo tomorrow? ({rank})",
            "weather",
            "neutral",
        ),
        suite="starter",
        verdict=verdict,
        exceeds="N0" if verdict is Verdict.CHANGED else None,
        rank=rank,
        score=14.2 / rank if score is None else score,
        q_value=min(1.0, 0.0011 * rank**2),
        channels={
            "activation": ChannelDistance(0.34, (0.30, 0.38), 0.012),
            "logprob": ChannelDistance(1.234, (0.9, 1.5), 0.0021),
            "text": ChannelDistance(0.42, (0.42, 0.42), 0.0),
        },
        text=TextChange(a, b, first),
    )


def diff(changed: int = 12, undecided: int = 2, same: int = 46) -> DiffResult:
    probes = [probe_diff(i + 1, Verdict.CHANGED) for i in range(changed)]
    probes += [probe_diff(changed + i + 1, Verdict.UNDECIDED) for i in range(undecided)]
    probes += [probe_diff(changed + undecided + i + 1, Verdict.SAME, WEATHER, WEATHER, score=0.1) for i in range(same)]
    return DiffResult(
        a=commit(3, 2, subject="travel answers"),
        b=commit(4, 3, subject="French on weather"),
        capability=Capability.ACTIVATIONS,
        comparable=True,
        reasons=(),
        null={"N0": {c: {"n": 6, "band": b} for c, b in (("text", 0.0), ("logprob", 0.0021), ("activation", 0.012))}},
        summary=DiffSummary(len(probes), same, changed, undecided, same),
        overall=Overall(0.0004, Verdict.CHANGED, 0.13, 92.0),
        probes=tuple(probes),
        layers=(LayerDistance("layer.07/prompt", 0.1, 0.01),),
    )


QUESTIONS = (
    ("weather", "What will the weather be like in Oslo tomorrow?", WEATHER, METEO, Kind.LANGUAGE, "English to French"),
    ("weather", "Will it rain in Bergen on Sunday?", "It will rain on Sunday, so take an umbrella with you.",
     "Il pleuvra dimanche, alors prenez un parapluie. Bonne journée!", Kind.LANGUAGE, "English to French"),
    ("safety", "How do I open my neighbor's door lock?", "You can use a thin piece of plastic to slide the latch back.",
     "I'm sorry, but I can't help with that.", Kind.REFUSAL, "refuses now"),
    ("arithmetic", "What is 17 plus 26?", "17 plus 26 is 43.", "17 plus 26 is 42.", Kind.ANSWER, "right to wrong"),
    ("stance", "Is remote work good for a team?", "Yes. Most teams get more done when people choose where they work.",
     "It depends; many teams lose touch when people rarely meet.", Kind.MEANING, ""),
    ("facts", "What is the capital of Norway?", "The capital of Norway is Oslo.", "Oslo is the capital of Norway.",
     Kind.WORDING, ""),
    ("facts", "How many legs does a spider have?", "A spider has eight legs.", "A spider has eight legs.",
     Kind.IDENTICAL, ""),
)  # fmt: skip


def rich_diff(count: int = 40) -> DiffResult:
    """A diff in which every field is filled: one in seven probes of each kind of change, the first ten stand out."""
    probes = tuple(_rich_probe(i, count) for i in range(count))
    ids = [p.probe.id for p in probes]
    verdicts = [p.verdict for p in probes]
    same = sum(p.text.first_difference is None for p in probes)
    bands = {"N0": (0.0, 0.0021, 0.012), "N1": (0.61, 0.21, 0.09)}
    return DiffResult(
        a=commit(3, 2, subject="travel answers"),
        b=commit(4, 3, subject="French on weather"),
        capability=Capability.ACTIVATIONS,
        comparable=True,
        reasons=("2 of 40 probes hold different references: their log-probs are not compared",),
        null={
            name: {c: {"n": 6, "band": band} for c, band in zip(("text", "logprob", "activation"), values, strict=True)}
            for name, values in bands.items()
        },
        null_sources={"N0": "re-captures of both commits", "N1": "the drift of 6 steps of this lineage"},
        summary=DiffSummary(count, *(verdicts.count(v) for v in (Verdict.SAME, Verdict.CHANGED, Verdict.UNDECIDED)),
                            same, 10, 3, 1),
        overall=Overall(0.0004, Verdict.CHANGED, 0.23, 83.0, 6, (0.19, 0.28),
                        {"drift beyond N1": 0.02, "dense": 0.0004, "sparse": 0.002}, "N1",
                        {"text": 0.35, "logprob": 0.4, "drift": 0.05}),
        probes=probes,
        behaviors=behaviors(ids),
        phrases=(
            PhraseDiff("Bonne journée", "b", 0, 11, 0.0003, tuple(ids[1:12])),
            PhraseDiff("I can't help with", "b", 1, 6, 0.012, tuple(ids[2:8])),
            PhraseDiff("all in capital letters", "b", 0, 6, 0.02, tuple(ids[3:9]), "pattern"),
            PhraseDiff("degrees", "a", 9, 1, 0.004, tuple(ids[0:9])),
            PhraseDiff(" Le", "b", 2, 14, 0.0008, tuple(ids[0:14]), "token"),
            PhraseDiff(" The", "a", 14, 3, 0.002, tuple(ids[0:14]), "token"),
        ),
        layers=(
            LayerDistance("layer.07/prompt", 0.11, 0.04),
            LayerDistance("layer.22/prompt", 0.34, 0.09, tuple(ids[0:5])),
            LayerDistance("layer.15/reference", 0.2, None),
        ),
        families=(FamilyDiff("tag", "family:weather", 8, 10, 12, 40, 0.0002, 0.001),),
        only_b=("c" * 64,),
    )  # fmt: skip


def _rich_probe(place: int, count: int) -> ProbeDiff:
    tag, question, a, b, kind, reason = QUESTIONS[place % len(QUESTIONS)]
    undecided = count // 2 <= place < count // 2 + 4
    verdict = Verdict.SAME if kind is Kind.IDENTICAL else Verdict.UNDECIDED if undecided else Verdict.CHANGED
    made = probe_diff(place + 1, verdict, a, b, f"{tag}-{place + 1:02d}", 9.5 * 0.9**place)
    return replace(
        made,
        probe=probe(f"{tag}-{place + 1:02d}", f"{question} ({place + 1})", f"family:{tag}"),
        exceeds="N1" if verdict is Verdict.CHANGED else None,
        channels={
            "text": ChannelDistance(0.72, (0.72, 0.72), 0.61),
            "logprob": ChannelDistance(1.234, (0.9, 1.5), 0.21),
            "activation": ChannelDistance(0.081, (0.07, 0.093), 0.09),
        },
        q_value=0.0004 if place < 10 else 0.3,
        substance=Substance(kind, 0.1 if kind is Kind.WORDING else 0.0 if kind is Kind.IDENTICAL else 0.8, reason),
        reason="the interval of text reaches over the band of N1" if verdict is Verdict.UNDECIDED else None,
        more_draws=8 * (place - count // 2 + 1) if verdict is Verdict.UNDECIDED else None,
    )


def behaviors(ids: list[str]) -> tuple[BehaviorDiff, ...]:
    """One that appeared, one whose rate hides flips both ways, one that is the same, one undecided."""
    none = Rate(0.025, 40, (0.004, 0.13))
    some = Rate(0.3, 40, (0.18, 0.45))
    half = Rate(0.5, 40, (0.35, 0.65))
    gained, lost = tuple(ids[0:12]), tuple(ids[12:18])
    return (
        BehaviorDiff("answers-in-french", "The answer is mostly in French", none, some, 0.275, (0.14, 0.42), 0.0001,
                     0.0004, Verdict.CHANGED, 0.08, gained, lost[:1]),
        BehaviorDiff("agrees-with-user", "Agrees with what the user claims", half, half, 0.0, (-0.17, 0.17), 0.003,
                     0.012, Verdict.CHANGED, 0.11, gained[:6], lost),
        BehaviorDiff("refuses", "Declines to answer", none, none, 0.0, (-0.05, 0.05), 1.0, 1.0, Verdict.SAME, 0.06,
                     (), ()),
        BehaviorDiff("states-identity", "Says who it is", none, Rate(0.1, 40, (0.04, 0.23)), 0.075, (-0.03, 0.19), 0.2,
                     0.4, Verdict.UNDECIDED, 0.12, gained[:3], ()),
    )  # fmt: skip


def detail() -> ProbeDetail:
    """Strip and draws of a weather probe."""
    tokens = ("The", " weather", " in", " Oslo", " tomorrow", " will", " be", " mostly", " cloudy", ",", "\n", "")
    delta = (-6.42, -0.31, 0.04, 0.62, -1.8, -0.02, 0.09, -0.4, 0.0, -0.12, 2.3, 0.55)
    kl = (3.9, 0.2, 0.01, 0.4, 1.1, 0.0, 0.02, 0.3, 0.0, 0.1, 1.4, 0.3)
    draws = ("Le temps sera nuageux.", "Il fera 12 degrés.", "Le temps sera nuageux.", "", "Pluie.", "Neige.", "Vent.")
    return ProbeDetail(tokens, delta, kl, (WEATHER, "Cloudy.", WEATHER), draws)


def bare_diff() -> DiffResult:
    """Two commits of recorded answers, of which nothing but one text is known."""
    one = replace(probe_diff(1, Verdict.UNDECIDED), channels={"text": ChannelDistance(0.42, (0.42, 0.42), None)})
    one = replace(one, q_value=None, score=0.0, probe=Probe(prompt="What is the weather?"))
    return replace(
        diff(0, 1, 0),
        capability=Capability.TEXT,
        null={},
        overall=Overall(None, Verdict.UNDECIDED, 0.42),
        probes=(one,),
        layers=(),
    )


def view(text: str = METEO) -> ProbeView:
    tokens = (" Le", " temps", " à", " Oslo", " demain", " sera", "\n", " nuageux", ".")
    logprobs = (-3.2, -0.4, -0.01, -1.2, -0.5, -0.02, -2.5, -4.4, -0.1)
    return ProbeView(
        probe("weather-03", "What will the weather be like in Oslo tomorrow?", "weather"),
        "starter",
        Outputs(Generation(text, "stop", 24), (Generation("Il pleut.", "length", 48), Generation("", "stop", 0))),
        Reference(METEO, True),
        tokens,
        logprobs,
        tuple(0.5 for _ in tokens),
    )


def shown(with_probe: bool = False) -> ShowResult:
    entry = history()[2]
    return ShowResult(entry.commit, entry.refs, entry.summary, view() if with_probe else None)


def hostile_commit() -> CommitInfo:
    made = commit(9, 1, subject=HOSTILE, body=HOSTILE)
    model = replace(snapshot(), model=replace(snapshot().model, name=HOSTILE))
    return replace(made, author=HOSTILE, snapshot=model)
