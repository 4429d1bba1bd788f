// Resampling of grids: x [n, c, L1, .., Ld].
#pragma once

#include <optional>

#include "engine/tensor/tensor.h"

namespace quarry::tensor {

enum class Interpolation { Nearest, Linear, Cubic };
/// Where the centre of output i lies in the input; names are ONNX's coordinate_transformation_mode.
enum class Coordinates { HalfPixel, PytorchHalfPixel, AlignCorners, Asymmetric, HalfPixelSymmetric, CropAndResize };
/// How Nearest rounds; names are ONNX's nearest_mode. PyTorch's "nearest" is Asymmetric with Floor.
enum class Rounding { RoundPreferFloor, RoundPreferCeil, Floor, Ceil };

struct ResizeOptions {
  Interpolation mode = Interpolation::Nearest;
  Coordinates coordinates = Coordinates::HalfPixel;
  Rounding rounding = Rounding::RoundPreferFloor;
  double cubic_coefficient = -0.75;
  bool exclude_outside = false;         ///< Cubic: neighbours outside weigh nothing and the others are scaled up
  std::vector<double> scales = {};      ///< output / input as the caller states them; default from the sizes
  std::vector<double> crop_start = {};  ///< CropAndResize: the region in [0, 1] of each axis
  std::vector<double> crop_end = {};
  double extrapolation = 0;  ///< CropAndResize: the value of what lies outside
};
/// The last sizes.size() axes to `sizes`, one after the other: a gather of the neighbours that count (1, 2 or 4) and
/// their weighted sum. Whole-number scales of Nearest are movement only.
Tensor resize(const Tensor& x, const Shape& sizes, const ResizeOptions& options = {});
/// PyTorch's interpolate: modes "nearest", "nearest-exact", "linear", "bilinear", "trilinear", "bicubic".
Tensor interpolate(const Tensor& x, const Shape& sizes, const char* mode, bool align_corners = false,
                   const std::vector<double>& scales = {});

enum class GridPadding { Zeros, Border, Reflection };
/// x [n, c, h, w], grid [n, ho, wo, 2] of (x, y) in [-1, 1] -> [n, c, ho, wo]. Nearest or Linear. Reflection: not more
/// than once over.
Tensor grid_sample(const Tensor& x, const Tensor& grid, Interpolation mode = Interpolation::Linear,
                   GridPadding padding = GridPadding::Zeros, bool align_corners = false);

}  // namespace quarry::tensor
