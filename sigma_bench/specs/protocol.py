"""Protocols: how a representation is judged.  Every number that can move a score stands in the YAML file."""

from typing import Annotated

from pydantic import Field

from sigma_bench.specs.counting import CountingProtocol
from sigma_bench.specs.finetune import FinetuneProtocol
from sigma_bench.specs.frozen import (
    AttentiveProtocol,
    ClusteringProtocol,
    KnnLooProtocol,
    KnnProtocol,
    LinearProtocol,
)
from sigma_bench.specs.multilabel import MultilabelProtocol
from sigma_bench.specs.propagation import PropagationProtocol
from sigma_bench.specs.segmentation import SegmentationProtocol
from sigma_bench.specs.strict import Spec

Protocol = Annotated[
    KnnProtocol
    | KnnLooProtocol
    | LinearProtocol
    | AttentiveProtocol
    | ClusteringProtocol
    | SegmentationProtocol
    | PropagationProtocol
    | FinetuneProtocol
    | MultilabelProtocol
    | CountingProtocol,
    Field(discriminator="kind"),
]


class ProtocolFile(Spec):
    """Wrapper that lets pydantic choose the protocol's type by its ``kind``."""

    content: Protocol
