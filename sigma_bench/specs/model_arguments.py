"""Model arguments: which tokens of a network are its features, and in which precision they are computed."""

from typing import Any, Literal

from sigma_bench.specs.strict import LeanSpec, parse_spec, read_scalar


class ModelArguments(LeanSpec):
    """Arguments of a model; those that are not given leave the model as it was published."""

    layer: int | None = None
    """Block whose output is used: 0 is the first block, -1 the last one."""
    norm: bool | None = None
    """Whether the final norm of the network is applied to the tokens."""
    pooling: Literal["mean", "class"] | None = None
    """``mean`` (the default): all tokens, over which protocols average; ``class``: the class token of every frame."""
    dtype: Literal["float32", "float64", "bfloat16", "float16"] | None = None
    """Number type of weights and computation; float32 unless given."""


def parse_model_arguments(text: str) -> ModelArguments:
    """The arguments in a text such as ``layer=-2,dtype=bfloat16``.

    Raises:
        ValueError: a part is not ``key=value``, a key occurs twice or is unknown, or a value is not allowed.
    """
    found: dict[str, Any] = {}
    for pair in text.split(",") if text else ():
        key, equals, value = (part.strip() for part in pair.partition("="))
        if not equals or not key or not value:
            raise ValueError(f"model argument '{pair}': expected key=value, such as layer=-2,dtype=bfloat16")
        if key in found:
            raise ValueError(f"model argument '{key}' is given twice")
        found[key] = read_scalar(value)
    return parse_spec(ModelArguments, found, where="model arguments")
