#include "engine/device/opencl/declarations.h"

#include <algorithm>
#include <string>
#include <vector>

#include "engine/codegen/helpers.h"

namespace quarry::device::opencl {

namespace {

enum class Types { Integers, Floats, All };

struct Rule {
  std::string_view name;
  Types types;
  std::string_view text;  ///< as codegen::instantiate() reads it
};

constexpr Rule kRules[] = {
    {"select", Types::All, "FUNCTION $T$V select($T$V, $T$V, $M$V);\n"},
    {"clamp", Types::All, "FUNCTION $T$V clamp($T$V, $T$V, $T$V);\n"},
    {"min", Types::All, "FUNCTION $T$V min($T$V, $T$V);\n"},
    {"max", Types::All, "FUNCTION $T$V max($T$V, $T$V);\n"},
    {"any", Types::Integers, "FUNCTION int any($T$V);\n"},
    {"clz", Types::Integers, "FUNCTION $T$V clz($T$V);\n"},
    {"mul_hi", Types::Integers, "FUNCTION $T$V mul_hi($T$V, $T$V);\n"},
    {"fabs", Types::Floats, "FUNCTION $T$V fabs($T$V);\n"},
    {"rint", Types::Floats, "FUNCTION $T$V rint($T$V);\n"},
    {"trunc", Types::Floats, "FUNCTION $T$V trunc($T$V);\n"},
    {"sqrt", Types::Floats, "FUNCTION $T$V sqrt($T$V);\n"},
    {"exp", Types::Floats, "FUNCTION $T$V exp($T$V);\n"},
    {"log", Types::Floats, "FUNCTION $T$V log($T$V);\n"},
    {"fma", Types::Floats, "FUNCTION $T$V fma($T$V, $T$V, $T$V);\n"},
};

constexpr std::string_view kIntegers[] = {"char", "uchar", "short", "ushort", "int", "uint", "long", "ulong"};
constexpr std::string_view kFloats[] = {"float", "double"};

constexpr std::string_view kOpening =
    "#define FUNCTION __attribute__((overloadable, const))\n"
    "#define READER __attribute__((overloadable, pure))\n"
    "#define WRITER __attribute__((overloadable))\n"
    "FUNCTION size_t get_global_id(uint);\n"
    "FUNCTION size_t get_local_id(uint);\n"
    "READER float8 vload_half8(size_t, const __private half*);\n"
    "READER float16 vload_half16(size_t, const __private half*);\n"
    "void __attribute__((overloadable, convergent)) barrier(cl_mem_fence_flags);\n";

std::vector<std::string_view> types_of(Types types) {
  std::vector<std::string_view> result;
  if (types != Types::Floats) result.insert(result.end(), std::begin(kIntegers), std::end(kIntegers));
  if (types != Types::Integers) result.insert(result.end(), std::begin(kFloats), std::end(kFloats));
  return result;
}

class Declarations {
 public:
  explicit Declarations(std::string_view source) : source_(source), text_(kOpening) {
    for (int width : {1, 2, 4, 8, 16}) {
      if (width == 1 || names_vectors(width)) widths_.push_back(width);
    }
    for (const Rule& rule : kRules) {
      if (!calls(rule.name)) continue;
      for (int width : widths_) write(rule.text, rule.types, width);
    }
    for (int width : widths_) {
      conversions(width);
      loads_and_stores(width);
    }
    text_ += "#line 1\n";
  }

  std::string take() { return std::move(text_); }

 private:
  bool names_vectors(int width) const {
    const std::vector<std::string_view> types = types_of(Types::All);
    return std::any_of(types.begin(), types.end(), [&](std::string_view type) {
      return source_.find(codegen::vector_type(type, width)) != std::string_view::npos;
    });
  }

  bool calls(std::string_view name) const { return source_.find(std::string(name) + "(") != std::string_view::npos; }

  void conversions(int width) {
    for (std::string_view type : types_of(Types::All)) {
      const std::string to = codegen::vector_type(type, width);
      if (calls("convert_" + to)) write("FUNCTION " + to + " convert_" + to + "($T$V);\n", Types::All, width);
    }
  }

  void loads_and_stores(int width) {
    const bool loads = calls("vload" + std::to_string(width)), stores = calls("vstore" + std::to_string(width));
    for (const std::string space : {"__global", "__local", "__private"}) {
      if (loads) write("READER $T$V vload$V(size_t, const " + space + " $T*);\n", Types::All, width);
      if (stores) write("WRITER void vstore$V($T$V, size_t, " + space + " $T*);\n", Types::All, width);
    }
  }

  void write(std::string_view text, Types types, int width) {
    for (std::string_view type : types_of(types)) text_ += codegen::instantiate(text, type, width);
  }

  std::string_view source_;
  std::vector<int> widths_;
  std::string text_;
};

}  // namespace

std::string declarations_for(std::string_view source) {
  return Declarations(source).take();
}

}  // namespace quarry::device::opencl
