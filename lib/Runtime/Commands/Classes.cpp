//===- Classes.cpp - Texts and their classes ---------------------------------------------------===//
// Labels are checked line by line, so that a message names the line; names travel in weights' metadata as JSON.
//===-------------------------------------------------------------------------------------------===//
#include "Classes.h"
#include "LineReader.h"
#include "xf/Runtime/Checkpoint.h"
#include "xf/Runtime/Json.h"
#include "xf/Runtime/Text/LineEncoder.h"

#include <algorithm>
#include <fmt/format.h>
#include <map>
#include <numeric>
#include <set>

using namespace xf::runtime;
using nlohmann::json;

int64_t xf::runtime::longestText(const Session &session) {
  int64_t longest = session.longestTarget();
  const json &keys = session.program.model;
  if (auto most = keys.find("max_tokens"); most != keys.end() && most->is_number()) // what it was trained on
    longest = longest ? std::min(longest, most->get<int64_t>()) : most->get<int64_t>();
  return longest ? std::max<int64_t>(longest - 2, 1) : 0;
}

std::vector<int32_t> xf::runtime::markText(const Vocabulary &vocabulary, std::vector<int32_t> ids) {
  ids.insert(ids.begin(), vocabulary.bos());
  ids.push_back(vocabulary.eos());
  return ids;
}

std::vector<std::vector<size_t>> xf::runtime::batchesOfTexts(Texts texts) {
  constexpr size_t batchTokens = 2048;
  std::vector<size_t> order(texts.size());
  std::iota(order.begin(), order.end(), 0);
  std::sort(order.begin(), order.end(),
            [&](size_t a, size_t b) { return std::pair(texts[a].size(), a) < std::pair(texts[b].size(), b); });
  std::vector<std::vector<size_t>> batches;
  size_t tokens = 0;
  for (size_t index : order) {
    if (batches.empty() || tokens + texts[index].size() > batchTokens) {
      batches.emplace_back();
      tokens = 0;
    }
    batches.back().push_back(index);
    tokens += texts[index].size();
  }
  return batches;
}

Expected<int> xf::runtime::answerLines(Session &session, const Vocabulary &vocabulary,
                                       const std::function<Expected<void>(Texts texts)> &answer) {
  LineReader lines(vocabulary, longestText(session), LineEncoder::Cut);
  while (true) {
    Expected<std::vector<std::vector<int32_t>>> texts = lines.next();
    if (!texts)
      return texts.error();
    if (auto note = lines.describeUnknown())
      say("standard input: {}\n", *note);
    if (texts->empty())
      break;
    for (std::vector<int32_t> &text : *texts)
      text = markText(vocabulary, std::move(text));
    if (Expected<void> answered = answer(*texts); !answered)
      return answered.error();
    if (Expected<void> flushed = flushResults(); !flushed)
      return flushed.error();
  }
  if (auto note = lines.describeTooLong())
    say("{}\n", *note);
  return 0;
}

Batch xf::runtime::packTexts(std::span<const std::span<const int32_t>> texts) {
  std::vector<int32_t> ids, offsets{0}, queryOffsets{0};
  size_t tokens = 0;
  for (std::span<const int32_t> text : texts)
    tokens += text.size();
  ids.reserve(tokens); // exactly as much memory as was planned for them
  for (std::vector<int32_t> *each : {&offsets, &queryOffsets})
    each->reserve(texts.size() + 1);
  for (std::span<const int32_t> text : texts) {
    ids.insert(ids.end(), text.begin(), text.end());
    offsets.push_back(int32_t(ids.size()));
    queryOffsets.push_back(int32_t(queryOffsets.size()));
  }
  int64_t count = int64_t(texts.size());
  return {{{"ids", std::move(ids)},
           {"offsets", std::move(offsets)},
           {"queries", std::vector<int32_t>(texts.size())},
           {"query_offsets", std::move(queryOffsets)}},
          int64_t(tokens),
          count};
}

Batch xf::runtime::labelled(Batch batch, std::vector<int32_t> labels) {
  batch.lists.push_back({"labels", std::move(labels)});
  return batch;
}

std::vector<std::string> xf::runtime::classNames(const Safetensors &file) {
  auto entry = file.metadata().find(classesEntry);
  json names = entry == file.metadata().end() ? json() : parseJson(entry->second);
  std::vector<std::string> result;
  if (names.is_array())
    for (const json &name : names)
      if (name.is_string())
        result.push_back(name.get<std::string>());
  return result;
}

std::string xf::runtime::classNamesText(const std::vector<std::string> &names) { return json(names).dump(); }

/// A file's, whose warnings are said where its weights are loaded.
static Expected<std::vector<std::string>> namesIn(const Session &session, const std::string &model) {
  if (model.empty() && !session.blob("weights"))
    return std::vector<std::string>();
  if (model.empty()) {
    Expected<Safetensors> file = Safetensors::parse(*session.blob("weights"), "the embedded weights", true);
    return file ? classNames(*file) : Expected<std::vector<std::string>>(file.error());
  }
  Expected<std::string> path = modelFile(model);
  if (!path)
    return path.error();
  Expected<Safetensors> file = Safetensors::open(*path);
  return file ? classNames(*file) : Expected<std::vector<std::string>>(file.error());
}

Expected<std::vector<std::string>> xf::runtime::classNames(const Session &session, const std::string &model) {
  Expected<std::vector<std::string>> names = namesIn(session, model);
  if (!names || int64_t(names->size()) == classCount(session))
    return names;
  names->clear();
  for (int64_t i = 0; i < classCount(session); ++i)
    names->push_back(std::to_string(i));
  return names;
}

int64_t xf::runtime::classCount(const Session &session) {
  for (const Function &function : session.program.functions)
    if (auto output = function.output("log_probabilities"))
      return function.outputs[*output].shape.back().size;
  return session.program.model.value("classes", int64_t(2));
}

Expected<std::vector<std::string>> xf::runtime::knownClasses(const Session &session, const std::string &run,
                                                             const std::string &model) {
  std::vector<std::string> names, ignored;
  if (session.program.kind != "classifier")
    return names;
  Expected<std::optional<Safetensors>> newest = newestCheckpoint(run, ignored);
  if (newest && *newest) {
    names = classNames(**newest);
  } else {
    Expected<std::vector<std::string>> given = namesIn(session, model);
    if (!given)
      return given.error();
    names = std::move(*given);
  }
  if (int64_t(names.size()) != classCount(session))
    names.clear();
  return names;
}

/// The first of them.
static std::string listed(const std::vector<std::string> &names) {
  constexpr size_t most = 10;
  std::vector<std::string> first(names.begin(), names.begin() + std::min(names.size(), most));
  return fmt::format("{}{}", fmt::join(first, ", "), names.size() > most ? ", ..." : "");
}

static Expected<std::vector<std::string>> collectNames(const Session &session, const Lines &labels) {
  std::set<std::string_view> found(labels.lines.begin(), labels.lines.end());
  std::vector<std::string> names(found.begin(), found.end());
  if (names.size() == 1)
    return userError(
        fmt::format("expected '{}' to name two classes at least, but all its lines are '{}'", labels.path, names[0]));
  if (int64_t(names.size()) != classCount(session))
    return userError(
        fmt::format("expected '{}' to name as many classes as the model tells apart ({}), but got {} ({}); "
                    "a preset's key classes={} has as many",
                    labels.path, classCount(session), names.size(), listed(names), names.size()));
  return names;
}

Expected<SentencePairs> xf::runtime::readLabelled(const Session &session, const Vocabulary &vocabulary,
                                                  const std::string &textPath, const std::string &labelPath,
                                                  std::vector<std::string> &names) {
  Expected<Lines> texts = Lines::read(textPath), labels = Lines::read(labelPath);
  if (!texts)
    return texts.error();
  if (!labels)
    return labels.error();
  if (texts->lines.size() != labels->lines.size())
    return userError(fmt::format("expected '{}' to have as many lines as '{}' ({}), but got {}", labelPath, textPath,
                                 texts->lines.size(), labels->lines.size()));
  for (size_t i = 0; i < labels->lines.size(); ++i) {
    std::string_view &label = labels->lines[i];
    if (label.ends_with('\r'))
      label.remove_suffix(1);
    if (label.empty() || label.find('\t') != label.npos)
      return userError(fmt::format("'{}', line {}: expected the name of a class, but got {}", labelPath, i + 1,
                                   label.empty() ? "an empty line" : "a line with a tab"));
  }
  bool isNew = names.empty();
  if (isNew) {
    Expected<std::vector<std::string>> collected = collectNames(session, *labels);
    if (!collected)
      return collected.error();
    names = std::move(*collected);
  }
  std::map<std::string_view, int32_t> numbers;
  for (const std::string &name : names)
    numbers.emplace(name, int32_t(numbers.size()));
  SentencePairs result;
  LineEncoder encoder(vocabulary, longestText(session), LineEncoder::Cut, nullptr, fmt::format("'{}', ", textPath));
  for (size_t i = 0; i < texts->lines.size(); ++i) {
    auto number = numbers.find(labels->lines[i]);
    if (number == numbers.end())
      return userError(fmt::format("'{}', line {}: expected one of the model's classes ({}), but got '{}'", labelPath,
                                   i + 1, listed(names), labels->lines[i]));
    Expected<std::vector<int32_t>> ids = encoder.encode(texts->lines[i]);
    if (!ids)
      return ids.error();
    result.source.push_back(markText(vocabulary, std::move(*ids)));
    result.target.push_back({number->second});
  }
  if (auto note = encoder.describeTooLong())
    say("'{}': {}\n", textPath, *note);
  return result;
}

constexpr std::string_view head = "classifier.";

bool xf::runtime::isHeadless(const Session &session, const Safetensors &file) {
  return session.program.kind == "classifier" &&
         std::ranges::none_of(file.tensors(), [](const TensorView &tensor) { return tensor.name.starts_with(head); });
}

Expected<void> xf::runtime::loadHeadless(const Program &program, const Safetensors &file, uint64_t seed,
                                         ModelState &state) {
  std::vector<Parameter> body;
  std::ranges::copy_if(program.parameters, std::back_inserter(body),
                       [](const Parameter &parameter) { return !parameter.name.starts_with(head); });
  if (Expected<void> same = checkParameters(program.name, body, file); !same)
    return same;
  if (Expected<void> drawn = state.initialize(program, seed); !drawn)
    return drawn;
  Expected<float *> array = state.arenas().parameters.change();
  if (!array)
    return array.error();
  for (const Parameter &parameter : body)
    file.moveReals(*file.find(parameter.name), *array + parameter.offset);
  return {};
}
