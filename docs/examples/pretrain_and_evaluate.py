"""Pretrain a model and compare it with its initial weights: ``python pretrain_and_evaluate.py RECIPE DATA [STEPS]``."""

import sys

import sigma_bench as sb


def main(recipe: str, data: str, steps: str | None = None) -> None:
    overrides = {"optim": {"steps": int(steps)}} if steps else {}
    run = sb.pretrain(recipe, data=data, overrides=overrides, output="runs/pretrained")
    print(run.history().to_string(index=False))
    trained, initial = run.load_encoder(), sb.load_encoder(f"random:{recipe}")
    for encoder in (trained, initial):
        sb.evaluate(encoder, "ssv2/knn", data=data, output="runs")
    records = sb.Records("runs")
    print(sb.compare(records, trained.card.model, initial.card.model).frame().to_string(index=False))
    records.table().save("board.html")


if __name__ == "__main__":
    main(*sys.argv[1:])
