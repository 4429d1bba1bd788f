// `quarry onnx run | inspect`: hands over to the Python package, which imports ONNX models (sdk/python/quarry/onnx).
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>

#include "cli/commands.h"

namespace quarry::cli {
namespace {

namespace fs = std::filesystem;

/// Runs the package's own command line. A Python that lacks a module hands over to the next one that QUARRY_PYTHONS
/// names; the last one says in one line what it lacks.
constexpr const char* kStart = R"(import json, os, sys
try:
    from quarry.onnx.__main__ import main
except ImportError as error:
    others = os.environ.pop("QUARRY_PYTHONS", "").split(":")
    if others[0]:
        os.environ["QUARRY_PYTHONS"] = ":".join(others[1:])
        os.execvp(others[0], [others[0], "-c", os.environ["QUARRY_START"]] + sys.argv[1:])
    problem = {"code": "cannot_start", "detail": f"{sys.executable} cannot run quarry.onnx: {error}", "pointer": "",
               "action": "Install Debian's python3-numpy and python3-onnx and the quarry package (docs/python.md); "
                         "QUARRY_PYTHON names another Python."}
    if "--json" in sys.argv:
        print(json.dumps({"error": problem}, indent=2))
    else:
        print(f"error: {problem['detail']} [cannot_start]\n  {problem['action']}", file=sys.stderr)
    sys.exit(1)
sys.exit(main()))";

/// The package's folders when this program lies in a build tree, build/<preset>/bin; empty when it is installed.
std::string package_of_build_tree() {
  std::error_code error;
  const fs::path build = fs::read_symlink("/proc/self/exe", error).parent_path().parent_path();
  const fs::path module = build / "python", package = build.parent_path().parent_path() / "sdk" / "python";
  if (error || !fs::is_directory(module, error) || !fs::is_directory(package / "quarry", error)) return "";
  return package.string() + ":" + module.string();
}

/// The Pythons to try, in order: the one that QUARRY_PYTHON names and no other, else that of an active virtual
/// environment, Debian's, and the first on the PATH.
std::vector<std::string> pythons() {
  const char* chosen = std::getenv("QUARRY_PYTHON");
  if (chosen && *chosen) return {chosen};
  std::vector<std::string> found;
  const char* environment = std::getenv("VIRTUAL_ENV");
  if (environment && *environment) found.push_back(std::string(environment) + "/bin/python3");
  found.push_back("/usr/bin/python3");
  std::error_code error;
  std::erase_if(found, [&](const std::string& python) { return !fs::exists(python, error); });
  found.push_back("python3");
  return found;
}

void set_variable(const char* name, const std::string& value) {
  if (!value.empty()) setenv(name, value.c_str(), 1);
}

}  // namespace

Status run_onnx(Context& context, const OnnxFlags& flags) {
  std::error_code error;
  if (!fs::exists(flags.model, error))
    return Problem{"cannot_read", "cannot read " + flags.model, "", "Check the path and its permissions."};
  const bool configured = !context.config_path.empty() || !context.server_flag.empty() ||
                          !context.authority_flag.empty() || !context.api_key_file_flag.empty();
  if (configured) {  // else the package finds the same file and variables itself
    QUARRY_ASSIGN(const Config config, context.config());
    set_variable("QUARRY_SERVER", config.server);
    set_variable("QUARRY_API_KEY", config.api_key);
    set_variable("QUARRY_AUTHORITY", config.authority);
  }
  if (const std::string folders = package_of_build_tree(); !folders.empty()) {
    const char* given = std::getenv("PYTHONPATH");
    set_variable("PYTHONPATH", given && *given ? std::string(given) + ":" + folders : folders);
  }
  std::string others;
  const std::vector<std::string> candidates = pythons();
  for (size_t i = 1; i < candidates.size(); ++i) others += (i > 1 ? ":" : "") + candidates[i];
  set_variable("QUARRY_PYTHONS", others);
  set_variable("QUARRY_START", kStart);
  std::vector<std::string> words{candidates.front(), "-c", kStart, flags.action, flags.model};
  for (const std::string& input : flags.inputs) words.insert(words.end(), {"--input", input});
  for (const std::string& shape : flags.shapes) words.insert(words.end(), {"--shape", shape});
  if (!flags.output.empty()) words.insert(words.end(), {"--output", flags.output});
  if (flags.force) words.push_back("--force");
  if (!flags.on.empty()) words.insert(words.end(), {"--on", flags.on});
  if (context.json) words.push_back("--json");
  std::vector<char*> arguments(words.size() + 1);
  std::transform(words.begin(), words.end(), arguments.begin(), [](std::string& word) { return word.data(); });
  execvp(arguments[0], arguments.data());
  return Problem{"cannot_start", "cannot run " + words[0] + ": " + std::strerror(errno), "",
                 "Install python3, or name one with QUARRY_PYTHON."};
}

}  // namespace quarry::cli
