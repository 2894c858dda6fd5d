"""The dataset Gestures, for sigma-bench."""
