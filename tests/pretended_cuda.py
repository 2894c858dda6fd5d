"""CUDA tensors without a GPU: values are computed on the CPU, and the rules for devices are checked at every operation.

torch's FakeTensorMode has no values, so it stops at operations whose result depends on them, such as a selection by a
mask.  Here every tensor on the pretended device holds its values on the CPU, so a whole training step runs and its
result can be compared with that on the CPU.  An operation on tensors of both devices raises RuntimeError, as with a
GPU; a CPU tensor without dimensions is allowed.

What this does not cover: kernels of the GPU, their rounding and memory, streams, ``torch.cuda`` itself (random states,
memory statistics), NCCL, and attention kernels other than the one made of matrix products.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map, tree_unflatten

CUDA = torch.device("cuda:0")
_aten = torch.ops.aten
_BETWEEN_DEVICES = {
    *(_aten._to_copy.default, _aten.to.other, _aten.copy_.default, _aten.set_.source_Tensor),
    # indices may be on the CPU
    *(_aten.index.Tensor, _aten.index_put.default, _aten.index_put_.default, _aten._index_put_impl_.default),
}
_calls: list[Any] = []
"""Functions of torch that are running; in them, pretended tensors have the device ``meta``, which needs no driver."""


class PretendedTensor(Tensor):
    """A tensor that says that it is on a GPU."""

    held: Tensor

    @staticmethod
    def __new__(cls, held: Tensor) -> "PretendedTensor":
        with torch.inference_mode(False):
            outline = torch.empty_strided(held.size(), held.stride(), dtype=held.dtype, device="meta")
            return Tensor._make_subclass(cls, outline, False, dispatch_device=True, device_for_backend_keys=CUDA)

    def __init__(self, held: Tensor) -> None:
        self.held = held

    __torch_function__ = torch._C._disabled_torch_function_impl

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _run(func, args, kwargs or {})


class _Dispatch(TorchDispatchMode):
    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _run(func, args, kwargs or {})


class _Functions(TorchFunctionMode):
    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func == Tensor.device.__get__:
            return func(*args, **kwargs)
        if func is Tensor.new_tensor and isinstance(args[0], PretendedTensor):  # would ask the driver for its device
            return torch.tensor(args[1], **({"dtype": args[0].dtype, "device": CUDA} | kwargs))
        _calls.append(func)
        try:
            return func(*args, **kwargs)
        finally:
            _calls.pop()


def _run(func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    """Run an operation on the values, after the devices of its tensors have been compared."""
    if func is torch.ops.prim.device.default:
        return torch.device("meta") if _calls else CUDA
    flat, form = tree_flatten((args, kwargs))
    pretended = [value for value in flat if isinstance(value, PretendedTensor)]
    on_cpu = [value for value in flat if isinstance(value, Tensor) and not isinstance(value, PretendedTensor)]
    if pretended and func not in _BETWEEN_DEVICES and any(value.ndim for value in on_cpu):
        raise RuntimeError(f"{func}: tensors on {CUDA} and on the CPU")
    wanted = [value for value in flat if isinstance(value, torch.device)]
    is_on_gpu = any(place.type in ("cuda", "meta") for place in wanted) if wanted else bool(pretended)
    if func is _aten.copy_.default:
        is_on_gpu = isinstance(args[0], PretendedTensor)
    held = [_on_cpu(value) for value in flat]
    own = {id(inner): value for inner, value in zip(held, flat, strict=True) if isinstance(value, PretendedTensor)}
    real_args, real_kwargs = tree_unflatten(held, form)
    if "pin_memory" in real_kwargs:
        real_kwargs["pin_memory"] = False
    result = func(*real_args, **real_kwargs)

    def labelled(value: Any) -> Any:
        if not isinstance(value, Tensor):
            return value
        if not is_on_gpu:
            return value
        return own[id(value)] if id(value) in own else PretendedTensor(value)

    return tree_map(labelled, result)


def _on_cpu(value: Any) -> Any:
    if isinstance(value, torch.device):
        return torch.device("cpu")
    return value.held if isinstance(value, PretendedTensor) else value


@contextmanager
def pretended_cuda(monkeypatch: pytest.MonkeyPatch) -> Iterator[torch.device]:
    """Context in which the device that it returns can be used like a GPU."""
    monkeypatch.setattr(torch.cuda, "_lazy_init", lambda: None)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: True)
    monkeypatch.setattr(torch.cuda.amp.common, "amp_definitely_not_available", lambda: False)
    torch._C._set_only_lift_cpu_tensors(True)
    overwrites = torch.__future__.get_overwrite_module_params_on_conversion()
    torch.__future__.set_overwrite_module_params_on_conversion(True)
    try:
        with _Dispatch(), _Functions(), sdpa_kernel(SDPBackend.MATH):
            yield CUDA
    finally:
        torch.__future__.set_overwrite_module_params_on_conversion(overwrites)
        torch._C._set_only_lift_cpu_tensors(False)


def held(value: Tensor) -> Tensor:
    """The values of a tensor on the pretended device; AssertionError for a tensor on the CPU."""
    assert isinstance(value, PretendedTensor), "the tensor is on the CPU"
    return value.held
