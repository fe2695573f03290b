"""Behaviors: named, scored predicates over what a model answered. Pure: texts in, scores out. Layer 2.

`parse.parse_behaviors` reads `behaviors.toml`, `score.score` scores one answer, `score.selected` says which probes a
behavior speaks of. `refusal.is_refusal`, `language.language_of` and `answers.right_answer` stand alone.
"""
