"""backward() and grad(): gradients as tensors, computed when they are needed."""

from __future__ import annotations

from collections.abc import Sequence

import _quarry
from _quarry import TensorError

from .context import context
from .tensor import Tensor


def grad(loss: Tensor, wrt: Sequence[Tensor], gradient: Tensor | None = None) -> list[Tensor]:
    """d loss / d w for each w of `wrt`, in its shape and dtype; zeros where loss does not depend on it. `wrt` may be
    any tensors that loss was computed from."""
    return [Tensor.of(node)
            for node in _quarry.gradient(loss.node, [w.node for w in wrt], None if gradient is None else gradient.node)]


def backward(loss: Tensor, gradient: Tensor | None) -> None:
    # In a captured step only what it has used: others must not become inputs of it.
    candidates = [w for w in context.trainable if context.capture is None or w._epoch is context.capture]
    if not candidates:
        raise TensorError("backward: no tensor has requires_grad=True")
    wrt = [w for w, is_used in zip(candidates, _quarry.reached([loss.node], [w.node for w in candidates])) if is_used]
    if not wrt:
        raise TensorError("backward: no tensor with requires_grad=True was used to compute this one "
                          "since it was last assigned")
    for w, slope in zip(wrt, grad(loss, wrt, gradient)):
        w.grad = slope if w.grad is None else w.grad + slope
    if context.capture is None:
        context.losses.add(loss)
