"""Size and normalisation from the preprocessor configurations of Hugging Face folders."""

import json

import pytest
import torch

from sigma_bench.models.huggingface_preprocessor import read_preprocessing
from tests.models.huggingface_folders import transformers

OWN = {"mean": (0.5, 0.5, 0.5), "std": (0.25, 0.25, 0.25)}


def write(folder, name="preprocessor_config.json", **settings):
    (folder / name).write_text(json.dumps(settings))


def test_a_folder_without_a_file_has_the_values_of_the_class(tmp_path):
    assert read_preprocessing(tmp_path, **OWN) == (None, OWN["mean"], OWN["std"])
    assert read_preprocessing(tmp_path, mean=(0.5,) * 3, std=(0.5,) * 3, has_offset=True) == (
        None, (0.75,) * 3, (0.25,) * 3,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("settings", "size"),
    [
        ({"size": 224}, 224),
        ({"size": {"shortest_edge": 256}, "crop_size": {"height": 224, "width": 224}}, 224),
        ({"size": {"shortest_edge": 256}, "crop_size": 224, "do_center_crop": False}, 256),
        ({"size": {"height": 384, "width": 384}}, 384),
        ({}, None),
    ],
)
def test_the_size_is_that_of_the_crop(settings, size, tmp_path):
    write(tmp_path, **settings)
    assert read_preprocessing(tmp_path, **OWN).size == size


def test_the_file_of_the_video_processor_comes_first(tmp_path):
    write(tmp_path, image_mean=[0.1] * 3)
    assert read_preprocessing(tmp_path, **OWN).mean == (0.1,) * 3
    write(tmp_path, "video_preprocessor_config.json", image_mean=[0.2] * 3)
    assert read_preprocessing(tmp_path, **OWN).mean == (0.2,) * 3
    write(tmp_path, "processor_config.json", image_processor={"image_mean": [0.3] * 3}, processor_class="X")
    assert read_preprocessing(tmp_path, **OWN).mean == (0.3,) * 3


def test_pixels_that_are_not_rescaled_or_normalised(tmp_path):
    write(tmp_path, do_normalize=False)
    assert read_preprocessing(tmp_path, **OWN)[1:] == ((0.0,) * 3, (1.0,) * 3)
    write(tmp_path, do_rescale=False, image_mean=[127.5] * 3, image_std=[51.0] * 3)
    assert read_preprocessing(tmp_path, **OWN)[1:] == ((0.5,) * 3, (0.2,) * 3)


@pytest.mark.parametrize(
    ("class_name", "has_offset"),
    [("VivitImageProcessor", True), ("CLIPImageProcessor", False), ("SiglipImageProcessor", False)],
)
def test_the_normalisation_equals_that_of_the_library(class_name, has_offset, tmp_path):
    processor = getattr(transformers, class_name)()
    processor.save_pretrained(tmp_path)
    clip = read_preprocessing(tmp_path, **OWN, has_offset=has_offset)
    image_HWC = torch.randint(0, 256, (clip.size, clip.size, 3), dtype=torch.uint8)
    image = image_HWC.numpy()
    options = {"do_resize": False, "do_center_crop": False, "return_tensors": "pt"}
    found = processor([image] if has_offset else image, **options)["pixel_values"].squeeze()
    ours = (image_HWC / 255 - torch.tensor(clip.mean)) / torch.tensor(clip.std)
    torch.testing.assert_close(found.float(), ours.permute(2, 0, 1).float(), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"crop_size": {"height": 224, "width": 320}}, "only square ones"),
        ({"size": -3}, "only square ones"),
        ({"size": [[]]}, "only square ones"),
        ({"size": {"height": {}, "width": {}}}, "only square ones"),
        ({"size": "large"}, "only square ones"),
        ({"image_mean": [0.5, 0.5]}, "one number for each of three colours"),
        ({"image_std": [0.5, 0.5, None]}, "must hold numbers"),
        ({"image_std": [0.5, 0.5, 0]}, "have to be above 0"),
        ({"image_mean": [float("nan")] * 3}, "must hold numbers"),
        ({"rescale_factor": 0}, "have to be above 0"),
    ],
)
def test_values_that_no_preprocessor_can_have(settings, message, tmp_path):
    write(tmp_path, **settings)
    with pytest.raises(ValueError, match=message):
        read_preprocessing(tmp_path, **OWN)
