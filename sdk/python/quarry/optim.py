"""Optimisers, as PyTorch's. Outside of a captured step, step() computes the new weights at once, together with the
losses that went backward; inside of one they become state that the job carries."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Union

import numpy as np

import _quarry
from _quarry import TensorError

from .context import context
from .realise import realise_assigned
from .tensor import Tensor

Rate = Union[float, Tensor]


class Optimizer:
    """Updates parameters by their gradients. `lr` may be set between steps, also to a Tensor of one element."""

    def __init__(self, params: Iterable[Tensor], lr: Rate):
        self.params = list(dict.fromkeys(params))
        if not self.params:
            raise TensorError("an optimiser needs parameters")
        for param in self.params:
            if not isinstance(param, Tensor) or not param.requires_grad:
                raise TensorError(f"parameters are tensors with requires_grad=True, not {param!r}")
        # Arrays, not constants: a captured step reads the rate and the count when it runs.
        self._rate = Tensor(np.zeros((), np.float32))
        self._updates = Tensor(np.zeros((), np.int32))
        self.lr = lr

    @property
    def lr(self) -> Tensor:
        """The learning rate, f32 of rank 0."""
        return self._rate

    @lr.setter
    def lr(self, rate: Rate) -> None:
        self._rate.assign(rate.cast("f32").reshape(()) if isinstance(rate, Tensor) else Tensor(np.float32(rate)))

    def zero_grad(self) -> None:
        for param in self.params:
            param.grad = None

    def state_dict(self) -> dict[str, Tensor]:
        """Rate, count of updates and moments, fit for quarry.safetensors.save."""
        lists = {name: value for name, value in vars(self).items() if name != "params" and isinstance(value, list)}
        moments = {f"{name}.{number}": tensor for name, value in lists.items() for number, tensor in enumerate(value)}
        return {"lr": self._rate, "updates": self._updates, **moments}

    def load_state_dict(self, values: Mapping[str, Any]) -> None:
        """Goes on from the state that state_dict() gave."""
        own = self.state_dict()
        if set(own) != set(values):
            raise TensorError(f"load_state_dict: needs {', '.join(own)}, given {', '.join(values)}")
        for name, tensor in own.items():
            value = values[name]
            tensor.assign(value if isinstance(value, Tensor) else Tensor(value, tensor.dtype))

    def step(self) -> None:
        """One update of every parameter that has a gradient."""
        self.update([param.grad for param in self.params], lambda new, old: new)

    def update(self, gradients: list[Tensor | None], chosen: Callable[[Tensor, Tensor], Tensor]) -> None:
        """step() with these gradients; weights and state become chosen(new, old)."""
        updates = self._updates
        for number, (param, gradient) in enumerate(zip(self.params, gradients)):
            if gradient is None:
                continue
            if gradient.shape != param.shape:
                raise TensorError(f"a parameter {list(param.shape)} has a gradient {list(gradient.shape)}")
            changed = self._updated(number, param, gradient)
            for tensor, new in changed:  # all are computed from the values of before
                tensor.assign(chosen(new, tensor))
        updates.assign(chosen(updates + 1, updates))
        if context.capture is None:
            realise_assigned(context.losses, before=self.params)
            context.losses.clear()

    def _updated(self, number: int, param: Tensor, gradient: Tensor) -> list[tuple[Tensor, Tensor]]:
        """What changes, and to what: the parameter and its state."""
        raise NotImplementedError


def _state_beside(params: Iterable[Tensor]) -> list[Tensor]:
    """Zeros in the shapes of the parameters, in f32 beside 16 bits."""
    return [Tensor.holding(np.zeros(param.shape, np.float64 if param.dtype == "f64" else np.float32))
            for param in params]


class SGD(Optimizer):
    """Stochastic gradient descent, with momentum, dampening, weight decay and Nesterov's form."""

    def __init__(self, params: Iterable[Tensor], lr: Rate = 1e-3, momentum: float = 0.0, weight_decay: float = 0.0,
                 nesterov: bool = False, dampening: float = 0.0):
        super().__init__(params, lr)
        self.momentum, self.weight_decay, self.nesterov, self.dampening = momentum, weight_decay, nesterov, dampening
        self.buffers = _state_beside(self.params) if momentum else []

    def _updated(self, number: int, param: Tensor, gradient: Tensor) -> list[tuple[Tensor, Tensor]]:
        buffer = self.buffers[number] if self.buffers else None
        weight, new_buffer = _quarry.sgd(param.node, gradient.node, None if buffer is None else buffer.node,
                                         self._rate.node, self.momentum,
                                         self.dampening, self.weight_decay, self.nesterov, self._updates.node)
        changed = [(param, Tensor.of(weight))]
        return changed + [(buffer, Tensor.of(new_buffer))] if buffer is not None else changed


class Adam(Optimizer):
    """Adam; weight decay is added to the gradient."""

    _native = staticmethod(_quarry.adam)

    def __init__(self, params: Iterable[Tensor], lr: Rate = 1e-3, betas: tuple[float, float] = (0.9, 0.999),
                 eps: float = 1e-8, weight_decay: float = 0.0):
        super().__init__(params, lr)
        self.betas, self.eps, self.weight_decay = betas, eps, weight_decay
        self.first_moments, self.second_moments = _state_beside(self.params), _state_beside(self.params)

    def _updated(self, number: int, param: Tensor, gradient: Tensor) -> list[tuple[Tensor, Tensor]]:
        first, second = self.first_moments[number], self.second_moments[number]
        new = self._native(param.node, gradient.node, first.node, second.node, self._updates.node, self._rate.node,
                           *self.betas,
                           self.eps, self.weight_decay)
        return [(tensor, Tensor.of(node)) for tensor, node in zip((param, first, second), new)]


class AdamW(Adam):
    """Adam with weight decay on the weights themselves."""

    _native = staticmethod(_quarry.adamw)

    def __init__(self, params: Iterable[Tensor], lr: Rate = 1e-3, betas: tuple[float, float] = (0.9, 0.999),
                 eps: float = 1e-8, weight_decay: float = 0.01):
        super().__init__(params, lr, betas, eps, weight_decay)


def clip_grad_norm(params: Iterable[Tensor], max_norm: float) -> None:
    """Scales the gradients so that their common norm is at most max_norm."""
    params = [param for param in params if param.grad is not None]
    clipped = _quarry.clip_by_norm([param.grad.node for param in params], max_norm)
    for param, gradient in zip(params, clipped):
        param.grad = Tensor.of(gradient)


class LossScaler:
    """Dynamic loss scaling for training in f16, all of it in the graph:

        scaler.scale(loss).backward()
        scaler.step(optimizer)

    When a gradient is not finite, weights and state stay as they are and the scale shrinks; after growth_interval good
    steps it grows.
    """

    def __init__(self, init_scale: float = 2.0**16, growth_factor: float = 2.0, backoff_factor: float = 0.5,
                 growth_interval: int = 2000):
        self.current = Tensor(np.float32(init_scale))
        self.good_steps = Tensor(np.int32(0))
        self.growth_factor, self.backoff_factor, self.growth_interval = growth_factor, backoff_factor, growth_interval

    def scale(self, loss: Tensor) -> Tensor:
        """The loss, in f32 at least, times the scale."""
        return (loss if loss.dtype == "f64" else loss.cast("f32")) * self.current

    def step(self, optimizer: Optimizer) -> None:
        """optimizer.step() with the gradients divided by the scale, unless one is not finite; then the next scale."""
        gradients = [None if param.grad is None else _unscaled(param.grad, self.current) for param in optimizer.params]
        given = [gradient.node for gradient in gradients if gradient is not None]
        if not given:
            raise TensorError("LossScaler.step: no parameter has a gradient; call scale(loss).backward() before")
        is_finite = _quarry.all_finite(given)
        scale, good_steps = _quarry.next_loss_scale(self.current.node, self.good_steps.node, is_finite,
                                                    self.growth_factor,
                                                    self.backoff_factor, self.growth_interval)
        self.current.assign(Tensor.of(scale))
        self.good_steps.assign(Tensor.of(good_steps))
        optimizer.update(gradients, lambda new, old: Tensor.of(_quarry.where(is_finite, new.node, old.node)))


def _unscaled(gradient: Tensor, scale: Tensor) -> Tensor:
    return gradient / scale if gradient.dtype == "f64" else gradient.cast("f32") / scale
