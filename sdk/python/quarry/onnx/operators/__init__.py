"""The rules, by topic. Importing this package fills the registry's table."""

from . import (  # noqa: F401
    arithmetic, control, convolution, creation, elementwise, indexing, linear, losses, movement, normalisation,
    quantisation, recurrent, reduction, refused, resize, sampling, signal, training)
