"""The trainable backbone of a custom encoder: parts by name, layers by position, drop path.

Shapes: B clips, C colours, T frames, H W pixels, N tokens, D width.
"""

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from timm.layers import DropPath
from torch import Tensor, nn

from sigma_bench.models.encoder import Backbone
from sigma_bench.models.video_vit import drop_path_rates
from sigma_bench.specs.strict import suggestion

BRANCHES_PER_BLOCK = 2
"""Greatest number of residual branches of a block: attention and MLP."""
SHOWN_NAMES = 4
"""Greatest number of parameter names in an error message."""


class TrainableParts(NamedTuple):
    """Names of the parts of a network."""

    blocks: str
    embed: tuple[str, ...]
    norm: str | None


class CustomBackbone(Backbone):
    """A custom network without its final norm; embedding and blocks keep their names."""

    def __init__(self, network: nn.Module, parts: TrainableParts) -> None:
        super().__init__()
        self.network = network.requires_grad_(True)
        self.parts = parts
        if parts.norm is not None:
            _replace(network, parts.norm, nn.Identity())

    def forward(self, clip_BCTHW: Tensor) -> Tensor:
        return self.network(clip_BCTHW)

    def layer_of(self, parameter: str) -> int:
        block = re.match(rf"network\.{re.escape(self.parts.blocks)}\.(\d+)\.", parameter)
        return int(block[1]) + 1 if block else 0

    @property
    def blocks(self) -> list[nn.Module]:
        """The blocks, from first to last."""
        return list(self.network.get_submodule(self.parts.blocks).children())


def trainable_parts(
    network: nn.Module, blocks: str | None, embed: str | Sequence[str], norm: str | None, *, where: str
) -> TrainableParts | None:
    """The parts of a network by name; None if no blocks are named.

    Raises:
        ValueError: the network has no such part, the blocks are no list of modules, or a parameter belongs to no part
            or to two.
    """
    if not isinstance(embed, str | tuple | list):
        raise ValueError(f"{where}: embed is {embed!r}; give the name of a part of the network, or several names")
    names = (embed,) if isinstance(embed, str) else tuple(embed)
    if blocks is None:
        if names or norm is not None:
            raise ValueError(f"{where}: embed and norm say how a network is fine-tuned; name its blocks too")
        return None
    known = {name: module for name, module in network.named_modules() if name}
    known_parameters = dict(network.named_parameters())
    for option, name in (("blocks", blocks), ("norm", norm), *(("embed", name) for name in names)):
        if name is not None and name not in known and not (option == "embed" and name in known_parameters):
            raise ValueError(f"{where}: {option}='{name}' is no part of the network.{suggestion(str(name), known)}")
    container = known[blocks]
    if not isinstance(container, nn.ModuleList | nn.Sequential) or not len(container):
        lists = [name for name, module in known.items() if isinstance(module, nn.ModuleList | nn.Sequential)]
        raise ValueError(
            f"{where}: blocks='{blocks}' is of type {type(container).__name__}, with {len(list(container.children()))} "
            "children; name an nn.ModuleList or nn.Sequential that holds the blocks in order."
            f"{suggestion(blocks, lists)}"
        )
    parts = TrainableParts(blocks, names, norm)
    _require_one_part_each(known_parameters, parts, where)
    return parts


def set_drop_path(backbone: CustomBackbone, rate: float, *, where: str) -> list[list[nn.Module]]:
    """Set drop paths whose rate grows linearly from 0 at the first block to ``rate`` at the last one.

    The drop paths of a block are its modules of a class ``DropPath`` and those whose name begins with ``drop_path``, as
    in timm and VideoMAE, where an identity with such a name stands for a rate of 0.

    Returns:
        The drop paths of each block; an empty list for a block whose rate is 0.

    Raises:
        ValueError: a block has no drop path although its rate is above 0.
    """
    blocks = backbone.blocks
    branches: list[list[nn.Module]] = []
    for block, block_rate in zip(blocks, drop_path_rates(rate, len(blocks)), strict=True):
        names = _drop_path_names(block)
        replaced = [_replace(block, name, DropPath(block_rate) if block_rate else nn.Identity()) for name in names]
        branches.append(replaced if block_rate else [])
        if block_rate and not names:
            raise ValueError(
                f"{where}: the protocol asks for a drop path of {rate:g}, but block {len(branches) - 1} of "
                f"'{backbone.parts.blocks}' has no module named drop_path in its residual branches; add them (timm's "
                "DropPath(0.0)), or evaluate with --set drop_path=0.0"
            )
    return branches


def _drop_path_names(block: nn.Module) -> list[str]:
    return [
        name
        for name, module in block.named_modules()
        if name and (type(module).__name__ == "DropPath" or name.rpartition(".")[2].startswith("drop_path"))
    ]


def _replace(network: nn.Module, name: str, module: nn.Module) -> nn.Module:
    parent, _, last = name.rpartition(".")
    setattr(network.get_submodule(parent), last, module)
    return module


def _require_one_part_each(parameters: dict[str, nn.Parameter], parts: TrainableParts, where: str) -> None:
    named = (parts.blocks, *parts.embed, *((parts.norm,) if parts.norm else ()))
    counts = {name: len(list(_containing(name, named))) for name in parameters}
    alone = [name for name, count in counts.items() if count == 0]
    if alone:
        raise ValueError(
            f"{where}: {_shown(alone)} belong to none of embed, blocks and norm; name what comes before the blocks in "
            "embed (it learns at the rate of the embedding), and remove what the tokens do not need from the network"
        )
    shared = [name for name, count in counts.items() if count > 1]
    if shared:
        raise ValueError(
            f"{where}: {_shown(shared)} belong to two of {', '.join(named)}; name parts that do not overlap"
        )


def _containing(parameter: str, parts: tuple[str, ...]) -> Iterator[str]:
    return (part for part in parts if parameter == part or parameter.startswith(f"{part}."))


def _shown(names: list[str]) -> str:
    more = f" and {len(names) - SHOWN_NAMES} more" if len(names) > SHOWN_NAMES else ""
    return f"the parameters {', '.join(map(repr, names[:SHOWN_NAMES]))}{more}"
