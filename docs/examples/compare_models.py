"""A table of two models and their paired comparison: ``python compare_models.py MODEL MODEL DATA``."""

import sys

import sigma_bench as sb

TASKS = ["ssv2/knn", "ssv2/linear"]


def main(first: str, second: str, data: str) -> None:
    names = []
    for model in (first, second):
        records = sb.evaluate(model, TASKS, data=data, output="runs")
        names.append(records[0].model.model)
    records = sb.Records("runs")
    print(records.table())
    print(sb.compare(records, *names).frame().to_string(index=False))


if __name__ == "__main__":
    main(*sys.argv[1:])
