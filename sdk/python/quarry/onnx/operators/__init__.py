"""The rules, by topic. Importing this package fills the registry's table."""

from . import (arithmetic, control, convolution, creation, elementwise, indexing, linear, losses, movement, normalisation,
               quantisation, recurrent, reduction, refused, resize, sampling, signal, training)

__all__ = ["arithmetic", "control", "convolution", "creation", "elementwise", "indexing", "linear", "losses", "movement",
           "normalisation", "quantisation", "recurrent", "reduction", "refused", "resize", "sampling", "signal", "training"]
