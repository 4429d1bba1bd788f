#include "engine/io/header_parser.h"

#include <nlohmann/json.hpp>
#include <optional>
#include <unordered_set>
#include <utility>

#include "common/text.h"
#include "engine/graph/limits.h"

namespace quarry::io {
namespace {

using Json = nlohmann::json;

// nlohmann's parser keeps no tree in this mode: a header of 16 MiB costs its names and shapes, not a node per token.
class HeaderReader final : public nlohmann::json_sax<Json> {
 public:
  std::vector<DeclaredTensor> tensors;
  std::optional<Problem> problem;

  bool start_object(size_t) override {
    switch (place_) {
      case Place::Outside:
        place_ = Place::File;
        return true;
      case Place::Tensor:
        place_ = Place::Fields;
        return true;
      case Place::Metadata:
        place_ = Place::MetadataFields;
        return true;
      default:
        return wrong_type("an object");
    }
  }

  bool key(std::string& text) override {
    if (place_ == Place::MetadataFields) {
      if (!metadata_keys_.insert(text).second) return refuse("the key " + quote(text) + " is repeated in __metadata__");
      return true;
    }
    if (place_ == Place::File) return file_key(text);
    return tensor_key(text);
  }

  bool end_object() override {
    if (place_ == Place::Fields) {
      if (seen_ != kAllFields) return refuse("a tensor needs exactly the fields dtype, shape and data_offsets");
      place_ = Place::File;
    } else if (place_ == Place::MetadataFields) {
      place_ = Place::File;
    } else {
      place_ = Place::Outside;
    }
    return true;
  }

  bool string(std::string& text) override {
    if (place_ == Place::MetadataFields) return true;
    if (place_ != Place::Fields || field_ != kDType) return wrong_type("a string");
    tensors.back().dtype = text;
    return true;
  }

  bool start_array(size_t) override {
    if (place_ != Place::Fields || field_ == kDType) return wrong_type("an array");
    place_ = Place::Array;
    return true;
  }

  bool end_array() override {
    if (field_ == kOffsets && offsets_ != 2) return refuse("data_offsets needs exactly two numbers");
    place_ = Place::Fields;
    return true;
  }

  bool number_unsigned(uint64_t value) override {
    if (place_ != Place::Array) return wrong_type("a number");
    return field_ == kShape ? add_size(value) : add_offset(value);
  }

  bool number_integer(int64_t value) override {
    return value == 0 ? number_unsigned(0) : refuse("a size or an offset is negative");
  }
  bool number_float(double, const std::string&) override {
    return refuse("a size or an offset is not a whole number below 2^64");
  }
  bool null() override { return wrong_type("null"); }
  bool boolean(bool) override { return wrong_type("a boolean"); }
  bool binary(Json::binary_t&) override { return wrong_type("binary data"); }

  bool parse_error(size_t position, const std::string&, const Json::exception&) override {
    if (!problem)
      problem = Problem{"safetensors_header", "the header is not valid JSON at its byte " + std::to_string(position),
                        "", "Write the file again with a safetensors library."};
    return false;
  }

 private:
  enum class Place { Outside, File, Tensor, Fields, Array, Metadata, MetadataFields };
  enum Field : unsigned { kNone = 0, kDType = 1, kShape = 2, kOffsets = 4, kAllFields = 7 };

  bool file_key(std::string& text) {
    if (!names_.insert(text).second) return refuse("the name " + quote(text) + " is repeated");
    if (text == "__metadata__") {
      place_ = Place::Metadata;
      return true;
    }
    tensors.emplace_back().name = std::move(text);
    place_ = Place::Tensor;
    seen_ = kNone;
    field_ = kNone;
    return true;
  }

  bool tensor_key(const std::string& text) {
    const Field field = text == "dtype" ? kDType : text == "shape" ? kShape : text == "data_offsets" ? kOffsets : kNone;
    field_ = kNone;
    if (field == kNone) return refuse("the field " + quote(text) + " is unknown");
    if (seen_ & field) return refuse("the field " + quote(text) + " is repeated");
    field_ = field;
    seen_ |= field;
    offsets_ = 0;
    return true;
  }

  bool add_size(uint64_t value) {
    if (value > static_cast<uint64_t>(graph::kMaxVirtualElements)) return refuse("an axis has more than 2^62 elements");
    if (tensors.back().shape.size() == graph::kMaxRank)
      return refuse("the shape has more than " + std::to_string(graph::kMaxRank) + " axes");
    tensors.back().shape.push_back(static_cast<int64_t>(value));
    return true;
  }

  bool add_offset(uint64_t value) {
    if (offsets_ == 2) return refuse("data_offsets needs exactly two numbers");
    (offsets_ == 0 ? tensors.back().begin : tensors.back().end) = value;
    ++offsets_;
    return true;
  }

  bool wrong_type(const std::string& found) {
    return refuse("found " + found +
                  " where the format has something else: the header is {name: {dtype: string, shape: [sizes], " +
                  "data_offsets: [begin, end]}}, and __metadata__ holds strings");
  }

  bool refuse(std::string detail) {
    if (problem) return false;
    std::string pointer;
    if (place_ == Place::Metadata || place_ == Place::MetadataFields) pointer = "/__metadata__";
    if (place_ == Place::Tensor || place_ == Place::Fields || place_ == Place::Array) pointer = tensor_pointer();
    problem = Problem{"safetensors_header", std::move(detail), std::move(pointer),
                      "Write the file again with a safetensors library."};
    return false;
  }

  std::string tensor_pointer() const {
    const std::string tensor = json_pointer("", tensors.back().name);
    return field_ == kNone ? tensor : json_pointer(tensor, field_name());
  }

  std::string_view field_name() const {
    switch (field_) {
      case kDType:
        return "dtype";
      case kShape:
        return "shape";
      case kOffsets:
        return "data_offsets";
      default:
        return {};
    }
  }

  Place place_ = Place::Outside;
  Field field_ = kNone;
  unsigned seen_ = kNone;
  int offsets_ = 0;
  std::unordered_set<std::string> names_;
  std::unordered_set<std::string> metadata_keys_;
};

}  // namespace

Result<std::vector<DeclaredTensor>> parse_header_text(std::string_view text) {
  HeaderReader reader;
  const bool complete = Json::sax_parse(text.begin(), text.end(), &reader);
  if (reader.problem) return std::move(*reader.problem);
  if (!complete) return Problem{"safetensors_header", "the header is not valid JSON", "", ""};
  return std::move(reader.tensors);
}

}  // namespace quarry::io
