// `quarry run`: a job on a device of this machine, through the same engine that a worker uses.
#pragma once

#include <string>

#include "cli/context.h"
#include "cli/job_options.h"

namespace quarry::cli {

struct RunOptions {
  JobOptions job;
  std::string device;           ///< empty: the first OpenCL device, else the interpreter
  std::string directory = ".";  ///< for <output>.safetensors
};

Status run_locally(Context& context, const RunOptions& options);

}  // namespace quarry::cli
