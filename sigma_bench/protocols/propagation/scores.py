"""Scores of propagated masks: the statistics J and F of DAVIS-2017.

Stored arrays: ``j_mean``, ``j_recall``, ``j_decay``, ``f_mean``, ``f_recall`` and ``f_decay`` (S,).

Shapes: S objects.
"""

from sigma_bench.records.scoring import Control, mean_of, stored_mean

METRICS = {
    "jf_mean": mean_of(lambda stored: (stored["j_mean"] + stored["f_mean"]) / 2),
    "j_mean": stored_mean("j_mean"),
    "j_recall": stored_mean("j_recall"),
    "j_decay": stored_mean("j_decay", higher_is_better=False),
    "f_mean": stored_mean("f_mean"),
    "f_recall": stored_mean("f_recall"),
    "f_decay": stored_mean("f_decay", higher_is_better=False),
}
CONTROLS = {
    "nothing_found": Control("nothing found", metrics=("jf_mean",)),
    "first_mask_stays": Control("first mask stays", metrics=("jf_mean",)),
    "oracle_patches": Control("oracle patches", kind="ceiling", metrics=("jf_mean",), is_per_grid=True),
}
