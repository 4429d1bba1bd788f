// `quarry demo`: the main job against a running service: quote, live progress, loss curve, invented words, bill.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>

#include "cli/commands.h"
#include "cli/demo/words.h"
#include "cli/show.h"
#include "cli/watch.h"
#include "engine/io/safetensors.h"

namespace quarry::cli {
namespace {

using nlohmann::json;
namespace fs = std::filesystem;

/// A directory of its own, removed at the end.
class TemporaryDirectory {
 public:
  TemporaryDirectory() {
    std::string name = (fs::temp_directory_path() / "quarry-demo-XXXXXX").string();
    path_ = mkdtemp(name.data()) ? name : "";
  }
  ~TemporaryDirectory() {
    std::error_code ignored;
    if (!path_.empty()) fs::remove_all(path_, ignored);
  }
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
  const fs::path& path() const { return path_; }

 private:
  fs::path path_;
};

/// The f32 values of the one tensor in a safetensors file.
Result<std::vector<float>> read_floats(const fs::path& file) {
  std::ifstream in(file, std::ios::binary);
  const std::string bytes{std::istreambuf_iterator<char>(in), {}};
  QUARRY_ASSIGN(const auto tensors, io::parse_header(std::as_bytes(std::span(bytes)), bytes.size()));
  const io::TensorEntry& tensor = tensors.begin()->second;
  std::vector<float> values(tensor.bytes / sizeof(float));
  std::memcpy(values.data(), bytes.data() + tensor.offset, values.size() * sizeof(float));
  return values;
}

Result<LocalJob> make_job(const demo::Words& words, const fs::path& directory) {
  const fs::path data = directory / "words.safetensors";
  QUARRY_TRY(demo::write_data(words, data));
  QUARRY_ASSIGN(const graph::Graph step, demo::training_step());
  LocalJob job;
  job.graph = std::make_shared<const graph::NormalGraph>(graph::normalise(step));
  QUARRY_ASSIGN(const Digest file, hash_file(data, {}));
  job.files[file] = data;
  job.document.inputs["weights"] = graph::TensorInput{file, "weights"};
  job.document.stage.graph = job.graph->id;
  job.document.stage.steps = demo::kSteps;
  job.document.stage.carry["weights"] = "weights_next";
  job.document.stage.feed["pairs"] = {graph::TensorInput{file, "pairs"}, true};
  job.document.stage.keep = {{"loss", graph::KeepSpec::Each}, {"weights_next", graph::KeepSpec::Last}};
  QUARRY_TRY(graph::check_job(job.document, job.graph->graph));
  return job;
}

std::string number(double value, int decimals) {
  char text[32];
  std::snprintf(text, sizeof text, "%.*f", decimals, value);
  return text;
}

/// The loss over the last pass through the data, so that no single batch decides.
double final_loss(const std::vector<float>& losses, int64_t batches) {
  const auto count = std::min<size_t>(losses.size(), static_cast<size_t>(batches));
  double sum = 0;
  for (size_t i = losses.size() - count; i < losses.size(); ++i) sum += static_cast<double>(losses[i]);
  return sum / static_cast<double>(count);
}

}  // namespace

Status run_demo(Context& context, const std::string& list) {
  const Terminal& terminal = context.terminal;
  const TemporaryDirectory scratch;
  if (scratch.path().empty())
    return Problem{"cannot_write", "cannot make a temporary directory", "", "Is TMPDIR writable?"};
  QUARRY_ASSIGN(const demo::Words words, demo::read_words(list));
  QUARRY_ASSIGN(const LocalJob job, make_job(words, scratch.path()));
  QUARRY_ASSIGN(ApiClient* const client, context.client());

  if (!context.json)
    std::cout << terminal.bold("Which letter follows which?") << "  " << grouped(words.words.size()) << " words, "
              << grouped(words.pairs.size()) << " letter pairs, one job of " << demo::kSteps << " steps, batches of "
              << grouped(demo::kBatch) << "\n\n"
              << terminal.bold("Quote") << "\n";
  QUARRY_TRY(send_parts(context, *client, job));
  const json document = json::parse(graph::write_job(job.document));
  QUARRY_ASSIGN(const json quote, client->post("/v1/quotes", {{"job", document}}));
  if (!context.json) std::cout << quote_text(terminal, quote) << std::endl;

  const auto started = std::chrono::steady_clock::now();
  QUARRY_ASSIGN(json submitted, client->post("/v1/jobs", {{"job", document}, {"quote", quote.at("token")}}));
  const std::string id = submitted.at("id").get<std::string>();
  QUARRY_ASSIGN(const json ended, watch_job(context, *client, id));
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count();
  if (ended.value("state", "") != "succeeded")
    return Problem{"job_failed", "the job " + id + " ended as " + ended.value("state", ""), "",
                   "See `quarry job " + id + "`."};

  const std::string results = "/v1/jobs/" + id + "/results/";
  QUARRY_TRY(client->download(results + "loss", scratch.path() / "loss", {}));
  QUARRY_TRY(client->download(results + "weights_next", scratch.path() / "weights", {}));
  QUARRY_ASSIGN(const std::vector<float> losses, read_floats(scratch.path() / "loss"));
  QUARRY_ASSIGN(const std::vector<float> weights, read_floats(scratch.path() / "weights"));
  QUARRY_ASSIGN(const json bill, client->get("/v1/jobs/" + id + "/bill"));

  const double loss = final_loss(losses, static_cast<int64_t>((words.pairs.size() + demo::kBatch - 1) / demo::kBatch));
  const double optimum = demo::exact_optimum(words);
  const auto invented = demo::invent_words(words, weights, 10, 7);
  if (context.json) {
    context.print_json({{"job", ended},
                        {"quote", quote},
                        {"bill", bill},
                        {"loss", loss},
                        {"optimum", optimum},
                        {"losses", losses},
                        {"words", invented},
                        {"seconds", seconds}});
  } else {
    std::cout << terminal.bold("Loss") << " in nats a letter, " << human_seconds(seconds) << " from submit to result\n"
              << line_chart(terminal, {losses.begin(), losses.end()}, std::clamp(terminal.width() - 12, 10, 60), 8,
                            " step 1 to " + std::to_string(losses.size()))
              << "\n"
              << "learned " << terminal.bold(number(loss, 4)) << ", exact optimum from the bigram counts "
              << terminal.bold(number(optimum, 4)) << ": " << number((loss / optimum - 1) * 100, 2) << " % above\n\n"
              << terminal.bold("Invented words") << "\n ";
    for (const auto& word : invented) std::cout << " " << word;
    std::cout << "\n\n"
              << terminal.bold("Bill") << "  " << terminal.dim(id) << "\n"
              << usage_table(terminal, bill.at("segments")) << "\n"
              << ledger_table(terminal, bill.at("lines")) << "charged "
              << terminal.bold(terminal.money(bill.value("spent", "0"))) << "\n";
  }
  if (std::abs(loss / optimum - 1) > 0.02)
    return Problem{"job_failed", "the learned loss is more than 2 % from the optimum", "",
                   "This is a bug: please report it."};
  return {};
}

}  // namespace quarry::cli
