"""Something-Something v2: the official JSON files, or lists ``<path> <label>`` as VideoMAE and SIGMA write them.

The JSON files are in ``labels/`` (or ``annotations/``, or the folder itself) as ``something-something-v2-labels.json``,
or as ``labels.json``, ``train.json`` and ``validation.json`` as in the current download.  Videos are
``20bn-something-something-v2/<id>.webm`` (or .mp4, .avi, or a folder of frames), or are in ``videos/``.
"""

from pathlib import Path

from sigma_bench.data.manifest import Manifest, Sample, expected_counts, make_split
from sigma_bench.data.media import find_video, first_file
from sigma_bench.data.official_lists import read_labelled_paths, read_object, read_objects
from sigma_bench.data.parts import Part, first_bytes
from sigma_bench.specs.dataset import DatasetCard, SplitName

_FILES = ("something-something-v2-{}.json", "{}.json")
_PLACES = ("labels", "annotations", "")
_OFFICIAL_NAME: dict[SplitName, str] = {"train": "train", "test": "validation"}
_CSV: dict[SplitName, str] = {"train": "train.csv", "test": "val.csv"}
_FOLDERS = ("20bn-something-something-v2", "videos")


def _are_labels(folder: Path) -> bool:
    """Whether the file of labels in a folder has the templates of SSv2, in which objects are called something."""
    return any(b"omething" in first_bytes(folder / form.format("labels")) for form in _FILES)


_LIST = r"(something-something-v2-)?{}\.json"
PARTS = (
    Part(
        "labels",
        tuple(_LIST.format(name) for name in ("labels", "train", "validation")),
        also=("annotations", ""),
        accepts=_are_labels,
    ),
    Part(_FOLDERS[0], (r"\d{1,6}\.(webm|mp4|avi)",), also=_FOLDERS[1:], is_media=True),
    Part(_FOLDERS[0], (r"\d{1,6}/(img_|image_|frame_)?\d+\.(jpg|png)",), also=_FOLDERS[1:], is_media=True),
)


def read(root: Path, card: DatasetCard) -> Manifest:
    """Find SSv2 below ``root``; the labelled validation split is the test split, as in the literature.

    The official files name the classes.  Lists of paths contain only the official numbers of the classes.
    """
    data_source, expected = expected_counts(root, card)
    videos = tuple(root / name for name in _FOLDERS)
    lists = {split: root / name for split, name in _CSV.items()}
    index: dict[str, int] = {}
    if _form(root) is None and lists["train"].exists():
        folders = dict.fromkeys(lists, videos)
        samples = read_labelled_paths(root, lists, card.classes or 0, folders=folders)
    else:
        index = _label_index(_official(root, "labels"))
        lists = {split: _official(root, official) for split, official in _OFFICIAL_NAME.items()}
        samples = {
            split: [_sample(videos, path, entry, index) for entry in read_objects(path)]
            for split, path in lists.items()
        }
    splits = {split: make_split(split, samples[split], expected[split], path) for split, path in lists.items()}
    classes = tuple(sorted(index, key=index.__getitem__)) or tuple(map(str, range(card.classes or 0)))
    return Manifest(card.dataset, data_source, classes, splits)


def _form(root: Path) -> tuple[Path, str] | None:
    """Folder and naming scheme of the official files, found by the file of labels; None if that does not exist."""
    forms = [(root / place, form) for form in _FILES for place in _PLACES]
    return next(((folder, form) for folder, form in forms if (folder / form.format("labels")).is_file()), None)


def _official(root: Path, name: str) -> Path:
    """An official file, in the same folder and naming scheme as the labels; ValueError if it is missing."""
    form = _form(root)
    if form is not None:
        return first_file((form[0],), (form[1].format(name),))
    return first_file(tuple(root / place for place in _PLACES), tuple(form.format(name) for form in _FILES))


def _label_index(path: Path) -> dict[str, int]:
    content = read_object(path)
    wrong = next((template for template, number in content.items() if not str(number).isdecimal()), None)
    if wrong is not None:
        raise ValueError(f"{path}: the label of '{wrong}' is not a number: {content[wrong]}")
    return {template: int(number) for template, number in content.items()}


def _sample(videos: tuple[Path, ...], path: Path, entry: dict[str, str], index: dict[str, int]) -> Sample:
    template = str(entry.get("template", "")).replace("[", "").replace("]", "")
    if "id" not in entry or template not in index:
        raise ValueError(f"{path}: an entry has no id or a template that is not among the labels: {entry}")
    video_id = str(entry["id"])
    video, media = find_video(videos, video_id, ".webm")
    return Sample(video_id, video, media, index[template], group=video_id)
