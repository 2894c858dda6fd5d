"""What values consist of, in a form that is the same in every process."""

import copyreg
from enum import Enum
from typing import Any

import torch
from torch import Tensor
from torch.nn.parameter import is_lazy

PLAIN = (type(None), bool, int, float, complex, str, bytes, type(...), range, torch.dtype, torch.device, Enum)
"""Types whose ``repr`` says everything."""


def pickled(value: Any) -> tuple[Any, ...]:
    """What an object of an installed class consists of; nothing where it cannot be pickled, as a lock cannot."""
    reduce = copyreg.dispatch_table.get(type(value))
    try:
        parts = reduce(value) if reduce else value.__reduce_ex__(2)
    except Exception:
        return ()
    if isinstance(parts, str):
        return (parts,)
    *said, items, pairs = (*parts, *(None,) * 5)[:5]
    return (*said, list(items or ()), list(pairs or ()))


def tensor_bytes(tensor: Tensor) -> bytes:
    """The bytes of a tensor's values, of whatever type and layout, wherever it lies; none on the device ``meta``."""
    if tensor.is_meta or is_lazy(tensor):
        return b""
    dense = tensor.detach().cpu()
    dense = dense.dequantize() if dense.is_quantized else dense.to_dense() if dense.layout != torch.strided else dense
    plain = dense.resolve_conj().resolve_neg().contiguous().flatten()
    return plain.view(torch.uint8).numpy().tobytes()  # NumPy has no bfloat16, but its bytes


def place_in_set(member: object) -> tuple[str, str]:
    """Place of a member of a set, the same in every process."""
    name = repr(member) if isinstance(member, PLAIN) else str(getattr(member, "__qualname__", ""))
    return type(member).__qualname__, name
