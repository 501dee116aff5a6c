//===- Checkpoint.cpp - The state of a training run on disk --------------------------===//
// Metadata to and from text, and the newest whole file of a folder.
//===--------------------------------------------------------------------------------===//
#include "xf/Runtime/Checkpoint.h"
#include "xf/Runtime/Json.h"

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

const char *xf::runtime::expectedOfSetting(std::string_view name, double value) {
  bool isDecay = name == "beta1" || name == "beta2";
  if (isDecay)
    return value >= 0 && value < 1 ? nullptr : "a number from 0 to below 1";
  if (name == "learning_rate")
    return value > 0 && std::isfinite(value) ? nullptr : "a positive number";
  return value >= 0 && std::isfinite(value) ? nullptr : "a number that is not negative";
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
  auto pair = [](const StepMean &mean) { return json::array({mean.sum, mean.steps}); };
  json values = {{"step", step},
                 {"seed", seed},
                 {"epoch", epoch},
                 {"batch", batch},
                 {"best", best},
                 {"ended", ended},
                 {"interval_loss", pair(intervalLoss)},
                 {"epoch_loss", pair(epochLoss)},
                 {"data", data},
                 {"hyper", toJson(hyper)}};
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
    json values = parseJson(text->second);
    Progress progress;
    values.at("step").get_to(progress.step);
    values.at("seed").get_to(progress.seed);
    values.at("epoch").get_to(progress.epoch);
    values.at("batch").get_to(progress.batch);
    progress.best = values.value("best", progress.best);
    progress.ended = values.value("ended", progress.step);
    for (auto [name, mean] : {std::pair("interval_loss", &progress.intervalLoss), {"epoch_loss", &progress.epochLoss}})
      if (values.contains(name))
        values.at(name).at(0).get_to(mean->sum), values.at(name).at(1).get_to(mean->steps);
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
                                           const Progress &progress, int64_t keep, const Safetensors::Metadata &more) {
  std::vector<std::string> names;
  Expected<std::vector<TensorView>> views = state.trainingViews(program, names);
  if (!views)
    return views.error();
  Safetensors::Metadata metadata = progress.metadata();
  metadata.insert(more.begin(), more.end());
  Expected<void> written = writeSafetensors(checkpointPath(folder, progress.step), *views, metadata);
  if (!written)
    return written;
  // What is newer was rejected when the run was resumed; it doesn't count, and its step comes again.
  std::vector<int64_t> steps = checkpointSteps(folder);
  std::erase_if(steps, [&](int64_t step) { return step > progress.step; });
  std::error_code ignored; // an old file that can't be removed does no harm
  for (size_t i = keep; i < steps.size(); ++i)
    fs::remove(checkpointPath(folder, steps[i]), ignored);
  return {};
}

Expected<std::optional<Safetensors>> xf::runtime::newestCheckpoint(const std::string &folder,
                                                                   std::vector<std::string> &rejected) {
  for (int64_t step : checkpointSteps(folder)) {
    std::string path = checkpointPath(folder, step);
    // One that can't be read may well be whole.
    if (Expected<MappedFile> readable = MappedFile::open(path); !readable)
      return readable.error();
    Expected<Safetensors> file = Safetensors::open(path);
    if (file)
      return std::optional(std::move(*file));
    rejected.push_back(file.error().message);
  }
  return std::optional<Safetensors>();
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
