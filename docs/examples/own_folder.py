"""Evaluate a model on videos of your own: ``python own_folder.py MODEL FOLDER``.

FOLDER holds ``<class>/<person>_<anything>.mp4``.  Persons are the groups: in each of five folds, the persons that are
tested are absent from training, and intervals are over persons.
"""

import csv
import sys
from pathlib import Path

import sigma_bench as sb


def write_csv(folder: Path, path: Path) -> None:
    """One row per video: its absolute path, its class, and its person as the group."""
    videos = sorted(video for video in folder.glob("*/*") if video.suffix in (".mp4", ".avi", ".webm"))
    with path.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["path", "label", "group"])
        writer.writerows([video.resolve(), video.parent.name, video.stem.partition("_")[0]] for video in videos)


def main(model: str, folder: str) -> None:
    write_csv(Path(folder), Path("clips.csv"))
    records = sb.evaluate(model, csv="clips.csv", protocols="knn@1", folds=5, output="runs")
    columns = ["model", "task", "metric", "value", "low", "high", "num_units"]
    print(records.frame()[columns].to_string(index=False))
    records.table().save("clips.html")


if __name__ == "__main__":
    main(*sys.argv[1:])
