"""Gestures: ``classes.txt``, ``split.json``, ``persons/<person>.json`` and ``videos/<person>/<clip>.mp4``.

``split.json`` names the persons of train and of test, and the file of a person lists clips with their gestures.  A
group is a person.
"""

from pathlib import Path

from sigma_bench.extend import (
    DatasetCard,
    Manifest,
    Part,
    Sample,
    expected_counts,
    find_video,
    lines,
    make_split,
    read_object,
    read_objects,
)

PARTS = (
    Part("classes.txt", file=r"classes\.txt"),
    Part("split.json", file=r"split\.json"),
    Part("persons", (r"p\d\d\.json",)),
    Part("videos", (r"p\d\d/\d{4}(\.\w+)?",), is_media=True),
)


def read(folder: Path, card: DatasetCard) -> Manifest:
    """Find the dataset in its folder; a file that a list names and that is missing is no error here.

    Raises:
        ValueError: a list is missing or wrong; the message names it.
    """
    classes = tuple(name for _, name in lines(folder / "classes.txt"))
    data_source, expected = expected_counts(folder, card)
    persons = read_object(folder / "split.json")
    splits = {}
    for split in card.splits:
        samples = [sample for person in persons.get(split, ()) for sample in _samples(folder, person, classes)]
        splits[split] = make_split(split, samples, expected[split], folder / "split.json")
    return Manifest(card.dataset, data_source, classes, splits)


def _samples(folder: Path, person: str, classes: tuple[str, ...]) -> list[Sample]:
    """The clips of one person, in the order of its list."""
    path = folder / "persons" / f"{person}.json"
    samples = []
    for entry in read_objects(path):
        clip, gesture = entry.get("clip"), entry.get("gesture")
        if not isinstance(clip, str) or gesture not in classes:
            raise ValueError(f"{path}: expected 'clip' and a 'gesture' of classes.txt, got {entry}")
        video, media = find_video((folder / "videos" / person,), clip, ".mp4")
        samples.append(Sample(f"{person}/{clip}", video, media, classes.index(gesture), group=person))
    return samples
