// Reverse-mode differentiation: from a graph to a graph, in the same twelve ops.
#pragma once

#include <span>
#include <vector>

#include "engine/tensor/tensor.h"

namespace quarry::tensor {

/// d loss / d w for each `w`, in its shape and dtype; zeros where the loss does not depend on it. `loss`: one element,
/// of a float dtype; `seed` (optional, the loss's shape) multiplies it, as loss scaling needs. A `w` may be any tensor,
/// not only an INPUT: the loss is then taken as a function of it.
///
/// CMPEQ, casts to and from integers and bool pass no gradient; MAX and REDUCE_MAX pass it to the greatest, at ties of
/// MAX(x, y) to y, of REDUCE_MAX in equal shares; a select passes it to the side it chose and nothing, not even NaN, to
/// the other one. A gather does likewise, except that a table whose rows several indices may pick gets a matrix product
/// of masks and gradients: there a gradient that is not finite spreads.
std::vector<Tensor> gradient(const Tensor& loss, std::span<const Tensor> wrt, const Tensor& seed = {});

}  // namespace quarry::tensor
