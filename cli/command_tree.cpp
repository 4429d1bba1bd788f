#include "cli/command_tree.h"

#include <cctype>
#include <functional>
#include <sstream>

namespace quarry::cli {
namespace {

std::vector<const CLI::App*> commands_of(const CLI::App& app) {
  return app.get_subcommands([](const CLI::App*) { return true; });
}

/// "-i", "--input": every way to write a flag; empty for a positional.
std::vector<std::string> spellings(const CLI::Option& option) {
  std::vector<std::string> names;
  for (const std::string& name : option.get_snames()) names.push_back("-" + name);
  for (const std::string& name : option.get_lnames()) names.push_back("--" + name);
  return names;
}

std::string words_of(const CLI::App& app) {
  std::string words;
  for (const CLI::App* command : commands_of(app)) words += command->get_name() + " ";
  for (const CLI::App* at = &app; at; at = at->get_parent())
    for (const CLI::Option* option : at->get_options())
      for (const std::string& name : spellings(*option)) words += name + " ";
  if (!words.empty()) words.pop_back();
  return words;
}

/// Calls `visit` with each command and its path, "graph inspect", parents first. The program itself has the path "".
void walk(const CLI::App& app, const std::string& path,
          const std::function<void(const CLI::App&, const std::string&)>& visit) {
  visit(app, path);
  for (const CLI::App* command : commands_of(app))
    walk(*command, path.empty() ? command->get_name() : path + " " + command->get_name(), visit);
}

/// Text as groff shows it: no line of it is a request, and a hyphen stays a hyphen that can be copied.
std::string roff(const std::string& text) {
  std::string escaped;
  for (const char c : text) {
    if (c == '\\')
      escaped += "\\e";
    else if (c == '-')
      escaped += "\\-";
    else
      escaped += c;
  }
  std::string lines;
  std::istringstream in(escaped);
  for (std::string line; std::getline(in, line);) {
    if (line.starts_with('.') || line.starts_with('\'')) lines += "\\&";
    lines += line + "\n";
  }
  return lines;
}

std::string options_of(const CLI::App& command) {
  std::string text;
  for (const CLI::Option* option : command.get_options()) {
    std::string names;
    for (const std::string& name : spellings(*option)) names += (names.empty() ? "" : ", ") + name;
    if (names.empty()) names = option->get_name(true);
    if (option->get_type_size() != 0 && !option->get_positional()) names += " " + option->get_type_name();
    text += ".TP\n.B " + roff(names) + roff(option->get_description());
  }
  return text;
}

}  // namespace

std::string completion_script(const CLI::App& app, const std::string& shell) {
  std::string cases, names;
  walk(app, "", [&](const CLI::App& command, const std::string& path) {
    if (path.empty()) return;
    cases += "    \"" + path + "\") words=\"" + words_of(command) + "\" ;;\n";
    names += "|" + path;
  });
  std::string script;
  if (shell == "zsh") script += "autoload -Uz bashcompinit && bashcompinit\n";
  script +=
      "# Completion of quarry for " + shell + ": put `source <(quarry completion " + shell +
      ")` in your shell's start file.\n"
      "_quarry() {\n"
      "  local current=${COMP_WORDS[COMP_CWORD]} path= word words candidate\n"
      "  for word in \"${COMP_WORDS[@]:1:COMP_CWORD-1}\"; do\n"
      "    candidate=${path:+$path }$word\n"
      "    case \"" +
      names +
      "|\" in *\"|$candidate|\"*) path=$candidate ;; esac\n"
      "  done\n"
      "  case \"$path\" in\n"
      "    \"\") words=\"" +
      words_of(app) + "\" ;;\n" + cases +
      "  esac\n"
      "  COMPREPLY=()\n"
      "  for word in $words; do\n"
      "    if [[ $word == \"$current\"* && ( $current == -* || $word != -* ) ]]; then COMPREPLY+=(\"$word\"); fi\n"
      "  done\n"
      "}\n"
      "complete -o default -F _quarry quarry\n";
  return script;
}

std::string manual_page(const CLI::App& app, const std::string& version, const std::string& footer) {
  std::string page = ".TH QUARRY 1 \"\" \"quarry " + version + "\" \"Quarry\"\n.SH NAME\nquarry \\- " +
                     roff("buy floating-point work by the petaFLOP, and sell it") + ".SH SYNOPSIS\n.B quarry\n" +
                     roff("[flags] command [flags]") + ".SH DESCRIPTION\n" + roff(app.get_description());
  page += ".SH FLAGS OF EVERY COMMAND\n" + options_of(app) + ".SH COMMANDS\n";
  walk(app, "", [&](const CLI::App& command, const std::string& path) {
    if (path.empty()) return;
    page += ".SS " + roff("quarry " + path) + roff(command.get_description());
    page += options_of(command);
  });
  page += ".SH EXAMPLES, CONFIGURATION AND EXIT CODES\n.nf\n" + roff(footer) + ".fi\n";
  return page;
}

}  // namespace quarry::cli
