#include "cli/config.h"

#include <sys/stat.h>

#include <catch2/catch.hpp>
#include <cstdlib>

#include "tests/support/scratch.h"

using namespace quarry;
using namespace quarry::cli;
namespace fs = std::filesystem;

namespace {

struct ConfigScratch : quarry::test::Scratch {
  ConfigScratch() {
    for (const char* name : {"QUARRY_SERVER", "QUARRY_API_KEY", "QUARRY_AUTHORITY"}) unsetenv(name);
  }
  fs::path write(const std::string& text) const { return Scratch::write("config.json", text); }
};

}  // namespace

TEST_CASE("the environment overrides the file") {
  const ConfigScratch scratch;
  const fs::path file = scratch.write(R"({"server": "https://from-file", "api_key": "k"})");
  setenv("QUARRY_SERVER", "https://from-environment", 1);
  const auto config = load_config(file, true);
  unsetenv("QUARRY_SERVER");
  REQUIRE(config.ok());
  CHECK(config->server == "https://from-environment");
  CHECK(config->api_key == "k");
}

TEST_CASE("an unknown key is an error that names the nearest known one") {
  const ConfigScratch scratch;
  const auto config = load_config(scratch.write(R"({"sever": "https://x"})"), true);
  REQUIRE_FALSE(config.ok());
  CHECK(config.problem().code == "bad_config");
  CHECK(config.problem().pointer == "/sever");
  CHECK(config.problem().action == "Did you mean \"server\"?");
}

TEST_CASE("a config that is not JSON, or that was named and is absent, is an error") {
  const ConfigScratch scratch;
  CHECK(load_config(scratch.write("{"), true).problem().code == "bad_config");
  CHECK(load_config(scratch.path / "absent.json", true).problem().code == "bad_config");
  CHECK(load_config(scratch.path / "absent.json", false).ok());
}

TEST_CASE("a saved config reads back and nobody else may read it") {
  const ConfigScratch scratch;
  const fs::path file = scratch.path / "deep" / "config.json";
  REQUIRE(save_config(file, {"https://s", "qk_live_x", "/ca.pem"}).ok());
  CHECK(load_config(file, true)->api_key == "qk_live_x");
  struct stat status {};
  REQUIRE(stat(file.c_str(), &status) == 0);
  CHECK((status.st_mode & 0777) == 0600);
}
