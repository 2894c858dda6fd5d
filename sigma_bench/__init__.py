"""sigma-bench: an evaluation-first benchmark for self-supervised video models, built round SIGMA (ECCV 2024)."""

__version__ = "0.1.0"
