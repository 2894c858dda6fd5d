"""The mean IoU of a unit of one clip, as the segmentation protocol computes it."""

import numpy as np

from sigma_bench.metrics.segmentation import Matching, label_counts, mean_iou


def miou(
    truth: np.ndarray, clusters: np.ndarray, matching: Matching = "hungarian_iou", background_counts: bool = True
) -> float:
    return mean_iou(label_counts([truth], [clusters], matching), background_counts)
