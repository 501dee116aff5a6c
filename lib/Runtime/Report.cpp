//===- Report.cpp - What kernels compute, move and take ------------------------------===//
// One table a function, from which both forms are written.
//===--------------------------------------------------------------------------------===//
#include "xf/Runtime/Report.h"
#include "xf/Runtime/Page.h"

#include <algorithm>
#include <fmt/format.h>

using namespace xf::runtime;

std::vector<int64_t> xf::runtime::dimsOfBatch(const Function &function, int64_t tokens, int64_t sequences) {
  std::vector<int64_t> dims;
  for (const std::string &dim : function.dims)
    dims.push_back(dim.ends_with("plus_1") || dim.ends_with("offsets")          ? sequences + 1
                   : dim == "rows" || dim == "logit_rows" || dim == "sequences" ? sequences
                   : dim == "ranks"                                             ? 8 // twice a beam of four
                                                                                : tokens);
  function.setChunks(dims);
  return dims;
}

/// "encoder.*.attention" of "encoder.3.attention".
static std::string withoutNumbers(std::string_view label) {
  std::string text;
  for (size_t begin = 0; begin <= label.size();) {
    size_t end = std::min(label.find('.', begin), label.size());
    std::string_view part = label.substr(begin, end - begin);
    bool number = !part.empty() && part.find_first_not_of("0123456789") == part.npos;
    text += fmt::format("{}{}", begin ? "." : "", number ? "*" : part);
    begin = end + 1;
  }
  return text;
}

void Report::Line::add(const Line &other) {
  calls += other.calls;
  flops += other.flops;
  bytes += other.bytes;
  seconds += other.seconds;
}

void Report::add(const Function &function, const Dispatch &dispatch, std::span<const int64_t> dims, double seconds) {
  Line &line = lines[{&function, dispatch.kernel}];
  if (line.calls == 0) {
    line.schedule = program.kernels[dispatch.kernel].schedule;
    auto dim = dispatch.dims.begin();
    for (char c : program.kernels[dispatch.kernel].shape)
      line.shape += c == '?' && dim != dispatch.dims.end() ? std::to_string((dim++)->at(dims)) : std::string(1, c);
  }
  std::string words = withoutNumbers(dispatch.label);
  if (std::find(line.words.begin(), line.words.end(), words) == line.words.end())
    line.words.push_back(words);
  auto at = [&](const std::shared_ptr<const Formula> &formula) { return formula ? formula->at(dims) : 0; };
  line.add({.calls = 1, .flops = at(dispatch.flops), .bytes = at(dispatch.bytes), .seconds = seconds});
}

void Report::add(const Function &function, std::span<const int64_t> dims) {
  for (const Dispatch &dispatch : function.dispatches)
    add(function, dispatch.at(dims), dims);
}

std::vector<Report::Column> Report::columns() const {
  std::vector<Column> columns = {
      {"kernel", false}, {"calls", true}, {"GFLOP", true}, {"MiB", true}, {"FLOP/byte", true}};
  if (limits)
    columns.insert(columns.end(),
                   {{"ms", true}, {"GFLOP/s", true}, {"GB/s", true}, {"of limit", true}, {"share", true}});
  columns.insert(columns.end(), {{"shape", false}, {"schedule", false}, {"in the model", false}});
  return columns;
}

std::vector<Report::Cell> Report::cells(const std::string &name, const Line &line, double functionSeconds) const {
  std::vector<Cell> cells = {{name},
                             {std::to_string(line.calls)},
                             {fmt::format("{:.3f}", line.flops * 1e-9)},
                             {fmt::format("{:.2f}", line.bytes / (1 << 20))},
                             {line.bytes > 0 ? fmt::format("{:.2f}", line.flops / line.bytes) : "-"}};
  if (limits) {
    auto ratio = [](double amount, double by) { return by > 0 ? amount / by : 0; };
    double ofLimit = ratio(limits->seconds(line.flops, line.bytes), line.seconds),
           share = ratio(line.seconds, functionSeconds);
    cells.push_back({fmt::format("{:.3f}", line.seconds * 1e3)});
    cells.push_back({fmt::format("{:.1f}", ratio(line.flops, line.seconds) * 1e-9)});
    cells.push_back({fmt::format("{:.1f}", ratio(line.bytes, line.seconds) * 1e-9)});
    cells.push_back({fmt::format("{:.1f}%", ofLimit * 100), ofLimit});
    cells.push_back({fmt::format("{:.1f}%", share * 100), share});
  }
  constexpr size_t most = 3;
  std::string words =
      fmt::format("{}", fmt::join(line.words.begin(), line.words.begin() + std::min(most, line.words.size()), ", "));
  if (line.words.size() > most)
    words += fmt::format(" and {} more", line.words.size() - most);
  cells.push_back({line.shape});
  cells.push_back({line.schedule});
  cells.push_back({words});
  return cells;
}

std::vector<Report::Table> Report::tables() const {
  std::vector<Table> tables;
  for (const Function &function : program.functions) {
    std::vector<Line> own;
    Line sum;
    for (const auto &[key, line] : lines)
      if (key.first == &function) {
        own.push_back(line);
        own.back().kernel = key.second;
        sum.add(line);
      }
    if (own.empty())
      continue;
    // What takes longest first; where nothing was measured, what computes and then what moves most.
    std::sort(own.begin(), own.end(), [](const Line &a, const Line &b) {
      return std::tuple(-a.seconds, -a.flops, -a.bytes, a.kernel) <
             std::tuple(-b.seconds, -b.flops, -b.bytes, b.kernel);
    });
    Table &table = tables.emplace_back(Table{function.name, {}});
    for (const Line &line : own)
      table.rows.push_back(cells(program.kernels[line.kernel].name, line, sum.seconds));
    table.rows.push_back(cells("sum", sum, sum.seconds));
  }
  return tables;
}

std::string Report::subtitle() const {
  std::string text = heading;
  auto known = [](double limit) { return limit > 0 ? fmt::format("{:.1f}", limit * 1e-9) : "unknown"; };
  if (limits)
    text += fmt::format("{}limits of {}: {} GFLOP/s, {} GB/s read from memory", text.empty() ? "" : "; ",
                        limits->gpu.empty() ? fmt::format("this machine with {} thread{}", limits->threads,
                                                          limits->threads == 1 ? "" : "s")
                                            : fmt::format("GPU '{}' by its clocks", limits->gpu),
                        known(limits->flops), known(limits->bytes));
  return text;
}

std::string Report::text() const {
  std::string text = fmt::format("{}: {}\n", program.name, subtitle());
  std::vector<Column> header = columns();
  for (const Table &table : tables()) {
    std::vector<size_t> widths;
    for (size_t i = 0; i < header.size(); ++i) {
      widths.push_back(std::string_view(header[i].title).size());
      for (const std::vector<Cell> &row : table.rows)
        widths[i] = std::max(widths[i], row[i].text.size());
    }
    auto append = [&](size_t i, std::string_view cell) {
      bool last = i + 1 == header.size();
      text += header[i].isNumber ? fmt::format("{:>{}}", cell, widths[i])
                                 : fmt::format("{:<{}}", cell, last ? 0 : widths[i]);
      text += last ? "\n" : "  ";
    };
    text += fmt::format("\n{}\n", table.title);
    for (size_t i = 0; i < header.size(); ++i)
      append(i, header[i].title);
    for (const std::vector<Cell> &row : table.rows)
      for (size_t i = 0; i < header.size(); ++i)
        append(i, row[i].text);
  }
  return text;
}

std::string Report::html() const {
  std::string body = fmt::format("<p>{}</p>\n", escape(subtitle()));
  std::vector<Column> header = columns();
  for (const Table &table : tables()) {
    body += fmt::format("<h2>{}</h2>\n<div><table>\n<tr>", escape(table.title));
    for (const Column &column : header)
      body += fmt::format("<th{}>{}</th>", column.isNumber ? " class=\"n\"" : "", column.title);
    for (const std::vector<Cell> &row : table.rows) {
      body += "</tr>\n<tr>";
      for (size_t i = 0; i < row.size(); ++i)
        if (row[i].share > 0)
          body += fmt::format("<td class=\"n s\" style=\"--share: {:.1f}%\">{}</td>", std::min(row[i].share, 1.0) * 100,
                              row[i].text);
        else
          body += fmt::format("<td{}>{}</td>", header[i].isNumber ? " class=\"n\"" : "", escape(row[i].text));
    }
    body += "</tr>\n</table></div>\n";
  }
  return htmlPage(program.name,
                  "div { overflow-x: auto; }\n"
                  "td.s { background: linear-gradient(to left, var(--bar) var(--share), transparent var(--share)); }\n"
                  "tr:last-child { font-weight: bold; }\n",
                  body);
}
