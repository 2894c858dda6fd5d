"""Classification by the nearest class mean: a protocol for sigma-bench."""
