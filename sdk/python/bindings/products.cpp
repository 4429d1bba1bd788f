// engine/tensor/contraction.h, convolution.h and resize.h under their own names.
#include "engine/tensor/contraction.h"

#include "engine/tensor/convolution.h"
#include "engine/tensor/resize.h"
#include "sdk/python/bindings/arguments.h"
#include "sdk/python/bindings/bindings.h"

namespace quarry::python {
namespace {

using tensor::Pair;
using tensor::Shape;
using tensor::Tensor;

void bind_contractions(py::module_& module) {
  module.def("contract", &tensor::contract);
  module.def("matmul", &tensor::matmul);
  module.def("tensordot", &tensor::tensordot);
  module.def("einsum", [](const std::string& equation, const std::vector<Tensor>& operands) {
    return tensor::einsum(equation, operands);
  });
  module.def("linear", [](const Tensor& x, const Tensor& weight, const MaybeTensor& bias) {
    return tensor::linear(x, weight, tensor_or_none(bias));
  });
}

void bind_convolutions(py::module_& module) {
  module.def("conv", [](const Tensor& x, const Tensor& weight, const MaybeTensor& bias, const Shape& stride,
                        const std::vector<Pair>& padding, const Shape& dilation, int64_t groups) {
    return tensor::conv(x, weight, tensor_or_none(bias), {stride, padding, dilation, groups});
  });
  module.def("conv_transpose", [](const Tensor& x, const Tensor& weight, const MaybeTensor& bias, const Shape& stride,
                                  const std::vector<Pair>& padding, const Shape& dilation, int64_t groups,
                                  const Shape& output_padding) {
    return tensor::conv_transpose(x, weight, tensor_or_none(bias), {stride, padding, dilation, groups}, output_padding);
  });
  module.def("same_padding", &tensor::same_padding);
}

tensor::Interpolation interpolation(const std::string& name) {
  using tensor::Interpolation;
  return choice<Interpolation>(name, "mode",
                               {{"nearest", Interpolation::Nearest},
                                {"linear", Interpolation::Linear},
                                {"bilinear", Interpolation::Linear},
                                {"cubic", Interpolation::Cubic},
                                {"bicubic", Interpolation::Cubic}});
}

tensor::ResizeOptions resize_options(const std::string& mode, const std::string& coordinates,
                                     const std::string& rounding) {
  using tensor::Coordinates;
  using tensor::Rounding;
  tensor::ResizeOptions options;
  options.mode = interpolation(mode);
  options.coordinates = choice<Coordinates>(coordinates, "coordinates",
                                            {{"half_pixel", Coordinates::HalfPixel},
                                             {"pytorch_half_pixel", Coordinates::PytorchHalfPixel},
                                             {"align_corners", Coordinates::AlignCorners},
                                             {"asymmetric", Coordinates::Asymmetric},
                                             {"half_pixel_symmetric", Coordinates::HalfPixelSymmetric},
                                             {"tf_crop_and_resize", Coordinates::CropAndResize}});
  options.rounding = choice<Rounding>(rounding, "rounding",
                                      {{"round_prefer_floor", Rounding::RoundPreferFloor},
                                       {"round_prefer_ceil", Rounding::RoundPreferCeil},
                                       {"floor", Rounding::Floor},
                                       {"ceil", Rounding::Ceil}});
  return options;
}

void bind_resampling(py::module_& module) {
  module.def("resize", [](const Tensor& x, const Shape& sizes, const std::string& mode, const std::string& coordinates,
                          const std::string& rounding, double cubic_coefficient, bool exclude_outside,
                          const std::vector<double>& scales, const std::vector<double>& crop_start,
                          const std::vector<double>& crop_end, double extrapolation) {
    tensor::ResizeOptions options = resize_options(mode, coordinates, rounding);
    options.cubic_coefficient = cubic_coefficient;
    options.exclude_outside = exclude_outside;
    options.scales = scales;
    options.crop_start = crop_start;
    options.crop_end = crop_end;
    options.extrapolation = extrapolation;
    return tensor::resize(x, sizes, options);
  });
  module.def("interpolate", [](const Tensor& x, const Shape& sizes, const std::string& mode, bool align_corners,
                               const std::vector<double>& scales) {
    return tensor::interpolate(x, sizes, mode.c_str(), align_corners, scales);
  });
  module.def("grid_sample", [](const Tensor& x, const Tensor& grid, const std::string& mode, const std::string& padding,
                               bool align_corners) {
    using tensor::GridPadding;
    return tensor::grid_sample(
        x, grid, interpolation(mode),
        choice<GridPadding>(
            padding, "padding_mode",
            {{"zeros", GridPadding::Zeros}, {"border", GridPadding::Border}, {"reflection", GridPadding::Reflection}}),
        align_corners);
  });
}

}  // namespace

void bind_products(py::module_& module) {
  bind_contractions(module);
  bind_convolutions(module);
  bind_resampling(module);
}

}  // namespace quarry::python
