#include "cli/terminal.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <cstdlib>

namespace quarry::cli {
namespace {

/// Columns that a string takes on screen: bytes, less UTF-8 continuations and escape sequences.
size_t visible_width(std::string_view text) {
  size_t width = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\x1b') {
      while (i < text.size() && text[i] != 'm') ++i;
    } else if ((static_cast<unsigned char>(text[i]) & 0xc0) != 0x80) {
      ++width;
    }
  }
  return width;
}

bool looks_numeric(std::string_view cell) {
  return !cell.empty() &&
         (std::isdigit(static_cast<unsigned char>(cell[0])) || ((cell[0] == '-' || cell[0] == '$') && cell.size() > 1));
}

std::string format(const char* pattern, double value) {
  char text[64];
  std::snprintf(text, sizeof text, pattern, value);
  return text;
}

std::string format(const char* pattern, double value, int decimals) {
  char text[64];
  std::snprintf(text, sizeof text, pattern, decimals, value);
  return text;
}

/// A decimal string rounded to two decimals by its digits: no amount passes through a double.
std::string in_cents(const std::string& decimal) {
  const auto dot = decimal.find('.');
  if (dot == std::string::npos) return decimal + ".00";
  std::string text = (decimal + "00").substr(0, dot + 3);
  if (decimal.size() <= dot + 3 || decimal[dot + 3] < '5') return text;
  for (size_t at = text.size(); at-- > 0;) {
    if (text[at] == '.') continue;
    if (text[at] != '9') {
      ++text[at];
      return text;
    }
    text[at] = '0';
  }
  return "1" + text;
}

std::string with_prefix(double value, double base, const std::vector<const char*>& units) {
  size_t unit = 0;
  while (value >= base && unit + 1 < units.size()) {
    value /= base;
    ++unit;
  }
  return format(unit == 0 ? "%.0f " : value < 10 ? "%.2f " : "%.1f ", value) + units[unit];
}

std::string utf8(uint32_t code) {
  return {static_cast<char>(0xe0 | code >> 12), static_cast<char>(0x80 | (code >> 6 & 63)),
          static_cast<char>(0x80 | (code & 63))};
}

}  // namespace

Terminal::Terminal() : out_terminal_(isatty(STDOUT_FILENO) == 1), err_terminal_(isatty(STDERR_FILENO) == 1) {
  const char* no_color = std::getenv("NO_COLOR");
  const bool wanted = !(no_color && *no_color);
  colour_ = out_terminal_ && wanted;
  talk_colour_ = err_terminal_ && wanted;
  winsize size{};
  if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) width_ = size.ws_col;
}

std::string Terminal::styled(std::string_view text, std::string_view code, bool colour) {
  if (!colour) return std::string(text);
  return "\x1b[" + std::string(code) + "m" + std::string(text) + "\x1b[0m";
}

std::string Terminal::state(std::string_view name) const {
  if (name == "succeeded") return green(name);
  if (name == "failed" || name == "expired") return red(name);
  if (name == "cancelled") return yellow(name);
  if (name == "running") return cyan(name);
  return std::string(name);
}

std::string Terminal::money(const std::string& decimal) const {
  const bool negative = decimal.starts_with('-');
  const std::string digits = negative ? decimal.substr(1) : decimal;
  const std::string sign = negative ? "-$" : "$";
  if (exact) return sign + digits;
  // For people: cents from a dollar on, three digits below it, and a power of ten where zeros would have to be counted.
  const double dollars = std::strtod(digits.c_str(), nullptr);
  if (dollars == 0) return "$0.00";
  if (dollars >= 1) return sign + in_cents(digits);
  if (dollars >= 1e-4) {
    std::string text = format("%.*f", dollars, std::max(2, 2 - static_cast<int>(std::floor(std::log10(dollars)))));
    while (text.back() == '0' && text.find('.') + 3 < text.size()) text.pop_back();
    return sign + text;
  }
  std::string text = format("%.*e", dollars, 1);
  const auto exponent = text.find('e');
  return sign + text.substr(0, exponent) + "e" + std::to_string(std::atoi(text.c_str() + exponent + 1));
}

std::string table(const Terminal& terminal, const std::vector<std::string>& header,
                  const std::vector<std::vector<std::string>>& rows) {
  std::vector<size_t> widths(header.size());
  std::vector<bool> numeric(header.size(), !rows.empty());
  for (size_t i = 0; i < header.size(); ++i) {
    widths[i] = visible_width(header[i]);
    for (const auto& row : rows) {
      widths[i] = std::max(widths[i], visible_width(row[i]));
      if (!row[i].empty() && !looks_numeric(row[i])) numeric[i] = false;
    }
  }
  std::string text;
  const auto add_row = [&](const std::vector<std::string>& cells, bool dimmed) {
    std::string line;
    for (size_t i = 0; i < cells.size(); ++i) {
      const std::string padding(widths[i] - visible_width(cells[i]), ' ');
      line += (i ? "  " : "") + (numeric[i] ? padding + cells[i] : cells[i] + padding);
    }
    while (!line.empty() && line.back() == ' ') line.pop_back();
    text += (dimmed ? terminal.dim(line) : line) + "\n";
  };
  add_row(header, true);
  for (const auto& row : rows) add_row(row, false);
  return text;
}

std::string line_chart(const Terminal& terminal, const std::vector<double>& values, int columns, int rows,
                       std::string_view x_label) {
  if (values.size() < 2) return "";
  const auto [low, high] = std::minmax_element(values.begin(), values.end());
  const double bottom = *low, span = std::max(*high - *low, 1e-12);
  const int dots_x = columns * 2, dots_y = rows * 4;
  std::vector<uint8_t> cells(static_cast<size_t>(columns) * static_cast<size_t>(rows));
  static constexpr std::array<std::array<uint8_t, 4>, 2> kDots{{{0x01, 0x02, 0x04, 0x40}, {0x08, 0x10, 0x20, 0x80}}};
  const auto level = [&](int x) {  // linear between the two nearest values
    const double at = static_cast<double>(x) * static_cast<double>(values.size() - 1) / (dots_x - 1);
    const auto left = static_cast<size_t>(at), right = std::min(left + 1, values.size() - 1);
    const double value = values[left] + (values[right] - values[left]) * (at - static_cast<double>(left));
    return std::clamp(static_cast<int>(std::lround((value - bottom) / span * (dots_y - 1))), 0, dots_y - 1);
  };
  int previous = level(0);
  for (int x = 0; x < dots_x; ++x) {
    const int y = level(x);
    for (int dot = std::min(previous, y); dot <= std::max(previous, y); ++dot) {
      const int from_top = dots_y - 1 - dot;
      cells[static_cast<size_t>(from_top / 4 * columns + x / 2)] |=
          kDots[static_cast<size_t>(x % 2)][static_cast<size_t>(from_top % 4)];
    }
    previous = y;
  }
  std::string text;
  for (int row = 0; row < rows; ++row) {
    const std::string label = row == 0          ? format("%8.4f", *high)
                              : row == rows - 1 ? format("%8.4f", bottom)
                                                : std::string(8, ' ');
    std::string line;
    for (int column = 0; column < columns; ++column)
      line += utf8(0x2800u + cells[static_cast<size_t>(row * columns + column)]);
    text += terminal.dim(label + " ┤") + terminal.cyan(line) + "\n";
  }
  return text + terminal.dim("         └" + std::string(x_label)) + "\n";
}

std::string clipped(const std::string& line, int columns) {
  const auto begins_character = [](unsigned char byte) { return (byte & 0xc0) != 0x80; };
  for (size_t at = 0; at < line.size(); ++at)
    if (begins_character(line[at]) && columns-- <= 0) return line.substr(0, at);
  return line;
}

void ProgressBar::show(uint64_t done, uint64_t total, std::string_view rate, std::string_view extra) {
  if (!terminal_.stderr_is_terminal() || total == 0) return;
  constexpr int kBarCells = 28;
  const double share = std::min(1.0, static_cast<double>(done) / static_cast<double>(total));
  const int eighths = static_cast<int>(share * kBarCells * 8);
  std::string bar;
  for (int cell = 0; cell < kBarCells; ++cell) {
    const int fill = std::clamp(eighths - cell * 8, 0, 8);
    bar += fill == 0 ? "·" : utf8(static_cast<uint32_t>(0x2590 - fill));
  }
  const double elapsed = std::chrono::duration<double>(std::chrono::steady_clock::now() - started_).count();
  std::string line = what_ + " " + bar + format(" %3.0f %%", share * 100);
  if (!rate.empty()) line += "  " + std::string(rate);
  if (share > 0.02 && share < 1) line += "  " + human_seconds(elapsed * (1 - share) / share) + " left";
  if (!extra.empty()) line += "  " + std::string(extra);
  std::fprintf(stderr, "\r\x1b[K%s", clipped(line, terminal_.width() - 1).c_str());
  std::fflush(stderr);
  shown_ = true;
}

void ProgressBar::rename(const std::string& what) {
  if (what_ == what) return;
  what_ = what;
  started_ = std::chrono::steady_clock::now();
}

void ProgressBar::finish() {
  if (shown_) std::fputs("\r\x1b[K", stderr);
  shown_ = false;
}

std::string human_flops(Flops flops) {
  return with_prefix(static_cast<double>(flops.count), 1000,
                     {"FLOP", "kFLOP", "MFLOP", "GFLOP", "TFLOP", "PFLOP", "EFLOP", "ZFLOP"});
}

std::string human_bytes(uint64_t bytes) {
  return with_prefix(static_cast<double>(bytes), 1024, {"B", "KiB", "MiB", "GiB", "TiB"});
}

std::string human_seconds(double seconds) {
  if (seconds < 1e-3) return format("%.0f us", seconds * 1e6);
  if (seconds < 1) return format("%.1f ms", seconds * 1e3);
  if (seconds < 60) return format("%.1f s", seconds);
  return std::to_string(static_cast<int>(seconds) / 60) + " min " + std::to_string(static_cast<int>(seconds) % 60) +
         " s";
}

std::string grouped(uint64_t number) {
  std::string text = std::to_string(number);
  for (int at = static_cast<int>(text.size()) - 3; at > 0; at -= 3) text.insert(static_cast<size_t>(at), ",");
  return text;
}

}  // namespace quarry::cli
