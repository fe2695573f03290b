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
    ChannelDistance,
    DiffResult,
    DiffSummary,
    LayerDistance,
    LogEntry,
    LogStat,
    Overall,
    ProbeDiff,
    ProbeView,
    ShowResult,
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
        q_value=0.0012 * rank**2,
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
