"""Masked regression of mean colours: a pretraining method for sigma-bench."""
