"""Kubernetes' protocol buffers: bodies read into JSON, and JSON written as such bodies.

The envelope is `k8s\\0` and a runtime.Unknown; the numbers of fields come with the types (data/kubernetes/…/types.json).
kubectl posts protocol buffers for every `create KIND`; clients in Go ask for them in return.
"""

from __future__ import annotations

from azsandbox.kubernetes.protobuf.reading import BadMessage, decode
from azsandbox.kubernetes.protobuf.wire import MAGIC
from azsandbox.kubernetes.protobuf.writing import encode, encode_list, frame, message

__all__ = ["MAGIC", "BadMessage", "decode", "encode", "encode_list", "frame", "message"]
