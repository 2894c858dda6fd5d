"""Score a model on two tasks: ``python score_checkpoint.py MODEL DATA``."""

import sys

import sigma_bench as sb

records = sb.evaluate(sys.argv[1], ["ucf101/knn", "ssv2/knn"], data=sys.argv[2])
print(records.frame()[["model", "task", "metric", "value", "low", "high"]].to_string(index=False))
