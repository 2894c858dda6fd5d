"""Repetition counting on UCFRep: the iterative two-stream cycle detector round any encoder (SEVERE facts 3)."""
