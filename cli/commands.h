// Every command of `quarry` as a function of its flags. command_line.cpp declares the flags, and nothing else knows of
// them. Each prints its result through the context, and returns what went wrong.
#pragma once

#include <string>
#include <vector>

#include "cli/context.h"
#include "cli/job_options.h"

namespace quarry::cli {

// --- the service on this machine: up/ and demo/ ---
struct UpFlags {
  std::string data_directory;        ///< empty: default_data_directory()
  std::string listen = "127.0.0.1";  ///< IPv4 address of API and gate; 0.0.0.0: all of this machine's
  std::string name;                  ///< name or address by which other machines reach this one; empty: `listen`
  int port = 8443;                   ///< API; gate, scheduler and metrics take the next three. 0: free ones
  std::vector<std::string> devices;  ///< selectors; empty: every local device
  std::string credit;                ///< dollars; empty: 100 for a new account, nothing for one that exists
  std::string price_per_pflop = "0.0025";
  int slots = 512;
};
Status up(Context& context, const UpFlags& flags);
Status run_demo(Context& context, const std::string& word_list);

// --- without a service: commands/local.cpp and local_run.cpp ---
struct RunOptions {
  JobOptions job;
  std::string device;           ///< empty: the first OpenCL device, else the interpreter
  std::string directory = ".";  ///< for <output>.safetensors
  bool force = false;           ///< write over files that are there
};
Status run_locally(Context& context, const RunOptions& options);
Status inspect_graph(Context& context, const std::string& path, const std::vector<std::string>& carries,
                     const std::vector<std::string>& feeds);
/// `all`: also what is left out, and why.
Status list_devices(Context& context, bool all);

// --- ONNX models: commands/onnx.cpp ---
struct OnnxFlags {
  std::string action, model;        ///< "run" or "inspect"; a file
  std::vector<std::string> inputs;  ///< "name=x.npy", or "x.npy" in the model's order
  std::vector<std::string> shapes;  ///< "name=2,3", of inputs whose shape the model leaves open
  std::string output, on;           ///< where the outputs go, where it runs; empty: the package's defaults
  bool force = false;               ///< write over files that are there
};
/// Becomes the Python package's command line; returns only when that cannot be started.
Status run_onnx(Context& context, const OnnxFlags& flags);

// --- the way of a job: commands/jobs.cpp. A selector is a job id or "last" ---
struct SubmitFlags {
  JobOptions job;
  bool watch = false, dry_run = false;
  std::string limit;  ///< dollars; empty: the quote's
};
Status quote(Context& context, const JobOptions& options);
Status submit(Context& context, const SubmitFlags& flags);
Status list_jobs(Context& context, int limit);
Status show_job(Context& context, const std::string& selector, bool watch);
Status cancel_job(Context& context, const std::string& selector);
struct ResultTarget {
  std::string directory;
  bool force = false;  ///< write over files that are there
};
Status get_results(Context& context, const std::string& selector, const std::vector<std::string>& outputs,
                   const ResultTarget& to);

// --- boxes: commands/boxes.cpp ---
/// Registers a box and prints its claim code, once.
Status add_box(Context& context, const std::string& name);
Status list_boxes(Context& context);

// --- money and work: commands/account.cpp ---
Status show_account(Context& context, bool ledger);
Status show_usage(Context& context);

}  // namespace quarry::cli
