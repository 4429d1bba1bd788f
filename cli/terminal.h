// What a person sees: colours, tables, progress bars and charts. stdout is data and stderr is talk; nothing is coloured
// when piped or when NO_COLOR is set.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "common/flops.h"

namespace quarry::cli {

class Terminal {
 public:
  Terminal();  ///< looks at stdout, stderr, NO_COLOR and the window's width once

  bool stdout_is_terminal() const { return out_terminal_; }
  bool stderr_is_terminal() const { return err_terminal_; }
  int width() const { return width_; }

  bool exact = false;  ///< amounts of money with all twelve decimals

  /// An amount of dollars, given with twelve decimals: "$12.50", "$0.474", "$2.6e-8"; every digit where `exact` is set.
  std::string money(const std::string& decimal) const;

  /// Text for stdout, styled when stdout is a terminal.
  std::string bold(std::string_view text) const { return styled(text, "1"); }
  std::string dim(std::string_view text) const { return styled(text, "2"); }
  std::string red(std::string_view text) const { return styled(text, "31"); }
  std::string green(std::string_view text) const { return styled(text, "32"); }
  std::string yellow(std::string_view text) const { return styled(text, "33"); }
  std::string cyan(std::string_view text) const { return styled(text, "36"); }
  /// Text for stderr, styled when stderr is a terminal.
  std::string dim_talk(std::string_view text) const { return styled(text, "2", talk_colour_); }
  std::string red_talk(std::string_view text) const { return styled(text, "31", talk_colour_); }
  /// A job state in its colour.
  std::string state(std::string_view name) const;

 private:
  std::string styled(std::string_view text, std::string_view code) const { return styled(text, code, colour_); }
  static std::string styled(std::string_view text, std::string_view code, bool colour);
  bool out_terminal_ = false, err_terminal_ = false, colour_ = false, talk_colour_ = false;
  int width_ = 80;
};

/// Columns padded to their widest cell, the header dimmed; cells that look like numbers are right-aligned.
std::string table(const Terminal& terminal, const std::vector<std::string>& header,
                  const std::vector<std::vector<std::string>>& rows);

/// A line chart in Braille dots with its axes' ends labelled; empty for fewer than two values.
std::string line_chart(const Terminal& terminal, const std::vector<double>& values, int columns, int rows,
                       std::string_view x_label);

/// The first columns of a line without escape sequences, cut between characters.
std::string clipped(const std::string& line, int columns);

/// One line on stderr that rewrites itself, and so is cut to the window's width; prints nothing when stderr is not a
/// terminal.
class ProgressBar {
 public:
  ProgressBar(const Terminal& terminal, std::string what) : terminal_(terminal), what_(std::move(what)) {}
  ~ProgressBar() { finish(); }
  ProgressBar(const ProgressBar&) = delete;
  ProgressBar& operator=(const ProgressBar&) = delete;
  /// `rate` such as "71 steps/s", `extra` such as the money spent so far; both may be empty.
  void show(uint64_t done, uint64_t total, std::string_view rate, std::string_view extra);
  void rename(const std::string& what);  ///< what is done now; time left is counted anew
  void finish();                         ///< clears the line

 private:
  const Terminal& terminal_;
  std::string what_;
  std::chrono::steady_clock::time_point started_ = std::chrono::steady_clock::now();
  bool shown_ = false;
};

std::string human_flops(Flops flops);       ///< "24.7 GFLOP"
std::string human_bytes(uint64_t bytes);    ///< "1.0 GiB"
std::string human_seconds(double seconds);  ///< "3.2 s", "4 min 10 s"
std::string grouped(uint64_t number);       ///< "1,234,567"

}  // namespace quarry::cli
