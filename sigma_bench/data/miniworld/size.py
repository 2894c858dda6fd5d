"""How large the mini world is."""

from dataclasses import dataclass


@dataclass(frozen=True)
class WorldSize:
    """How many samples each dataset gets, (train, test) where there are two numbers."""

    ucf_clips_per_group: int = 4
    ssv2: tuple[int, int] = (1200, 400)
    cifar100: tuple[int, int] = (1500, 1000)
    davis2017: tuple[int, int] = (4, 8)
