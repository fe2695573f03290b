"""Verbs of `Repo` that compare commits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bvc.api.handle_project import ProjectHandle, Report, several

if TYPE_CHECKING:
    from bvc.api.axes import AxisResult
    from bvc.api.identify_records import IdentifyResult
    from bvc.api.shift import ShiftResult
    from bvc.compare.shift import SiteShift
    from bvc.results import DiffResult, NoiseResult, ProbeDetail, ProbeDiff


class CompareVerbs(ProjectHandle):
    """diff, identify, axis, shift, noise."""

    def diff(
        self,
        a: str | None = None,
        b: str | None = None,
        *,
        channels: Sequence[str] = (),
        judge_key: str | None = None,
        progress: Report | None = None,
    ) -> DiffResult:
        """What B does differently from A. Default `HEAD~1 HEAD`; with `a` alone `a HEAD`, or `a` may be `A..B`.

        `judge_key` is the key of the server that judges meaning, where the settings name one."""
        from bvc.api.background import Judging
        from bvc.api.diff import diff

        return diff(self.repository, a, b, channels=channels, judging=Judging(judge_key, progress))

    def diff_probe(
        self, a: str | None, b: str | None, probe: str, *, channels: Sequence[str] = ()
    ) -> tuple[ProbeDiff, ProbeDetail]:
        """One probe (label, id or abbreviation) of the diff of A and B, with its draws and per-token log-probs."""
        from bvc.api.diff_probe import diff_probe

        return diff_probe(self.repository, a, b, probe, channels=channels)

    def probe_detail(self, a: str, b: str, probe: str) -> ProbeDetail:
        """The draws and per-token log-probs of a probe of a diff that is already there; all three are full ids."""
        from bvc.api.diff_probe import probe_detail

        return probe_detail(self.repository, a, b, probe)

    def identify(
        self,
        checkpoint: str | Path | None = None,
        *,
        outputs: str | Path | None = None,
        against: str | Sequence[str] = (),
        **options: Any,
    ) -> IdentifyResult:
        """Which recorded commit a checkpoint, or the author of the answers in the file `outputs`, is or is nearest to.

        `options` are the other fields of `bvc.api.identify_records.IdentifyOptions` (probes, confidence) and of
        `bvc.api.checkpoints.PairOptions` (base, dtype, device, batch_size, progress and so on).
        """
        from bvc.api.checkpoints import divided
        from bvc.api.identify import identify
        from bvc.api.identify_records import IdentifyOptions

        what, how = divided(options, IdentifyOptions)
        asked = replace(
            what,
            checkpoint=None if checkpoint is None else str(checkpoint),
            outputs=None if outputs is None else Path(outputs),
            against=tuple(several(against)),
        )
        return identify(self.repository, asked, how)

    def axis(self, first: str, second: str, revision: str = "HEAD", moved: str | Sequence[str] = ()) -> AxisResult:
        """The direction in which a commit tells probes tagged `first` from those tagged `second`, and how far all
        probes moved along it to each of the commits `moved` (a range stands for each of its commits)."""
        from bvc.api.axes import axis

        return axis(self.repository, first, second, revision, several(moved))

    def shift(self, a: str = "HEAD~1", b: str = "HEAD") -> dict[str, SiteShift]:
        """The mean shift of the hidden states from commit `a` to commit `b`, by site: length and direction with
        intervals, and how many directions the shifts of single probes span beyond chance."""
        from bvc.api.shift import shift

        return shift(self.repository, a, b).sites

    def features_shift(self, a: str | None = None, b: str | None = None, **options: Any) -> ShiftResult:
        """`shift` with both commits (revisions as in `diff`) and the site that leads; with `tokens` also the tokens
        that the shift promotes and demotes.

        `options` are the fields of `bvc.api.shift.ShiftOptions` (tokens, checkpoint) and of
        `bvc.api.checkpoints.PairOptions`.
        """
        from bvc.api.checkpoints import divided
        from bvc.api.shift import ShiftOptions, shift

        return shift(self.repository, a, b, *divided(options, ShiftOptions))

    def noise_learn(self, pairs: Sequence[tuple[str, str]], level: str = "N1") -> NoiseResult:
        """Remembers that in each pair the second revision differs from the first by a benign update (N1 or N2)."""
        from bvc.api.noise_pairs import noise_learn

        return noise_learn(self.repository, pairs, level, author=self.author)

    def noise_forget(self, pairs: Sequence[tuple[str, str]]) -> None:
        """Trusts these pairs no longer."""
        from bvc.api.noise_pairs import noise_forget

        noise_forget(self.repository, pairs, author=self.author)

    def noise(self, revision: str = "HEAD") -> NoiseResult:
        """Which harmless changes are known, and how far they move a model, from the point of view of a commit."""
        from bvc.api.noise_pairs import noise_show

        return noise_show(self.repository, revision)
