"""bvc: version control for model behavior."""

__version__ = "0.1.0"
