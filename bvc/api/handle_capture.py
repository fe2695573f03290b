"""Verbs of `Repo` that run a model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bvc.api.handle_project import ProjectHandle, several

if TYPE_CHECKING:
    from bvc.api.amplify import AmplifyResult
    from bvc.api.explore_records import ExploreResult
    from bvc.results import CaptureResult, CommitResult


class CaptureVerbs(ProjectHandle):
    """commit, capture, explore, amplify."""

    def commit(
        self,
        checkpoint: str | Path | None = None,
        *,
        outputs: str | Path | None = None,
        parents: str | Sequence[str] = (),
        suites: str | Sequence[str] = (),
        **options: Any,
    ) -> CommitResult:
        """Captures a checkpoint (or takes recorded `outputs` of the model called `model`) and commits it.

        `options` are the other fields of `bvc.api.commit_records.CommitOptions`: message, draws, max_new_tokens,
        dtype, device, batch_size, seed, base, capture and so on.
        """
        from bvc.api.commit import commit
        from bvc.api.commit_records import CommitOptions

        asked = CommitOptions(
            checkpoint=None if checkpoint is None else str(checkpoint),
            outputs=None if outputs is None else Path(outputs),
            parents=several(parents),
            suites=several(suites),
            **{"author": self.author, **options},
        )
        return commit(self.repository, asked)

    def capture(self, revisions: str | Sequence[str] = (), **options: Any) -> CaptureResult:
        """Captures what commits (default HEAD) lack, and attaches it to them; history stays as it is.

        `options` are the fields of `bvc.api.capture_more.CaptureOptions` (more_draws, probes, suites, features,
        checkpoint) and of `bvc.api.checkpoints.PairOptions` (base, dtype, device, batch_size, progress and so on).
        """
        from bvc.api.capture_more import CaptureOptions, capture
        from bvc.api.checkpoints import divided

        what, how = divided({"author": self.author, **options}, CaptureOptions)
        return capture(self.repository, several(revisions), what, how)

    def explore(self, a: str | None = None, b: str | None = None, **options: Any) -> ExploreResult:
        """New probes where B and A differ most, found with both checkpoints; commits as in `diff`.

        `options` are the fields of `bvc.api.explore_records.ExploreOptions` (probes, limit, prefills, seed, add, pick)
        and of `bvc.api.checkpoints.PairOptions` (checkpoint_a, checkpoint_b, base, dtype, device, progress and so on).
        """
        from bvc.api.checkpoints import divided
        from bvc.api.explore import explore
        from bvc.api.explore_records import ExploreOptions

        what, how = divided(options, ExploreOptions)
        return explore(self.repository, a, b, what=what, options=how)

    def amplify(
        self, a: str, b: str, prompts: str | Sequence[str] = (), *, probes: str | Sequence[str] = (), **options: Any
    ) -> AmplifyResult:
        """Samples `prompts` and recorded `probes` from the amplified difference of B and A: to show, not to test.

        `options` are the fields of `bvc.api.amplify.AmplifyOptions` (alphas, draws, max_new_tokens, plausible) and of
        `bvc.api.checkpoints.PairOptions`.
        """
        from bvc.api.amplify import AmplifyOptions, amplify
        from bvc.api.checkpoints import divided

        what, how = divided(options, AmplifyOptions)
        return amplify(self.repository, a, b, several(prompts), several(probes), what=what, options=how)
