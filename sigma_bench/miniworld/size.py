"""How large the mini world is."""

from dataclasses import dataclass


@dataclass(frozen=True)
class WorldSize:
    """How many samples each dataset gets, (train, test) where there are two numbers.

    A field for a new dataset leaves the folders of other datasets valid.  A field that changes what is drawn for a
    dataset that there is needs another ``GENERATOR_VERSION``.
    """

    ucf_clips_per_group: int = 4
    ssv2: tuple[int, int] = (1000, 400)
    cifar100: tuple[int, int] = (1000, 1000)
    davis2017: tuple[int, int] = (4, 8)
    ucfrep_groups: tuple[int, int] = (20, 5)
    hmdb51: tuple[int, int] = (200, 100)
    kinetics400: tuple[int, int] = (240, 120)
    imagenet1k: tuple[int, int] = (300, 200)
    finegym: tuple[int, int] = (480, 240)
    charades: tuple[int, int] = (120, 60)
    davis2016: tuple[int, int] = (3, 6)
    youtube_vos: tuple[int, int] = (4, 8)
