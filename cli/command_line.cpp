// `quarry`: every command and flag of the command line, and what their help says.
#include <curl/curl.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <functional>
#include <iostream>
#include <memory>
#include <string_view>

#include "cli/command_tree.h"
#include "cli/commands.h"
#include "cli/flags.h"
#include "engine/graph/limits.h"

namespace quarry::cli {
namespace {

constexpr const char* kFooter = R"(Examples:
  quarry up                                   start the whole service on this machine
  quarry demo                                 run the main job: learn letters from the word list
  quarry graph inspect model.json             what a graph costs, before it runs
  quarry run model.json --input x=x.safetensors       run here, without a service
  quarry quote model.json --input x=x.safetensors     the exact price
  quarry submit model.json --input x=x.safetensors --watch
  quarry get last                             fetch the results of the newest job
  quarry onnx run model.onnx --input x.npy    run an ONNX model

Configuration: ~/.config/quarry/config.json, then QUARRY_SERVER, QUARRY_API_KEY, QUARRY_AUTHORITY, then flags; the later wins.
Exit codes: 0 done; 1 the job or the command failed; 2 usage or configuration; 3 bad input; 4 not found; 5 not authorised;
            6 balance too low; 7 the service cannot be reached.)";

/// Adds a subcommand whose body gets its own copy of the flags; returns it and the flags to bind.
template <class Flags>
std::pair<CLI::App*, Flags*> add(CLI::App& app, Context& context, const char* name, const char* help,
                                 Status (*body)(Context&, const Flags&)) {
  auto flags = std::make_shared<Flags>();
  CLI::App* command = app.add_subcommand(name, help);
  command->callback([&context, flags, body] { context.run([&] { return body(context, *flags); }); });
  return {command, flags.get()};
}

void add_job_flags(CLI::App* command, JobOptions& job) {
  command->add_option("graph", job.graph_path, "graph file, JSON or CBOR (docs/graph-format.md)")->required();
  add_repeatable(command, "--input,-i", job.inputs,
                 "NAME=FILE.safetensors[:TENSOR] or NAME=job_...:OUTPUT; also a carried input's start");
  add_repeatable(command, "--carry", job.carries, "INPUT=OUTPUT: after each step the input takes the output's value");
  add_repeatable(command, "--feed", job.feeds, "INPUT=FILE.safetensors[:TENSOR][,wrap]: one slice a step");
  add_repeatable(command, "--keep", job.keeps, "OUTPUT=last|each: what to keep (default: every output, last)");
  constexpr int64_t kMost = graph::kMaxSteps;
  add_number<int64_t>(command, "--steps", job.steps, 1, kMost, "how many steps to run (default 1)");
  add_number<int64_t>(command, "--first-step", job.first_step, 0, kMost, "number of the first step (default 0)");
  add_number<uint64_t>(command, "--seed", job.seed, 0, UINT64_MAX, "seed of RAND, 64 bits (default 0)");
  add_number<int64_t>(command, "--checkpoint-every", job.checkpoint_every, 1, kMost,
                      "steps between durable states (default: chosen by the service)");
}

void add_service_commands(CLI::App& app, Context& context) {
  auto [command, flags] = add<UpFlags>(app, context, "up", "the whole service on this machine, until Ctrl-C", up);
  command->add_option("--data-dir", flags->data_directory,
                      "where its state lives (default /var/lib/quarry for root, else ~/.local/share/quarry)");
  command->add_option("--listen", flags->listen,
                      "IPv4 address for renters and workers; 0.0.0.0: every one of this machine (default 127.0.0.1)");
  command->add_option("--name", flags->name,
                      "name or address by which other machines reach this one (default: the address of --listen)");
  add_number<int>(command, "--port", flags->port, 0, 65532,
                  "API port; the next three serve workers, scheduler and metrics; 0: free ones (default 8443)");
  add_repeatable(command, "--device", flags->devices,
                 "only these devices (see `quarry devices`); none: no worker here");
  command->add_option("--credit", flags->credit,
                      "dollars to add to the development account (default: 100 when it is new)");
  command->add_option("--price-per-pflop", flags->price_per_pflop, "dollars per PFLOP (default 0.0025)");
  add_number<int>(command, "--slots", flags->slots, 1, 1024, "jobs in flight per slice (default 512)");

  auto [demo, words] = add<std::string>(app, context, "demo",
                                        "the main job: learn letters from the word list, and invent words", run_demo);
  *words = "/usr/share/dict/words";
  demo->add_option("--words", *words, "word list (default /usr/share/dict/words)");
}

void add_local_commands(CLI::App& app, Context& context) {
  auto [run, options] =
      add<RunOptions>(app, context, "run", "runs a job on a device of this machine, without a service", run_locally);
  add_job_flags(run, options->job);
  run->add_option("--device,-d", options->device, "see `quarry devices` (default: the first of them)");
  run->add_option("--to", options->directory, "directory for the results (default: here)");
  run->add_flag("--force", options->force, "write over results that are there");

  struct Inspect {
    std::string path;
    std::vector<std::string> carries, feeds;
  };
  CLI::App* graph = app.add_subcommand("graph", "look at graphs");
  graph->require_subcommand(1);
  auto [inspect, inspected] = add<Inspect>(
      *graph, context, "inspect", "a graph's id, inputs, outputs, work and memory",
      [](Context& c, const Inspect& flags) { return inspect_graph(c, flags.path, flags.carries, flags.feeds); });
  inspect->add_option("graph", inspected->path, "graph file, JSON or CBOR")->required();
  add_repeatable(inspect, "--carry", inspected->carries,
                 "INPUT=OUTPUT, as in submit: row updates of carried inputs are done in place");
  add_repeatable(inspect, "--feed", inspected->feeds, "INPUT that is fed");

  auto [devices, all] = add<bool>(app, context, "devices", "the devices of this machine",
                                  [](Context& c, const bool& with_left_out) { return list_devices(c, with_left_out); });
  devices->add_flag("--all", *all, "also what is left out, and why");
}

void add_onnx_commands(CLI::App& app, Context& context) {
  CLI::App* onnx = app.add_subcommand("onnx", "ONNX models, through the Python package");
  onnx->require_subcommand(1);
  auto [run, run_flags] = add<OnnxFlags>(*onnx, context, "run", "runs a model, here or on a service", run_onnx);
  run_flags->action = "run";
  add_repeatable(run, "--input,-i", run_flags->inputs, "NAME=FILE or FILE, in the model's order: .npy, .npz or .pb");
  run->add_option("--output,-o", run_flags->output, "directory for one .npy an output, or one .npz file");
  run->add_flag("--force", run_flags->force, "write over files that are there");
  auto [inspect, inspected] =
      add<OnnxFlags>(*onnx, context, "inspect", "a model's inputs, outputs, operators and work", run_onnx);
  inspected->action = "inspect";
  add_repeatable(inspect, "--shape", inspected->shapes, "NAME=2,3: the shape of an input that the model leaves open");
  for (auto [command, flags] : {std::pair(run, run_flags), std::pair(inspect, inspected)}) {
    command->add_option("model", flags->model, "an ONNX file")->required();
    command->add_option("--on", flags->on, "local (the default), interpreter, opencl:0, service, or https://host:port");
  }
}

void add_job_commands(CLI::App& app, Context& context) {
  auto [quoted, job] = add<JobOptions>(app, context, "quote", "what a job costs, line by line, before it runs", quote);
  add_job_flags(quoted, *job);

  auto [submitted, flags] =
      add<SubmitFlags>(app, context, "submit", "uploads what is missing and submits a job", submit);
  add_job_flags(submitted, flags->job);
  submitted->add_flag("--watch,-w", flags->watch, "follow it to its end");
  submitted->add_flag("--dry-run", flags->dry_run, "show the price and submit nothing");
  submitted->add_option("--limit", flags->limit, "the most it may cost, in dollars");

  auto [jobs, count] = add<int>(app, context, "jobs", "your newest jobs",
                                [](Context& c, const int& limit) { return list_jobs(c, limit); });
  *count = 20;
  add_number<int>(jobs, "--limit", *count, 1, 200, "how many (default 20)");

  struct Show {
    std::string job = "last";
    bool watch = false;
  };
  auto [show, shown] = add<Show>(app, context, "job", "one job, with its bill",
                                 [](Context& c, const Show& f) { return show_job(c, f.job, f.watch); });
  show->add_option("job", shown->job, "job_..., or \"last\" (the default)");
  show->add_flag("--watch,-w", shown->watch, "follow it to its end");

  auto [cancel, cancelled] =
      add<std::string>(app, context, "cancel", "stops a job; finished segments stay paid", cancel_job);
  cancel->add_option("job", *cancelled, "job_... or \"last\"")->required();

  struct Get {
    std::string job = "last", directory = ".";
    std::vector<std::string> outputs;
    bool force = false;
  };
  auto [get, got] =
      add<Get>(app, context, "get", "fetches a job's results as safetensors files", [](Context& c, const Get& f) {
        return get_results(c, f.job, f.outputs, {f.directory, f.force});
      });
  get->add_option("job", got->job, "job_..., or \"last\" (the default)");
  get->add_option("outputs", got->outputs, "which outputs (default: all)");
  get->add_option("--to", got->directory, "directory (default: here)");
  get->add_flag("--force", got->force, "write over files that are there");
}

void add_account_commands(CLI::App& app, Context& context) {
  auto [account, ledger] = add<bool>(app, context, "account", "the balance, reservations and ledger of your account",
                                     [](Context& c, const bool& with_ledger) { return show_account(c, with_ledger); });
  account->add_flag("--ledger", *ledger, "also the newest ledger lines");

  struct Nothing {};
  add<Nothing>(app, context, "usage", "the metered work of your newest segments, and the totals",
               [](Context& c, const Nothing&) { return show_usage(c); });
}

void add_box_commands(CLI::App& app, Context& context) {
  CLI::App* boxes = app.add_subcommand("boxes", "the boxes of your account");
  boxes->require_subcommand(1);
  auto [adding, name] = add<std::string>(*boxes, context, "add", "registers a box and shows its claim code, once",
                                         [](Context& c, const std::string& box) { return add_box(c, box); });
  adding->add_option("name", *name, "what you call it")->required();
  struct Nothing {};
  add<Nothing>(*boxes, context, "list", "every box, and whether it has been claimed",
               [](Context& c, const Nothing&) { return list_boxes(c); });
}

/// Commands about the command line itself.
void add_help_commands(CLI::App& app) {
  CLI::App* completion = app.add_subcommand("completion", "a script that completes commands and flags");
  completion->require_subcommand(1);
  for (const char* shell : {"bash", "zsh"})
    completion->add_subcommand(shell, std::string("for ") + shell)->callback([&app, shell] {
      std::cout << completion_script(app, shell);
    });
  app.add_subcommand("man", "the manual page: `quarry man | man -l -`")->callback([&app] {
    std::cout << manual_page(app, QUARRY_VERSION, kFooter);
  });
}

/// What a program reads or a person sees must have been written: a full disk fails the command.
int flushed(int code) {
  std::cout.flush();
  if (std::cout.good() && std::fflush(stdout) == 0) return code;
  std::cerr << "error: cannot write to standard output [cannot_write]\n";
  return code == 0 ? static_cast<int>(ExitCode::Failed) : code;
}

int tell_usage(Context& context, const CLI::App& app, const CLI::ParseError& error, bool json) {
  if (error.get_exit_code() == 0) return app.exit(error, std::cout, std::cerr);  // --help, --version
  context.json = json;
  context.fail({"usage", usage_error(app, error), "", "Run with --help for more information."});
  return static_cast<int>(ExitCode::Usage);
}

int run_command_line(int argc, char** argv) {
  Context context;
  CLI::App app{"Quarry rents out floating-point work: jobs are graphs of twelve ops, priced before they run.",
               "quarry"};
  app.footer(kFooter);
  app.require_subcommand(1);
  app.set_version_flag("--version", "quarry " QUARRY_VERSION);
  app.fallthrough();
  app.add_flag("--json", context.json, "print one JSON value on stdout, for programs");
  app.add_flag("--exact", context.terminal.exact, "print all twelve decimals of every amount of money");
  app.add_option("--config", context.config_path, "configuration file (default ~/.config/quarry/config.json)");
  app.add_option("--server", context.server_flag, "the service, https://host:port");
  app.add_option("--api-key-file", context.api_key_file_flag, "a file that holds the API key");
  app.add_option("--authority", context.authority_flag, "PEM file of the CA that signed the server's certificate");
  add_service_commands(app, context);
  add_local_commands(app, context);
  add_onnx_commands(app, context);
  add_job_commands(app, context);
  add_account_commands(app, context);
  add_box_commands(app, context);
  add_help_commands(app);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    const bool json = std::find(argv, argv + argc, std::string_view("--json")) != argv + argc;
    return tell_usage(context, app, error, json);
  }
  return static_cast<int>(context.exit_code);
}

}  // namespace
}  // namespace quarry::cli

int main(int argc, char** argv) {
  curl_global_init(CURL_GLOBAL_DEFAULT);
  return quarry::cli::flushed(quarry::cli::run_command_line(argc, argv));
}
