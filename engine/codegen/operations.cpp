#include "engine/codegen/operations.h"

#include <cstdio>

#include "engine/graph/number.h"

namespace quarry::codegen {

using graph::DType;
using graph::Op;

std::string_view compute_type(DType dtype) {
  switch (dtype) {
    case DType::Bool:
    case DType::U8:
      return "uchar";
    case DType::I8:
      return "char";
    case DType::I32:
      return "int";
    case DType::I64:
      return "long";
    case DType::F16:
    case DType::BF16:
    case DType::F32:
      return "float";
    case DType::F64:
      return "double";
  }
  return "";
}

std::string_view storage_type(DType dtype) {
  return dtype == DType::F16 || dtype == DType::BF16 ? "ushort" : compute_type(dtype);
}

namespace {

std::string call(const std::string& function, const std::string& a) {
  return function + "(" + a + ")";
}
std::string call(const std::string& function, const std::string& a, const std::string& b) {
  return function + "(" + a + ", " + b + ")";
}
std::string convert(std::string_view type, const std::string& a, int width) {
  return call("convert_" + vector_type(type, width), a);
}

// Wrapping: in the unsigned type, whose overflow is defined.
std::string wrapping(std::string_view symbol, DType dtype, const std::string& a, const std::string& b, int width) {
  const std::string type = vector_type(compute_type(dtype), width);
  const std::string_view element = unsigned_type(compute_type(dtype));
  const std::string as_unsigned = "as_" + vector_type(element, width);
  const std::string sum = call(as_unsigned, a) + " " + std::string(symbol) + " " + call(as_unsigned, b);
  return call("as_" + type, convert(element, sum, width));
}

std::string logical(Op op, const std::string& a, const std::string& b, int width) {
  const std::string type = vector_type("uchar", width);
  const std::string one = "(" + type + ")(1)";
  std::string text;
  switch (op) {
    case Op::Add:
    case Op::Max:
      text = a + " | " + b;
      break;
    case Op::Sub:
      text = a + " ^ " + b;
      break;
    case Op::Mul:
      text = a + " & " + b;
      break;
    case Op::Pow:
      text = a + " | (" + b + " ^ " + one + ")";
      break;
    default:
      text = (a + " ^ " + b) + " ^ " + one;  // CMPEQ
  }
  return convert("uchar", text, width);
}

}  // namespace

std::string Operations::binary(Op op, DType dtype, const std::string& a, const std::string& b, int width) {
  const std::string_view type = compute_type(dtype);
  if (dtype == DType::Bool) return logical(op, a, b, width);
  const bool floating = graph::is_float(dtype), is_unsigned = dtype == DType::U8;
  switch (op) {
    case Op::Add:
      return floating ? a + " + " + b : wrapping("+", dtype, a, b, width);
    case Op::Sub:
      return floating ? a + " - " + b : wrapping("-", dtype, a, b, width);
    case Op::Mul:
      return floating ? a + " * " + b : wrapping("*", dtype, a, b, width);
    case Op::Div:
      if (floating) return a + " / " + b;
      return call(helpers_.use(is_unsigned ? "q_udiv" : "q_div", type, width), a, b);
    case Op::Pow:
      if (dtype == DType::F64) return call(helpers_.use("q_dpow", type, width), a, b);
      if (floating) return has_f64_ ? call(helpers_.use("q_pow", type, width), a, b) : call("pow", a, b);
      return call(helpers_.use(is_unsigned ? "q_upow" : "q_ipow", type, width), a, b);
    case Op::CmpEq:
      return call(helpers_.use("q_eq", type, width), a, b);
    default:
      break;
  }
  if (floating) return call(helpers_.use("q_max", type, width), a, b);
  return call("max", a, b);
}

std::string Operations::unary(Op op, DType dtype, const std::string& a, int width) {
  const bool exp = op == Op::Exp;
  if (dtype == DType::F64) return call(helpers_.use(exp ? "q_dexp" : "q_dlog", "double", width), a);
  if (dtype != DType::F32) return call(helpers_.use(exp ? "q_exp_narrow" : "q_log_narrow", "float", width), a);
  return call(helpers_.use(exp ? "q_exp" : "q_log", "float", width), a);
}

std::string Operations::constant_power(DType dtype, const std::string& a, double exponent, int width) {
  if (!graph::is_float(dtype)) return "";
  const std::string type = vector_type(compute_type(dtype), width);
  const std::string one = "(" + type + ")(1)";
  if (exponent == 0) return one;
  if (exponent == 1) return a;
  if (exponent == 2) return a + " * " + a;
  if (exponent == -1) return one + " / " + a;
  if (exponent == 0.5) return call(helpers_.use("q_root", compute_type(dtype), width), a);
  if (exponent == -0.5) return one + " / " + call(helpers_.use("q_root", compute_type(dtype), width), a);
  return "";
}

std::string Operations::cast(DType to, DType from, const std::string& a, int width) {
  const std::string_view source = compute_type(from), target = compute_type(to);
  const std::string source_type = vector_type(source, width), target_type = vector_type(target, width);
  if (to == from) return a;
  if (to == DType::Bool) {
    // 1 where a != 0; NaN is not 0.
    const std::string mask = "convert_" + vector_type("char", width) + "(" + a + " != (" + source_type + ")(0))";
    return "select((" + target_type + ")(0), (" + target_type + ")(1), " + mask + ")";
  }
  if (graph::is_float(from) && !graph::is_float(to)) {
    return call(helpers_.use("q_to_" + std::string(target), source, width), a);
  }
  if (!graph::is_float(to) || to == DType::F64) return source == target ? a : convert(target, a, width);
  if (to == DType::F32) return source == target ? a : convert("float", a, width);
  // f16 and bf16: by way of an f32 that rounds as the original would.
  if (from == DType::F64) return call(helpers_.use("q_odd_double", source, width), a);
  if (from == DType::I64) return call(helpers_.use("q_odd_long", source, width), a);
  if (from == DType::I32) return call(helpers_.use("q_odd_long", "long", width), convert("long", a, width));
  return source == target ? a : convert("float", a, width);
}

std::string Operations::round(DType dtype, const std::string& a, int width) {
  if (dtype == DType::F16) return call(helpers_.use("q_round_f16", "float", width), a);
  if (dtype == DType::BF16) return call(helpers_.use("q_round_bf16", "float", width), a);
  return a;
}

std::string Operations::fused_multiply_add(DType dtype, const std::string& a, const std::string& b,
                                           const std::string& c, int width) {
  return helpers_.use("q_fma", compute_type(dtype), width) + "(" + a + ", " + b + ", " + c + ")";
}

std::string Operations::philox(const std::string& element, const std::string& stream, int width) {
  return helpers_.use("q_philox", "ulong", width) + "(" + element + ", (uint)step, " + stream + ", seed)";
}

std::string Operations::literal(DType dtype, uint64_t bits) const {
  char text[64];
  switch (dtype) {
    case DType::Bool:
    case DType::U8:
      return "(uchar)" + std::to_string(bits & 0xff);
    case DType::I8:
      return "(char)" + std::to_string(static_cast<int8_t>(bits));
    case DType::I32:
      std::snprintf(text, sizeof text, "as_int(0x%08xu)", static_cast<uint32_t>(bits));
      return text;
    case DType::I64:
      std::snprintf(text, sizeof text, "as_long(0x%016lxul)", static_cast<unsigned long>(bits));
      return text;
    case DType::F32:
      std::snprintf(text, sizeof text, "as_float(0x%08xu)", static_cast<uint32_t>(bits));
      return text;
    case DType::F64:
      std::snprintf(text, sizeof text, "as_double(0x%016lxul)", static_cast<unsigned long>(bits));
      return text;
    case DType::F16:
    case DType::BF16:
      break;
  }
  return literal(DType::F32, graph::cast_bits(dtype, DType::F32, bits));
}

std::string Operations::identity(Op reduce, DType dtype) const {
  if (reduce == Op::ReduceSum) return literal(dtype, 0);
  if (graph::is_float(dtype)) return literal(dtype, graph::infinity_bits(dtype, true));
  return literal(dtype, graph::from_integer(dtype, graph::lowest_integer(dtype)));
}

std::string Operations::from_storage(DType dtype, const std::string& stored, int width) {
  if (dtype == DType::F16) {
    const bool wide = !is_gpu_ && width >= 8;
    const char* const helper = wide ? "q_vector_from_f16" : is_gpu_ || width > 1 ? "q_from_f16" : "q_scalar_from_f16";
    return call(helpers_.use(helper, "ushort", width), stored);
  }
  if (dtype == DType::BF16) return call(helpers_.use("q_from_bf16", "ushort", width), stored);
  if (dtype == DType::Bool) return call("min", stored, "(" + vector_type("uchar", width) + ")(1)");
  return stored;
}

std::string Operations::load(DType dtype, const std::string& pointer, const std::string& index, int width) {
  if (width == 1) return from_storage(dtype, pointer + "[" + index + "]", 1);
  const std::string place = pointer + " + (" + index + ")";
  return from_storage(dtype, call("vload" + std::to_string(width), "0", place), width);
}

std::string Operations::to_storage(DType dtype, const std::string& value, int width) {
  if (dtype == DType::F16) return call(helpers_.use("q_to_f16", "float", width), value);
  if (dtype == DType::BF16) return call(helpers_.use("q_to_bf16", "float", width), value);
  return value;
}

std::string Operations::store(DType dtype, const std::string& pointer, const std::string& index,
                              const std::string& value, int width) {
  if (width == 1) return pointer + "[" + index + "] = " + to_storage(dtype, value, 1);
  const std::string place = pointer + " + (" + index + ")";
  return "vstore" + std::to_string(width) + "(" + to_storage(dtype, value, width) + ", 0, " + place + ")";
}

namespace {

int64_t words_of(DType dtype, int64_t elements) {
  return elements * static_cast<int64_t>(graph::byte_size(dtype)) / 4;
}

// Word number `word` of loaded words.
std::string word_of(const std::string& words, int64_t count, int64_t word) {
  static constexpr const char* kNames[] = {".x", ".y", ".z", ".w"};
  return count == 1 ? words : words + kNames[word];
}

// `element` as unsigned bits, moved to its place in a word.
std::string placed(std::string_view type, const std::string& element, int64_t shift) {
  const std::string bits = "(uint)as_" + std::string(unsigned_type(type)) + "(" + element + ")";
  return shift == 0 ? bits : bits + " << " + std::to_string(shift);
}

}  // namespace

std::string_view Operations::words_type(DType dtype, int64_t elements) const {
  const int64_t words = words_of(dtype, elements);
  return words == 1 ? "uint" : words == 2 ? "WORDS2" : "WORDS4";
}

std::string Operations::load_words(DType dtype, const std::string& pointer, const std::string& index,
                                   int64_t elements) {
  return "LOAD_WORDS" + std::to_string(words_of(dtype, elements)) + "(" + pointer + " + (" + index + "))";
}

std::string Operations::element_of(DType dtype, const std::string& words, int64_t elements, int64_t element) const {
  const int64_t count = words_of(dtype, elements), bytes = static_cast<int64_t>(graph::byte_size(dtype));
  const std::string type(storage_type(dtype));
  if (bytes == 8) {
    const std::string low = word_of(words, count, 2 * element), high = word_of(words, count, 2 * element + 1);
    return "as_" + type + "((ulong)" + low + " | (ulong)" + high + " << 32)";
  }
  const std::string word = word_of(words, count, element * bytes / 4);
  if (bytes == 4) return "as_" + type + "(" + word + ")";
  const int64_t shift = element * bytes % 4 * 8;
  return "(" + type + ")(" + word + (shift == 0 ? "" : " >> " + std::to_string(shift)) + ")";
}

std::string Operations::store_words(DType dtype, const std::string& pointer, const std::string& index,
                                    const std::vector<std::string>& stored) {
  const auto bytes = static_cast<int64_t>(graph::byte_size(dtype));
  const std::string_view type = storage_type(dtype);
  std::vector<std::string> words;
  for (size_t i = 0; i < stored.size(); ++i) {
    const auto place = static_cast<int64_t>(i);
    if (bytes == 8) {
      words.push_back("(uint)as_ulong(" + stored[i] + ")");
      words.push_back("(uint)(as_ulong(" + stored[i] + ") >> 32)");
      continue;
    }
    const int64_t shift = place * bytes % 4 * 8;
    if (shift == 0) words.emplace_back();
    words.back() += (shift == 0 ? "" : " | ") + placed(type, stored[i], shift);
  }
  std::string text = "STORE_WORDS" + std::to_string(words.size()) + "(" + pointer + " + (" + index + ")";
  for (const std::string& word : words) text += ", " + word;
  return text + ")";
}

}  // namespace quarry::codegen
