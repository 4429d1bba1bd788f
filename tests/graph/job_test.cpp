#include "engine/graph/job.h"

#include <catch2/catch.hpp>

using namespace quarry;
using namespace quarry::graph;

namespace {

const std::string kFile(64, 'a');
const std::string kGraph = "graph_" + std::string(64, '0');

std::string document(const std::string& stage_fields, const std::string& more = "") {
  return R"({"version": 1, )" + more + R"("stages": [{"graph": ")" + kGraph + "\"" + stage_fields + "}]}";
}

std::string file_source(const std::string& more = "") {
  return R"({"file": ")" + kFile + R"(", "tensor": "t")" + more + "}";
}

void expect(const std::string& text, std::string_view code, std::string_view pointer) {
  INFO(text.substr(0, 500));
  const auto job = parse_job(text);
  REQUIRE_FALSE(job.ok());
  INFO(job.problem().detail);
  CHECK(job.problem().code == code);
  CHECK(job.problem().pointer == pointer);
}

/// w_next = w * x; loss = sum of w * x. Inputs w f32[2], x f32[2].
Result<Graph> training_step() {
  Builder b;
  const std::vector<int64_t> shape{2}, axes{0};
  const NodeId product = b.binary(Op::Mul, b.input("w", DType::F32, shape), b.input("x", DType::F32, shape));
  b.output("w_next", product);
  b.output("loss", b.reduce(Op::ReduceSum, product, axes));
  b.output("count", b.step());
  return b.finish();
}

Status checked(const std::string& text) {
  const auto job = parse_job(text);
  if (!job.ok()) FAIL(job.problem().detail);
  const auto graph = training_step();
  return check_job(*job, graph.value());
}

void expect_misfit(const std::string& text, std::string_view code, std::string_view pointer) {
  const Status status = checked(text);
  REQUIRE_FALSE(status.ok());
  INFO(status.problem().detail);
  CHECK(status.problem().code == code);
  CHECK(status.problem().pointer == pointer);
}

}  // namespace

TEST_CASE("a full job document is read and written back without loss") {
  const std::string text = R"({"version": 1, "seed": "18446744073709551615", "checkpoint_every": 100,
    "inputs": {"w": )" + file_source() +
                           R"(, "v": {"job": "job_01hf7yat00000000000000000a", "output": "out"}},
    "stages": [{"graph": ")" +
                           kGraph + R"(", "steps": 300, "first_step": 7, "carry": {"w": "w_next"},
    "feed": {"x": )" + file_source(R"(, "wrap": true)") +
                           R"(}, "keep": {"loss": "each", "w_next": "last"}}]})";
  const auto job = parse_job(text);
  REQUIRE(job.ok());
  CHECK(job->seed == UINT64_MAX);
  CHECK(job->stage.steps == 300);
  CHECK(job->stage.first_step == 7);
  CHECK(job->stage.carry.at("w") == "w_next");
  CHECK(job->stage.feed.at("x").wrap);
  CHECK(job->stage.keep.at("loss") == KeepSpec::Each);
  CHECK(job->checkpoint_every == 100);
  CHECK(std::get<TensorInput>(job->inputs.at("w")).tensor == "t");
  CHECK(std::get<JobOutputInput>(job->inputs.at("v")).output == "out");
  const std::string written = write_job(*job);
  const auto again = parse_job(written);
  REQUIRE(again.ok());
  CHECK(write_job(*again) == written);
}

TEST_CASE("all but version and graph may be left out") {
  const auto job = parse_job(document(""));
  REQUIRE(job.ok());
  CHECK(job->seed == 0);
  CHECK(job->stage.steps == 1);
  CHECK(job->stage.first_step == 0);
  CHECK_FALSE(job->checkpoint_every);
  CHECK(job->stage.keep.empty());
}

TEST_CASE("a seed is an integer or a decimal string of 64 bits") {
  CHECK(parse_job(document("", R"("seed": 7, )"))->seed == 7);
  CHECK(parse_job(document("", R"("seed": 18446744073709551615, )"))->seed == UINT64_MAX);
  for (const char* seed : {"-1", "1.5", "18446744073709551616", "\"-1\"", "\"\"", "\"0x1\"", "\"18446744073709551616\"",
                           "\" 1\"", "null", "[]"})
    expect(document("", R"("seed": )" + std::string(seed) + ", "), "wrong_type", "/seed");
}

TEST_CASE("documents of another shape are refused where they differ") {
  expect("", "malformed_json", "");
  expect("[]", "wrong_type", "");
  expect("{}", "missing_field", "");
  expect(R"({"version": 1})", "missing_field", "");
  expect(R"({"version": 2, "stages": []})", "unsupported_version", "/version");
  expect(R"({"version": "1", "stages": []})", "wrong_type", "/version");
  expect(R"({"version": 1, "stages": {}})", "wrong_type", "/stages");
  expect(R"({"version": 1, "stages": []})", "unsupported", "/stages");
  expect(R"({"version": 1, "stages": [{}, {}]})", "unsupported", "/stages");
  expect(R"({"version": 1, "stages": [{}]})", "missing_field", "/stages/0");
  expect(R"({"version": 1, "stages": [1]})", "wrong_type", "/stages/0");
  expect(R"({"version": 1, "stages": [{"graph": "graph_1"}]})", "invalid_id", "/stages/0/graph");
  expect(R"({"version": 1, "stages": [{"graph": 1}]})", "wrong_type", "/stages/0/graph");
  expect(document("", R"("inputs": [], )"), "wrong_type", "/inputs");
  expect(document(R"(, "carry": [])"), "wrong_type", "/stages/0/carry");
  expect(document(R"(, "carry": {"w": 1})"), "wrong_type", "/stages/0/carry/w");
  expect(document(R"(, "feed": {"x": 1})"), "wrong_type", "/stages/0/feed/x");
  expect(document(R"(, "keep": {"y": "all"})"), "wrong_type", "/stages/0/keep/y");
  expect(document(R"(, "keep": {"y": 1})"), "wrong_type", "/stages/0/keep/y");
}

TEST_CASE("unknown and repeated fields of a job are refused, with the nearest known one") {
  expect(document("", R"("sede": 1, )"), "unknown_field", "/sede");
  CHECK_THAT(parse_job(document("", R"("sede": 1, )")).problem().detail, Catch::Contains("did you mean \"seed\"?"));
  expect(document(R"(, "step": 3)"), "unknown_field", "/stages/0/step");
  expect(document("", R"("inputs": {"x": )" + file_source(R"(, "wrap": true)") + "}, "), "unknown_field",
         "/inputs/x/wrap");
  expect(document(R"(, "steps": 3, "steps": 4)"), "duplicate_field", "/stages/0/steps");
  expect(document(R"(, "carry": {"a": "b", "a": "c"})"), "duplicate_field", "/stages/0/carry/a");
}

TEST_CASE("steps are 1 to 2^31 - 1, and so is the last step number") {
  CHECK(parse_job(document(R"(, "steps": 2147483647)")).ok());
  for (const char* steps :
       {"0", "-1", "2147483648", "1000000000000000000", "18446744073709551615", "-9223372036854775808"})
    expect(document(R"(, "steps": )" + std::string(steps)), "out_of_range", "/stages/0/steps");
  for (const char* steps : {"1.0", "\"1\"", "1e3", "99999999999999999999", "null"})
    expect(document(R"(, "steps": )" + std::string(steps)), "wrong_type", "/stages/0/steps");
  expect(document(R"(, "first_step": -1)"), "out_of_range", "/stages/0/first_step");
  CHECK(parse_job(document(R"(, "steps": 2147483547, "first_step": 100)")).ok());
  expect(document(R"(, "steps": 2147483547, "first_step": 101)"), "out_of_range", "/stages/0/first_step");
  expect(document("", R"("checkpoint_every": 0, )"), "out_of_range", "/checkpoint_every");
}

TEST_CASE("an input is {file, tensor} or {job, output}, nothing between") {
  const auto input = [](const std::string& source) { return document("", R"("inputs": {"x": )" + source + "}, "); };
  CHECK(parse_job(input(file_source())).ok());
  expect(input("{}"), "missing_field", "/inputs/x");
  expect(input("\"file\""), "wrong_type", "/inputs/x");
  expect(input(R"({"file": ")" + kFile + "\"}"), "missing_field", "/inputs/x");
  expect(input(R"({"file": "abc", "tensor": "t"})"), "invalid_digest", "/inputs/x/file");
  expect(input(R"({"file": ")" + std::string(64, 'A') + R"(", "tensor": "t"})"), "invalid_digest", "/inputs/x/file");
  expect(input(R"({"file": ")" + kFile + R"(", "tensor": ""})"), "invalid_name", "/inputs/x/tensor");
  expect(input(R"({"file": ")" + kFile + R"(", "tensor": "t", "output": "o"})"), "conflict", "/inputs/x/output");
  expect(input(R"({"job": "job_01hf7yat00000000000000000a", "tensor": "t"})"), "conflict", "/inputs/x/tensor");
  expect(input(R"({"job": "box_01hf7yat00000000000000000a", "output": "o"})"), "invalid_id", "/inputs/x/job");
  expect(input(R"({"job": "job_01hf7yat00000000000000000a"})"), "missing_field", "/inputs/x");
  expect(document(R"(, "feed": {"x": )" + file_source(R"(, "wrap": 1)") + "}"), "wrong_type", "/stages/0/feed/x/wrap");
}

TEST_CASE("deep nesting and oversized documents are refused") {
  expect(R"({"inputs": )" + std::string(1'000'000, '['), "limit_exceeded", "/inputs/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0");
  expect(std::string((8 << 20) + 1, ' '), "limit_exceeded", "");
}

TEST_CASE("pointers start with the base that the caller gives") {
  CHECK(parse_job("{", "/job").problem().pointer == "/job");
  CHECK(parse_job("{}", "/jobs/3/job").problem().pointer == "/jobs/3/job");
  CHECK(parse_job(document(R"(, "steps": 0)"), "/job").problem().pointer == "/job/stages/0/steps");
  CHECK(parse_job(R"({"version": 1, "version": 1})", "/job").problem().pointer == "/job/version");
}

TEST_CASE("a job fits a graph when each input is given, carried from a start, or fed") {
  const std::string x = R"("x": )" + file_source(), w = R"("w": )" + file_source();
  CHECK(checked(document("", R"("inputs": {)" + x + ", " + w + "}, ")).ok());
  CHECK(checked(document(R"(, "carry": {"w": "w_next"}, "feed": {)" + x + R"(}, "keep": {"loss": "each"})",
                         R"("inputs": {)" + w + "}, "))
            .ok());
}

TEST_CASE("what does not fit the graph is refused with its place") {
  const std::string x = R"("x": )" + file_source(), w = R"("w": )" + file_source();
  const std::string both = R"("inputs": {)" + x + ", " + w + "}, ";
  const std::string only_w = R"("inputs": {)" + w + "}, ";
  expect_misfit(document("", only_w), "missing_input", "/inputs");
  expect_misfit(document("", R"("inputs": {)" + x + ", " + w + R"(, "z": )" + file_source() + "}, "), "unknown_input",
                "/inputs/z");
  expect_misfit(document(R"(, "keep": {"los": "each"})", both), "unknown_output", "/stages/0/keep/los");
  expect_misfit(document(R"(, "carry": {"z": "w_next"})", both), "unknown_input", "/stages/0/carry/z");
  expect_misfit(document(R"(, "carry": {"w": "next"})", both), "unknown_output", "/stages/0/carry/w");
  expect_misfit(document(R"(, "carry": {"w": "loss"})", both), "shape_mismatch", "/stages/0/carry/w");
  expect_misfit(document(R"(, "carry": {"w": "count"})", both), "dtype_mismatch", "/stages/0/carry/w");
  expect_misfit(document(R"(, "carry": {"w": "w_next"})", R"("inputs": {)" + x + "}, "), "missing_input", "/inputs");
  expect_misfit(document(R"(, "feed": {)" + x + "}", both), "conflict", "/stages/0/feed/x");
  expect_misfit(document(R"(, "carry": {"w": "w_next"}, "feed": {)" + w + "}", both), "conflict", "/stages/0/feed/w");
  expect_misfit(document(R"(, "feed": {"z": )" + file_source() + "}", both), "unknown_input", "/stages/0/feed/z");
}
