#include "tests/templates/contraction_case.h"

namespace quarry::test {

using templates::ContractionProblem;
using templates::OperandView;

namespace {

int64_t padded(int64_t extent) {
  return (extent + 7) / 8 * 8;
}

OperandView view_of(int argument, int64_t rows, int64_t k, bool contiguous_along_k,
                    const std::vector<int64_t>& batches) {
  OperandView view{.argument = argument};
  view.row_stride = contiguous_along_k ? padded(k) : 1;
  view.k_stride = contiguous_along_k ? 1 : padded(rows);
  int64_t stride = contiguous_along_k ? rows * padded(k) : k * padded(rows);
  view.batch_strides.resize(batches.size());
  for (size_t i = batches.size(); i-- > 0;) {
    view.batch_strides[i] = stride;
    stride *= batches[i];
  }
  view.elements = stride;
  return view;
}

}  // namespace

std::string to_string(const Form& form) {
  std::string text = std::string(graph::name(form.operand)) + " " + form.layout + " " + std::to_string(form.m) + "x" +
                     std::to_string(form.n) + "x" + std::to_string(form.k) + " -> " +
                     std::string(graph::name(form.result)) + (form.result_transposed ? " transposed" : "");
  for (int64_t batch : form.batches) text += " batch " + std::to_string(batch);
  return text;
}

ContractionProblem problem_of(const Form& form) {
  ContractionProblem problem{
      .operand = form.operand, .result = form.result, .batches = form.batches, .m = form.m, .n = form.n, .k = form.k};
  problem.left = view_of(1, form.m, form.k, form.layout[0] == 'N', form.batches);
  problem.right = view_of(2, form.n, form.k, form.layout[1] == 'T', form.batches);
  problem.m_stride = form.result_transposed ? 1 : form.n;
  problem.n_stride = form.result_transposed ? form.m : 1;
  int64_t stride = form.m * form.n;
  problem.result_batch_strides.resize(form.batches.size());
  for (size_t i = form.batches.size(); i-- > 0;) {
    problem.result_batch_strides[i] = stride;
    stride *= form.batches[i];
  }
  problem.result_elements = stride;
  return problem;
}

}  // namespace quarry::test
