"""Sparse dictionaries of activations: fitting, encoding, and the search for what only one of two models has."""
