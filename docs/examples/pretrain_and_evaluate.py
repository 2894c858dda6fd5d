"""Pretrain a model and compare it with its initial weights: ``python pretrain_and_evaluate.py RECIPE DATA [STEPS]``."""

import sys

import sigma_bench as sb

TASKS = ["ssv2/knn", "ucf101/knn"]


def main(recipe: str, data: str, steps: str | None = None) -> None:
    overrides = {"optim": {"steps": int(steps)}} if steps else {}
    run = sb.pretrain(recipe, data=data, overrides=overrides, output=f"runs/{recipe}-seed0")
    print(run.history().tail(1))
    initial = sb.load_encoder(f"random:{recipe}")
    trained = run.load_encoder()
    for encoder in (initial, trained):
        sb.evaluate(encoder, TASKS, data=data, output="runs")
    records = sb.Records("runs")
    print(sb.compare(records, trained.card.model, initial.card.model).frame())
    records.table().save("board.html")


if __name__ == "__main__":
    main(*sys.argv[1:])
