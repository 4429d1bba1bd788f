// `quarry`: the command line.
#include <curl/curl.h>
#include <CLI/CLI.hpp>

#include <iostream>

#include "cli/context.h"

namespace {

constexpr const char* kFooter = R"(Examples:
  quarry up                                   start the whole service on this machine
  quarry demo                                 run the main job: learn letters from the word list
  quarry graph inspect model.json             what a graph costs, before it runs
  quarry run model.json --input x=x.safetensors       run here, without a service
  quarry quote model.json --input x=x.safetensors     the exact price
  quarry submit model.json --input x=x.safetensors --watch
  quarry get last                             fetch the results of the newest job

Configuration: ~/.config/quarry/config.json, then QUARRY_SERVER, QUARRY_API_KEY, QUARRY_AUTHORITY, then flags; the later wins.
Exit codes: 0 done; 1 the job or the command failed; 2 usage or configuration; 3 bad input; 4 not found; 5 not authorised;
            6 balance too low; 7 the service cannot be reached.)";

}  // namespace

int main(int argc, char** argv) {
  using namespace quarry::cli;
  curl_global_init(CURL_GLOBAL_DEFAULT);
  Context context;
  CLI::App app{"Quarry rents out floating-point work: jobs are graphs of twelve ops, priced before they run.",
               "quarry"};
  app.footer(kFooter);
  app.require_subcommand(1);
  app.set_version_flag("--version", "quarry " QUARRY_VERSION);
  app.fallthrough();
  app.add_flag("--json", context.json, "print one JSON value on stdout, for programs");
  app.add_option("--config", context.config_path, "configuration file (default ~/.config/quarry/config.json)");
  app.add_option("--server", context.server_flag, "the service, https://host:port");
  app.add_option("--api-key-file", context.api_key_file_flag, "a file that holds the API key");
  app.add_option("--authority", context.authority_flag, "PEM file of the CA that signed the server's certificate");
  add_up_command(app, context);
  add_demo_command(app, context);
  add_local_commands(app, context);
  add_job_commands(app, context);
  add_account_commands(app, context);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    const int code = app.exit(error, std::cout, std::cerr);
    return code == 0 ? 0 : static_cast<int>(ExitCode::Usage);
  }
  return static_cast<int>(context.exit_code);
}
