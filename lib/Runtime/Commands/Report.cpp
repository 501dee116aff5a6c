//===- Report.cpp - The command `report` -------------------------------------------------------===//
// The training curves of runs, from their logs, as one page of HTML with charts in SVG: of one run, or of several to
// compare.
//===-------------------------------------------------------------------------------------------===//
#include "Commands.h"
#include "xf/Runtime/Files.h"
#include "xf/Runtime/Page.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fmt/format.h>

using namespace xf::runtime;
using nlohmann::json;

namespace {
struct ReportOptions {
  std::vector<std::string> runs;
  std::string output;
};

struct Point {
  double step, value;
};
using Curve = std::vector<Point>;

struct Run {
  std::string name;
  Curve loss, validation, rate, norm, speed;
  double seconds = 0; // of training, validation aside
  double steps = 0;
};

/// One quantity of all runs over the steps.
struct Chart {
  std::string title;
  Curve Run::*curve;
  Curve Run::*dots; // drawn as well, with a dot a point; or none
  bool canBeLogarithmic;
};

/// An axis from `low` to `high` with a line at each tick.
struct Axis {
  double low, high;
  std::vector<double> ticks;
  bool logarithmic = false;

  double share(double value) const {
    if (logarithmic)
      return std::log(value / low) / std::log(high / low);
    return (value - low) / (high - low);
  }
};
} // namespace

/// About five round numbers, of which the first and the last hold everything between them.
static Axis linearAxis(double low, double high) {
  if (low == high) { // a line in the middle
    double around = low == 0 ? 1 : std::abs(low) / 2;
    low -= around, high += around;
  }
  double rough = (high - low) / 5, unit = std::pow(10, std::floor(std::log10(rough)));
  double step = unit * (rough <= unit * 1.001 ? 1 : rough <= unit * 2.001 ? 2 : rough <= unit * 5.001 ? 5 : 10);
  auto first = int64_t(std::floor(low / step + 1e-9)), last = int64_t(std::ceil(high / step - 1e-9));
  Axis axis{double(first) * step, double(last) * step, {}};
  for (int64_t i = first; i <= last; ++i)
    axis.ticks.push_back(double(i) * step);
  return axis;
}

/// Powers of ten, and where they are few what lies between.
static Axis logarithmicAxis(double low, double high) {
  double first = std::floor(std::log10(low)), last = std::ceil(std::log10(high));
  Axis axis{std::pow(10, first), std::pow(10, last), {}, /*logarithmic=*/true};
  for (double power = first; power <= last; ++power)
    for (double part : {1.0, 2.0, 5.0})
      if ((part == 1 || last - first <= 2) && (part == 1 || power < last))
        axis.ticks.push_back(part * std::pow(10, power));
  return axis;
}

/// Of more points than a screen can show, the least and the greatest of each stretch.
static Curve thinned(const Curve &curve) {
  constexpr size_t most = 2000;
  if (curve.size() <= most)
    return curve;
  Curve few;
  size_t stretch = (2 * curve.size() + most - 1) / most;
  auto below = [](const Point &a, const Point &b) { return a.value < b.value; };
  for (size_t begin = 0; begin < curve.size(); begin += stretch) {
    auto [least, greatest] =
        std::minmax_element(curve.begin() + begin, curve.begin() + std::min(begin + stretch, curve.size()), below);
    few.push_back(*std::min(least, greatest));
    if (least != greatest)
      few.push_back(*std::max(least, greatest));
  }
  return few;
}

/// "12,500", "0.00035", "1.2e-05".
static std::string number(double value) {
  if (std::abs(value) >= 1000)
    return withCommas(std::llround(value));
  return fmt::format("{:.4g}", value);
}

static std::string draw(const Chart &chart, const std::vector<Run> &runs) {
  constexpr double width = 640, height = 300, left = 64, right = 14, top = 12, bottom = 30;
  double low = INFINITY, high = -INFINITY, lastStep = 1, least = INFINITY;
  for (const Run &run : runs)
    for (auto curve : {chart.curve, chart.dots})
      if (curve)
        for (Point point : run.*curve) {
          low = std::min(low, point.value), high = std::max(high, point.value);
          least = std::min(least, point.value);
          lastStep = std::max(lastStep, point.step);
        }
  if (low > high)
    return "";
  bool logarithmic = chart.canBeLogarithmic && least > 0 && high > 30 * low;
  Axis values = logarithmic ? logarithmicAxis(low, high) : linearAxis(low, high), steps = linearAxis(0, lastStep);
  steps.high = lastStep;
  auto x = [&](double step) { return left + steps.share(step) * (width - left - right); };
  auto y = [&](double value) { return height - bottom - values.share(value) * (height - top - bottom); };
  std::string svg =
      fmt::format("<figure>\n<figcaption>{}{}</figcaption>\n"
                  "<svg viewBox=\"0 0 {} {}\" role=\"img\" aria-label=\"{}\">\n",
                  chart.title, logarithmic ? " <small>(logarithmic)</small>" : "", width, height, chart.title);
  for (double tick : values.ticks)
    svg += fmt::format("<path class=\"grid\" d=\"M{0} {1:.1f}H{2}\"/><text x=\"{3}\" y=\"{4:.1f}\" "
                       "text-anchor=\"end\">{5}</text>\n",
                       left, y(tick), width - right, left - 8, y(tick) + 4, number(tick));
  for (double tick : steps.ticks)
    if (tick <= lastStep)
      svg += fmt::format("<path class=\"grid\" d=\"M{0:.1f} {1}V{2}\"/><text x=\"{0:.1f}\" y=\"{3}\" "
                         "text-anchor=\"middle\">{4}</text>\n",
                         x(tick), top, height - bottom, height - bottom + 18, number(tick));
  for (size_t i = 0; i < runs.size(); ++i) {
    auto line = [&](const Curve &curve, const char *kind) {
      if (curve.empty())
        return;
      if (curve.size() == 1) { // no line
        svg += fmt::format("<circle class=\"run{}\" cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"3\"/>\n", i % 8, x(curve[0].step),
                           y(curve[0].value));
        return;
      }
      svg += fmt::format("<path class=\"{} run{}\" d=\"", kind, i % 8);
      char command = 'M';
      for (Point point : thinned(curve))
        svg += fmt::format("{}{:.1f} {:.1f}", std::exchange(command, 'L'), x(point.step), y(point.value));
      svg += "\"/>\n";
    };
    line(runs[i].*chart.curve, chart.dots && !(runs[i].*chart.dots).empty() ? "curve thin" : "curve");
    if (!chart.dots)
      continue;
    line(runs[i].*chart.dots, "curve");
    for (Point point : thinned(runs[i].*chart.dots))
      svg += fmt::format("<circle class=\"run{}\" cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"3\"><title>{}, step {}: "
                         "{:.4f}</title></circle>\n",
                         i % 8, x(point.step), y(point.value), escape(runs[i].name), number(point.step), point.value);
  }
  return svg + "</svg>\n</figure>\n";
}

/// A table of what the runs came to, which is the charts' legend too.
static std::string summary(const std::vector<Run> &runs) {
  std::string table = "<div><table>\n<tr><th>run</th><th class=\"n\">steps</th><th class=\"n\">training loss</th>"
                      "<th class=\"n\">best validation loss</th><th class=\"n\">at step</th>"
                      "<th class=\"n\">tokens per second</th><th class=\"n\">minutes</th></tr>\n";
  for (size_t i = 0; i < runs.size(); ++i) {
    const Run &run = runs[i];
    auto byValue = [](const Point &a, const Point &b) { return a.value < b.value; };
    auto best = std::min_element(run.validation.begin(), run.validation.end(), byValue);
    Curve speeds = run.speed;
    std::sort(speeds.begin(), speeds.end(), byValue);
    table += fmt::format(
        "<tr><td><svg class=\"key\" viewBox=\"0 0 24 8\"><path class=\"curve run{}\" d=\"M0 4H24\"/></svg> {}</td>"
        "<td class=\"n\">{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td>"
        "<td class=\"n\">{}</td><td class=\"n\">{:.1f}</td></tr>\n",
        i % 8, escape(run.name), number(run.steps),
        run.loss.empty() ? "-" : fmt::format("{:.4f}", run.loss.back().value),
        best == run.validation.end() ? "-" : fmt::format("{:.4f}", best->value),
        best == run.validation.end() ? "-" : number(best->step),
        speeds.empty() ? "-" : number(speeds[speeds.size() / 2].value), run.seconds / 60);
  }
  return table + "</table></div>\n";
}

static Expected<Run> readRun(const std::string &path) {
  bool isFolder = std::filesystem::is_directory(path);
  std::string log = isFolder ? path + "/log.jsonl" : path;
  if (isFolder && !std::filesystem::exists(log))
    return userError(fmt::format("expected '{}' to be the folder of a run, but it has no log.jsonl", path));
  Expected<MappedFile> file = MappedFile::open(log);
  if (!file)
    return file.error();
  Run run{path, {}, {}, {}, {}, {}}, epochs = run;
  std::string_view text(file->data().data(), file->data().size());
  for (int64_t number = 1; !text.empty(); ++number) {
    size_t end = text.find('\n');
    if (end == text.npos) // a line that is being written
      break;
    json record = json::parse(text.substr(0, end), nullptr, /*allow_exceptions=*/false);
    text.remove_prefix(end + 1);
    auto value = [&](const char *key) {
      auto found = record.find(key);
      return found != record.end() && found->is_number() ? found->get<double>() : NAN;
    };
    if (!record.is_object() || !record.contains("kind") || std::isnan(value("step")))
      return userError(fmt::format("'{}', line {}: expected a record with 'kind' and 'step'", log, number));
    auto add = [&](Curve Run::*curve, const char *key, Run &to) {
      if (std::isfinite(value(key)))
        (to.*curve).push_back({value("step"), value(key)});
    };
    run.steps = std::max(run.steps, value("step"));
    add(&Run::validation, "validation_loss", run);
    if (record["kind"] == "interval") {
      add(&Run::loss, "loss", run);
      add(&Run::rate, "learning_rate", run);
      add(&Run::norm, "gradient_norm", run);
      add(&Run::speed, "tokens_per_s", run);
    } else if (record["kind"] == "epoch") {
      add(&Run::loss, "loss", epochs);
      add(&Run::speed, "tokens_per_s", epochs);
      if (std::isfinite(value("seconds")))
        run.seconds += value("seconds");
    }
  }
  for (auto curve : {&Run::loss, &Run::speed})
    if ((run.*curve).empty()) // it ended before --log-steps
      run.*curve = std::move(epochs.*curve);
  if (run.loss.empty() && run.validation.empty())
    return userError(fmt::format("'{}' has no records of a loss yet", log));
  return run;
}

static Expected<int> report(const Session &session, const ReportOptions &options) {
  std::vector<Run> runs;
  for (const std::string &path : options.runs) {
    Expected<Run> run = readRun(path);
    if (!run)
      return run.error();
    runs.push_back(std::move(*run));
  }
  std::string body = summary(runs) + "<main>\n";
  for (const Chart &chart :
       {Chart{"loss per token: validation with dots, and the training beside it thin", &Run::loss, &Run::validation,
              false},
        Chart{"learning rate", &Run::rate, nullptr, false}, Chart{"gradient norm", &Run::norm, nullptr, true},
        Chart{"tokens per second", &Run::speed, nullptr, false}})
    body += draw(chart, runs);
  body += "</main>\n";
  std::string title = fmt::format("{}: training of {}", session.program.name,
                                  runs.size() == 1 ? runs[0].name : fmt::format("{} runs", runs.size()));
  std::string first = options.runs[0];
  std::string output = !options.output.empty()                ? options.output
                       : std::filesystem::is_directory(first) ? first + "/report.html"
                                                              : first + ".html";
  if (Expected<void> written = writeFile(
          output,
          htmlPage(
              title,
              R"(main { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(34em, 100%), 1fr)); gap: 1.5em 2.5em; margin-top: 2em; }
div { overflow-x: auto; }
figure { margin: 0; }
figcaption { font-weight: 600; }
small { color: var(--faint); font-weight: normal; }
svg { width: 100%; height: auto; font-size: 12px; }
svg text { fill: var(--faint); }
svg.key { width: 24px; height: 8px; vertical-align: middle; }
.grid { stroke: var(--line); fill: none; }
.curve { fill: none; stroke-width: 2; stroke-linejoin: round; }
.thin { stroke-width: 1; opacity: .75; }
path.run0 { stroke: #2f7fd6; } circle.run0 { fill: #2f7fd6; }
path.run1 { stroke: #e0662b; } circle.run1 { fill: #e0662b; }
path.run2 { stroke: #1f9e77; } circle.run2 { fill: #1f9e77; }
path.run3 { stroke: #c2479b; } circle.run3 { fill: #c2479b; }
path.run4 { stroke: #b3891b; } circle.run4 { fill: #b3891b; }
path.run5 { stroke: #7a6be0; } circle.run5 { fill: #7a6be0; }
path.run6 { stroke: #d04545; } circle.run6 { fill: #d04545; }
path.run7 { stroke: #6b7a8c; } circle.run7 { fill: #6b7a8c; }
)",
              body));
      !written)
    return written.error();
  if (output != "-")
    printResult("{}\n", output);
  return 0;
}

void xf::runtime::addReport(CLI::App &app, Session &session, Action &action) {
  auto options = std::make_shared<ReportOptions>();
  CLI::App *command = app.add_subcommand("report", "Draw training curves as one page of HTML");
  command->add_option("RUN", options->runs, "Folders of runs, or their log.jsonl")->required();
  command->add_option("--output", options->output, "The page")->default_str("report.html in the first run's folder");
  command->callback(
      [&session, &action, options] { action = [&session, options] { return report(session, *options); }; });
}
