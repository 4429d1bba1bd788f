#include "cli/flags.h"

#include <algorithm>
#include <numeric>

namespace quarry::cli {
namespace {

/// The number of single letters to insert, remove, replace or swap with a neighbour that makes one word of the other.
size_t edit_distance(const std::string& a, const std::string& b) {
  std::vector<std::vector<size_t>> rows(a.size() + 1, std::vector<size_t>(b.size() + 1));
  for (size_t i = 0; i <= a.size(); ++i) rows[i][0] = i;
  std::iota(rows[0].begin(), rows[0].end(), size_t{0});
  for (size_t i = 1; i <= a.size(); ++i)
    for (size_t j = 1; j <= b.size(); ++j) {
      rows[i][j] = std::min({rows[i - 1][j] + 1, rows[i][j - 1] + 1, rows[i - 1][j - 1] + (a[i - 1] != b[j - 1])});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
        rows[i][j] = std::min(rows[i][j], rows[i - 2][j - 2] + 1);
    }
  return rows[a.size()][b.size()];
}

/// The known name that is nearest to a word; empty when none is near.
std::string nearest(const std::string& word, const std::vector<std::string>& known) {
  std::string best;
  size_t least = std::max<size_t>(1, word.size() / 3) + 1;  // a third of the letters may be wrong
  for (const std::string& name : known)
    if (const size_t distance = edit_distance(word, name); distance < least) {
      least = distance;
      best = name;
    }
  return best;
}

/// The innermost command that was recognised.
const CLI::App* innermost(const CLI::App& app) {
  const CLI::App* at = &app;
  for (auto inner = at->get_subcommands(); !inner.empty(); inner = at->get_subcommands()) at = inner.front();
  return at;
}

/// The long names of the flags that a command takes, its parents' among them.
std::vector<std::string> flag_names(const CLI::App* command) {
  std::vector<std::string> names;
  for (const CLI::App* at = command; at; at = at->get_parent())
    for (const CLI::Option* option : at->get_options())
      for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
  return names;
}

std::vector<std::string> command_names(const CLI::App* command) {
  std::vector<std::string> names;
  for (const CLI::App* inner : command->get_subcommands([](const CLI::App*) { return true; }))
    names.push_back(inner->get_name());
  return names;
}

}  // namespace

CLI::Option* add_repeatable(CLI::App* command, const char* name, std::vector<std::string>& values, const char* help) {
  return command->add_option(name, values, help)->allow_extra_args(false);
}

std::string usage_error(const CLI::App& app, const CLI::ParseError& error) {
  const CLI::App* const command = innermost(app);
  const std::vector<std::string> commands = command_names(command);
  for (const std::string& word : app.remaining(true)) {
    const bool flag = word.starts_with('-');
    if (!flag && commands.empty()) continue;
    const std::string given = word.substr(0, word.find('='));
    std::string text = (flag ? "there is no flag " : "there is no command \"") + given + (flag ? "" : "\"");
    const std::string meant = nearest(given, flag ? flag_names(command) : commands);
    if (!meant.empty()) text += "; did you mean " + (flag ? meant : "\"" + meant + "\"") + "?";
    return text;
  }
  return error.what();
}

}  // namespace quarry::cli
