// What is made from the declared commands and flags, so that it is never out of date: shell completion, the man page.
#pragma once

#include <CLI/CLI.hpp>
#include <string>

namespace quarry::cli {

/// A script that completes commands, flags and file names; `shell` is "bash" or "zsh".
std::string completion_script(const CLI::App& app, const std::string& shell);

/// The manual page quarry(1), in the man macros of groff.
std::string manual_page(const CLI::App& app, const std::string& version, const std::string& footer);

}  // namespace quarry::cli
