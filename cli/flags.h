// How flags are declared: numbers that are strict, flags that may be repeated, and the name that somebody meant.
#pragma once

#include <CLI/CLI.hpp>
#include <charconv>
#include <string>
#include <vector>

namespace quarry::cli {

/// A whole number in decimal ("010" is ten) from `low` to `high`. Anything else is a usage error that names the range.
template <class Int>
CLI::Option* add_number(CLI::App* command, const char* name, Int& value, Int low, Int high, const char* help) {
  const auto read = [&value, low, high, name](const std::string& text) {
    Int parsed{};
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), parsed, 10);
    if (error != std::errc() || end != text.data() + text.size() || parsed < low || parsed > high)
      throw CLI::ValidationError(
          name, "\"" + text + "\" is not a whole number from " + std::to_string(low) + " to " + std::to_string(high));
    value = parsed;
  };
  return command->add_option_function<std::string>(name, read, help)->type_name("N");
}

/// An option that may be given many times and takes one value each time, so that a positional may follow it.
CLI::Option* add_repeatable(CLI::App* command, const char* name, std::vector<std::string>& values, const char* help);

/// What is wrong with a command line, in one sentence, and the nearest known command or flag where a word is unknown.
std::string usage_error(const CLI::App& app, const CLI::ParseError& error);

}  // namespace quarry::cli
