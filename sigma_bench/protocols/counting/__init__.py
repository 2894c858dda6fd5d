"""Repetition counting on UCFRep: the iterative two-stream cycle detector with any encoder."""
