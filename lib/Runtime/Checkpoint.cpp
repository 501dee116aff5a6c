//===- Checkpoint.cpp - The state of a training run on disk --------------------------===//
// Metadata to and from text, and the newest whole file of a folder.
//===--------------------------------------------------------------------------------===//
#include "xf/Runtime/Checkpoint.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <filesystem>
#include <fmt/format.h>

using namespace xf::runtime;
using nlohmann::json;
namespace fs = std::filesystem;

std::array<float, 8> Hyper::values() const {
  auto number = float(std::find(scheduleNames.begin(), scheduleNames.end(), schedule) - scheduleNames.begin());
  return {float(learningRate), float(warmup), number,         float(clipNorm),
          float(beta1),        float(beta2),  float(epsilon), float(weightDecay)};
}

static json toJson(Hyper hyper) {
  json values;
  forEachHyper(hyper, hyper, [&](const char *name, auto &, const auto &value) { values[name] = value; });
  return values;
}

Hyper xf::runtime::defaultHyper(const Program &program) {
  Hyper hyper;
  forEachHyper(hyper, hyper, [&](const char *name, auto &setting, const auto &) {
    auto key = program.model.find(name);
    if (key == program.model.end())
      return;
    if constexpr (std::is_same_v<decltype(setting), std::string &>) {
      if (key->is_string())
        setting = key->template get<std::string>();
    } else if (key->is_number()) {
      setting = key->template get<double>();
    }
  });
  return hyper;
}

Safetensors::Metadata Progress::metadata() const {
  json values = {{"step", step},   {"seed", seed}, {"epoch", epoch},
                 {"batch", batch}, {"data", data}, {"hyper", toJson(hyper)}};
  if (std::isfinite(bestLoss))
    values["best_validation_loss"] = bestLoss;
  if (sinceBest)
    values["since_best"] = sinceBest;
  if (!frozen.empty())
    values["frozen"] = frozen;
  return {{"xf.progress", values.dump()}};
}

Expected<Progress> Progress::parse(const Safetensors &file) {
  auto text = file.metadata().find("xf.progress");
  if (text == file.metadata().end())
    return userError(fmt::format("'{}' is not a checkpoint: its metadata has no 'xf.progress'", file.path()));
  try {
    json values = json::parse(text->second);
    Progress progress;
    values.at("step").get_to(progress.step);
    values.at("seed").get_to(progress.seed);
    values.at("epoch").get_to(progress.epoch);
    values.at("batch").get_to(progress.batch);
    progress.data = values.at("data");
    progress.bestLoss = values.value("best_validation_loss", progress.bestLoss);
    progress.sinceBest = values.value("since_best", progress.sinceBest);
    progress.frozen = values.value("frozen", progress.frozen);
    forEachHyper(progress.hyper, {},
                 [&](const char *name, auto &setting, const auto &) { values.at("hyper").at(name).get_to(setting); });
    return progress;
  } catch (const json::exception &problem) {
    return userError(fmt::format("'{}' is not a checkpoint: its metadata 'xf.progress' is malformed: {}", file.path(),
                                 problem.what()));
  }
}

bool xf::runtime::isCheckpoint(const Safetensors &file) { return file.metadata().contains("xf.progress"); }

Expected<Progress> xf::runtime::loadState(const Program &program, const Safetensors &file, ModelState &state,
                                          Progress fresh) {
  Expected<Progress> progress = isCheckpoint(file) ? Progress::parse(file) : std::move(fresh);
  if (!progress)
    return progress;
  // All of it or nothing.
  if (Expected<void> same = checkParameters(program.name, program.parameters, file); !same)
    return same.error();
  if (Expected<void> loaded = state.loadMoments(program, file); !loaded)
    return loaded.error();
  if (Expected<void> loaded = state.loadParameters(program, file); !loaded)
    return loaded.error();
  return progress;
}

std::string xf::runtime::checkpointPath(const std::string &folder, int64_t step) {
  return fmt::format("{}/checkpoint-{}.safetensors", folder, step);
}

std::vector<int64_t> xf::runtime::checkpointSteps(const std::string &folder) {
  std::vector<int64_t> steps;
  std::error_code failure;
  for (const fs::directory_entry &entry : fs::directory_iterator(folder, failure)) {
    std::string name = entry.path().filename().string();
    constexpr std::string_view prefix = "checkpoint-", suffix = ".safetensors";
    if (!name.starts_with(prefix) || !name.ends_with(suffix) || name.size() <= prefix.size() + suffix.size())
      continue;
    int64_t step;
    const char *begin = name.data() + prefix.size(), *end = name.data() + name.size() - suffix.size();
    if (auto [rest, error] = std::from_chars(begin, end, step); error == std::errc() && rest == end)
      steps.push_back(step);
  }
  std::sort(steps.rbegin(), steps.rend());
  return steps;
}

Expected<void> xf::runtime::saveCheckpoint(const std::string &folder, const Program &program, const ModelState &state,
                                           const Progress &progress, int64_t keep) {
  std::vector<std::string> names;
  Expected<std::vector<TensorView>> views = state.trainingViews(program, names);
  if (!views)
    return views.error();
  Expected<void> written = writeSafetensors(checkpointPath(folder, progress.step), *views, progress.metadata());
  if (!written)
    return written;
  std::vector<int64_t> steps = checkpointSteps(folder);
  std::error_code ignored; // an old file that can't be removed does no harm
  for (size_t i = keep; i < steps.size(); ++i)
    fs::remove(checkpointPath(folder, steps[i]), ignored);
  return {};
}

Expected<std::optional<Progress>> xf::runtime::loadCheckpoint(const std::string &folder, const Program &program,
                                                              ModelState &state, std::vector<std::string> &rejected) {
  for (int64_t step : checkpointSteps(folder)) {
    Expected<Safetensors> file = Safetensors::open(checkpointPath(folder, step));
    if (!file) {
      rejected.push_back(file.error().message);
      continue;
    }
    // A whole file of another model is the user's mistake, and no older one would do.
    Expected<Progress> progress = Progress::parse(*file);
    if (progress)
      progress = loadState(program, *file, state, {});
    return progress ? Expected(std::optional(std::move(*progress))) : progress.error();
  }
  return std::optional<Progress>();
}

Expected<std::string> xf::runtime::modelFile(const std::string &path) {
  std::error_code ignored;
  if (!fs::is_directory(path, ignored))
    return path;
  std::string model = path + "/model.safetensors";
  if (fs::exists(model, ignored))
    return model;
  std::vector<int64_t> steps = checkpointSteps(path);
  if (!steps.empty())
    return checkpointPath(path, steps.front());
  return userError(fmt::format("the folder '{}' holds neither 'model.safetensors' nor a checkpoint", path));
}
