"""Verbs of `Repo` about dictionaries."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bvc.api.handle_project import ProjectHandle

if TYPE_CHECKING:
    from bvc.api.features_records import DictionaryEntry, FitResult, LatentView
    from bvc.api.steer_records import Direction, SteerResult
    from bvc.dictionaries import StoredDictionary
    from bvc.exclusive import ExclusiveResult
    from bvc.feature_results import FeatureDiff


class FeatureVerbs(ProjectHandle):
    """features: fit, ls, show, diff, exclusive, steer, export, import."""

    def features_fit(self, revision: str | None = None, **options: Any) -> FitResult:
        """Fits a dictionary on the model of a commit (default: the first of HEAD's lineage) and stores it.

        `options` are the fields of `bvc.api.features_records.FitOptions` (name, depth, latents, k, tokens, corpus and
        so on) and of `bvc.api.checkpoints.PairOptions` (base, dtype, device, progress and so on).
        """
        from bvc.api.checkpoints import divided
        from bvc.api.features_fit import fit
        from bvc.api.features_records import FitOptions

        what, how = divided({"author": self.author, **options}, FitOptions)
        return fit(self.repository, revision, what, how)

    def dictionaries(self) -> tuple[DictionaryEntry, ...]:
        """All dictionaries by name."""
        from bvc.api.features import list_dictionaries

        return tuple(list_dictionaries(self.repository))

    def dictionary(self, name: str | None = None) -> StoredDictionary:
        """One dictionary (default: the one that commits use), by name or digest."""
        from bvc.repository.dictionaries import chosen_dictionary

        return chosen_dictionary(self.repository, name)

    def latent(self, latent: int, dictionary: str | None = None) -> LatentView:
        """What a latent is, and how it fires along the lineage of HEAD."""
        from bvc.api.features import show_latent

        return show_latent(self.repository, latent, dictionary)

    def features_diff(
        self, a: str | None = None, b: str | None = None, *, everything: bool = False, along: str | None = None
    ) -> FeatureDiff:
        """Which latents fire otherwise in B than in A; commits as in `diff`. `everything`: not the top alone; `along`:
        "answer" or "reference" (default: answers, where both sides have them)."""
        from bvc.api.features_diff import SHOWN, features_diff

        return features_diff(self.repository, a, b, most=sys.maxsize if everything else SHOWN, along=along)

    def features_exclusive(self, a: str | None = None, b: str | None = None, **options: Any) -> ExclusiveResult:
        """What only the model of A or only that of B has, of any two architectures; commits as in `diff`. The result
        is kept, and `diff` shows it.

        `options` are the fields of `bvc.api.exclusive_records.ExclusiveOptions` (method, tokens, latents, seeds, corpus
        and so on) and of `bvc.api.checkpoints.PairOptions`.
        """
        from bvc.api.checkpoints import divided
        from bvc.api.diff import diff_sides
        from bvc.api.exclusive import features_exclusive
        from bvc.api.exclusive_records import ExclusiveOptions

        what, how = divided({"author": self.author, **options}, ExclusiveOptions)
        return features_exclusive(self.repository, *diff_sides(self.repository, a, b), what, how)

    def features_steer(self, target: int | str | Direction, **options: Any) -> SteerResult:
        """Whether a direction of the stream causes a behavior: a latent's number, `NAME:NUMBER`, or a `Direction`.

        `options` are the fields of `bvc.api.steer_records.SteerOptions` (behavior, pattern, strengths, draws and so on)
        and of `bvc.api.checkpoints.PairOptions`.
        """
        from bvc.api.checkpoints import divided
        from bvc.api.judges import tools
        from bvc.api.steer import steer
        from bvc.api.steer_records import SteerOptions

        what, how = divided(options, SteerOptions)
        return steer(self.repository, target, what, how, tools(self.root, what.allow_python))

    def features_export(self, path: str | Path, dictionary: str | None = None) -> StoredDictionary:
        """Writes a dictionary to a safetensors file, or to a folder in SAELens' format where `path` has no suffix."""
        from bvc.api.features import export_dictionary

        return export_dictionary(self.repository, dictionary, Path(path))

    def features_import(self, folder: str | Path, **options: Any) -> StoredDictionary:
        """Stores the dictionary of a folder in SAELens' format.

        `options` are the fields of `bvc.api.features_records.ImportOptions` (name, at, layer, scale).
        """
        from bvc.api.features import import_dictionary
        from bvc.api.features_records import ImportOptions

        return import_dictionary(self.repository, Path(folder), ImportOptions(**{"author": self.author, **options}))
