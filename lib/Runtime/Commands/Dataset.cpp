//===- Dataset.cpp - What a model is trained and measured on ------------------------------------===//
// The kinds of datasets, their options, and what is said where a file has nothing to offer.
//===-------------------------------------------------------------------------------------------===//
#include "Dataset.h"
#include "Classes.h"
#include "xf/Runtime/Checksum.h"

#include <algorithm>
#include <fmt/format.h>
#include <numeric>

using namespace xf::runtime;

std::vector<TensorView> Batch::views() {
  std::vector<TensorView> views;
  for (auto &[name, values] : lists)
    views.push_back({name, ElementType::I32, {int64_t(values.size())}, values.data()});
  return views;
}

std::vector<int64_t> Batch::dims(const Function &function) const {
  std::vector<int64_t> sizes(function.dims.size(), 0);
  for (const TensorType &input : function.inputs)
    for (const auto &[name, values] : lists)
      if (name == input.name && input.shape[0].dim >= 0)
        sizes[input.shape[0].dim] = int64_t(values.size());
  return sizes;
}

namespace {
/// The tokens of so many sentences at most.
size_t longest(const std::vector<std::vector<int32_t>> &sentences, size_t count) {
  std::vector<size_t> lengths;
  for (const std::vector<int32_t> &sentence : sentences)
    lengths.push_back(sentence.size());
  std::nth_element(lengths.begin(), lengths.begin() + count, lengths.end(), std::greater());
  return std::accumulate(lengths.begin(), lengths.begin() + count, size_t(0));
}

class PairDataset final : public Dataset {
public:
  PairDataset(SentencePairs pairs, Vocabulary target, int64_t maxLength)
      : pairs(std::move(pairs)), target(std::move(target)), maxLength(maxLength) {}

  BatchPlan inOrder(BatchRecipe recipe) const override { return batchesByLength(pairs, recipe); }
  BatchPlan shuffled(BatchRecipe recipe, uint64_t seed, int64_t epoch) const override {
    return shuffledBatches(pairs, recipe, seed, epoch);
  }
  Batch pack(std::span<const int64_t> indices) const override {
    PackedPairs packed = packPairs(pairs, indices, target);
    int64_t tokens = packed.tokens(), predicted = int64_t(packed.labels.size());
    return {{{"source_ids", std::move(packed.sourceIds)},
             {"source_offsets", std::move(packed.sourceOffsets)},
             {"target_ids", std::move(packed.targetIds)},
             {"target_offsets", std::move(packed.targetOffsets)},
             {"labels", std::move(packed.labels)}},
            tokens,
            predicted};
  }
  Batch largest(BatchRecipe recipe) const override {
    size_t source = 0, target = 0, sentences = 0, allSource = 0, allTarget = 0;
    if (recipe.sentences) { // drawn at random, the longest may all meet
      sentences = std::min<size_t>(recipe.sentences, pairs.size());
      source = longest(pairs.source, sentences);
      target = longest(pairs.target, sentences) + sentences;
      return ofSizes(source, target, sentences);
    }
    for (const std::vector<int64_t> &indices : inOrder(recipe)) {
      size_t sourceTokens = 0, targetTokens = indices.size(); // of these a mark each
      for (int64_t pair : indices) {
        sourceTokens += pairs.source[pair].size();
        targetTokens += pairs.target[pair].size();
      }
      source = std::max(source, sourceTokens);
      target = std::max(target, targetTokens);
      sentences = std::max(sentences, indices.size());
      allSource += sourceTokens;
      allTarget += targetTokens;
    }
    // Drawn at random, sentences meet that fill a batch better.
    source = std::max(source, std::min(allSource, size_t(recipe.tokens)));
    target = std::max(target, std::min(allTarget, size_t(recipe.tokens)));
    return ofSizes(source, target, sentences);
  }
  nlohmann::json description() const override {
    Checksum checksum;
    for (const auto *side : {&pairs.source, &pairs.target})
      for (const std::vector<int32_t> &sentence : *side)
        checksum.add(std::span(sentence));
    return {{"pairs", pairs.size()}, {"max_length", maxLength}, {"checksum", checksum.text()}};
  }

private:
  static Batch ofSizes(size_t source, size_t target, size_t sentences) {
    auto list = [](size_t count) { return std::vector<int32_t>(count); };
    return {{{"source_ids", list(source)},
             {"source_offsets", list(sentences + 1)},
             {"target_ids", list(target)},
             {"target_offsets", list(sentences + 1)},
             {"labels", list(target)}}};
  }

  SentencePairs pairs;
  Vocabulary target;
  int64_t maxLength;
};

/// Texts, each with the number of its class for a target.
class ClassDataset final : public Dataset {
public:
  ClassDataset(SentencePairs texts, std::vector<std::string> names)
      : texts(std::move(texts)), names(std::move(names)) {}

  BatchPlan inOrder(BatchRecipe recipe) const override { return batchesByLength(texts, recipe); }
  BatchPlan shuffled(BatchRecipe recipe, uint64_t seed, int64_t epoch) const override {
    return shuffledBatches(texts, recipe, seed, epoch);
  }
  Batch pack(std::span<const int64_t> indices) const override {
    std::vector<std::span<const int32_t>> chosen;
    std::vector<int32_t> labels;
    for (int64_t index : indices) {
      chosen.push_back(texts.source[index]);
      labels.push_back(texts.target[index].front());
    }
    return labelled(packTexts(chosen), std::move(labels));
  }
  Batch largest(BatchRecipe recipe) const override {
    size_t tokens = 0, count = 0, all = 0;
    if (recipe.sentences) { // drawn at random, the longest may all meet
      count = std::min<size_t>(recipe.sentences, texts.size());
      tokens = longest(texts.source, count);
    } else {
      for (const std::vector<int64_t> &indices : inOrder(recipe)) {
        size_t own = 0;
        for (int64_t index : indices)
          own += texts.source[index].size();
        tokens = std::max(tokens, own);
        all += own;
      }
      // Drawn at random, texts meet that fill a batch better; none is of less than the two marks.
      tokens = std::max(tokens, std::min(all, size_t(recipe.tokens)));
      count = std::min<size_t>(texts.size(), tokens / 2);
    }
    auto list = [](size_t size) { return std::vector<int32_t>(size); };
    return {{{"ids", list(tokens)},
             {"offsets", list(count + 1)},
             {"queries", list(count)},
             {"query_offsets", list(count + 1)},
             {"labels", list(count)}}};
  }
  nlohmann::json description() const override {
    Checksum checksum;
    for (const auto *side : {&texts.source, &texts.target})
      for (const std::vector<int32_t> &each : *side)
        checksum.add(std::span(each));
    checksum.add(classNamesText(names));
    return {{"texts", texts.size()}, {"classes", names.size()}, {"checksum", checksum.text()}};
  }
  std::vector<std::string> classes() const override { return names; }

private:
  SentencePairs texts;
  std::vector<std::string> names;
};

/// Indices are the starts of windows.
class TextDataset final : public Dataset {
public:
  TextDataset(std::vector<int32_t> stream, int64_t length) : stream(std::move(stream)), length(length) {}

  BatchPlan inOrder(BatchRecipe recipe) const override { return cut(allWindows(size(), length), recipe); }
  BatchPlan shuffled(BatchRecipe recipe, uint64_t seed, int64_t epoch) const override {
    return cut(shuffledWindows(size(), length, seed, epoch), recipe);
  }
  Batch pack(std::span<const int64_t> starts) const override {
    PackedWindows packed = packWindows(stream, starts, length);
    auto tokens = int64_t(packed.ids.size());
    return {
        {{"ids", std::move(packed.ids)}, {"offsets", std::move(packed.offsets)}, {"labels", std::move(packed.labels)}},
        tokens,
        tokens};
  }
  Batch largest(BatchRecipe recipe) const override { return pack(inOrder(recipe).front()); } // the last may be smaller
  nlohmann::json description() const override {
    Checksum checksum;
    checksum.add(std::span(stream));
    return {{"tokens", size()}, {"length", length}, {"checksum", checksum.text()}};
  }

private:
  int64_t size() const { return int64_t(stream.size()); }
  BatchPlan cut(const std::vector<int64_t> &starts, BatchRecipe recipe) const {
    size_t count = recipe.sentences ? recipe.sentences : std::max<int64_t>(recipe.tokens / length, 1);
    BatchPlan plan;
    for (size_t begin = 0; begin < starts.size(); begin += count)
      plan.emplace_back(starts.begin() + begin, starts.begin() + std::min(begin + count, starts.size()));
    return plan;
  }

  std::vector<int32_t> stream;
  int64_t length;
};
} // namespace

static bool readsPairs(const Session &session) { return session.program.kind == "sequence_to_sequence"; }

/// Files swapped, or a vocabulary of another language: a model would learn to say <unk>.
static void noteUnknown(const std::string &path, const Vocabulary &vocabulary,
                        std::span<const std::vector<int32_t>> texts) {
  UnknownTokens unknown(vocabulary);
  for (const std::vector<int32_t> &ids : texts)
    unknown.add(ids);
  if (auto note = unknown.describe())
    say("'{}': {}\n", path, *note);
}

static Error allEmpty(const std::string &path, int64_t count, std::string_view unit) {
  return userError(
      fmt::format("expected '{}' to have text to train on, but all its {} {} are empty", path, count, unit));
}

/// Some lines are; of many, text was lost, or files are no translations of each other. `marks`: tokens that each has
/// besides its text.
static Expected<void> checkEmpty(const std::string &path, std::span<const std::vector<int32_t>> texts, size_t marks,
                                 std::string_view unit, bool trains) {
  size_t count = texts.size();
  auto empty =
      size_t(std::ranges::count_if(texts, [&](const std::vector<int32_t> &text) { return text.size() <= marks; }));
  if (trains && empty == count)
    return allEmpty(path, int64_t(count), unit);
  if (empty * 10 > count)
    say("'{}': {} of {} {} {} empty\n", path, empty, count, unit, empty == 1 ? "is" : "are");
  return {};
}

static Expected<std::unique_ptr<Dataset>> openPairs(const Session &session, const DatasetOptions &options) {
  Expected<Vocabularies> vocabularies = openVocabularies(session);
  if (!vocabularies)
    return vocabularies.error();
  // Learned positions end somewhere, and one of them is taken by a mark.
  int64_t maxTokens = options.length;
  for (int64_t longest : {session.longestSource(), session.longestTarget()})
    if (longest)
      maxTokens = std::min(maxTokens, longest - 1);
  Expected<SentencePairs> pairs = readPairs(options.source, options.target, vocabularies->source, vocabularies->target,
                                            maxTokens, vocabularies->sourceEnds);
  if (!pairs)
    return pairs.error();
  if (auto note = describeSkipped(pairs->skipped, pairs->firstSkipped, pairs->size() + pairs->skipped, "pairs"))
    say("'{}': {}\n", options.source, *note);
  for (bool isSource : {true, false})
    if (Expected<void> some =
            checkEmpty(isSource ? options.source : options.target, isSource ? pairs->source : pairs->target,
                       isSource && vocabularies->sourceEnds, "sentences", options.trains);
        !some)
      return some.error();
  noteUnknown(options.source, vocabularies->source, pairs->source);
  noteUnknown(options.target, vocabularies->target, pairs->target);
  return std::unique_ptr<Dataset>(new PairDataset(std::move(*pairs), vocabularies->target, options.length));
}

static Expected<std::unique_ptr<Dataset>> openText(const Session &session, const DatasetOptions &options) {
  Expected<Vocabulary> vocabulary = openVocabulary(session);
  if (!vocabulary)
    return vocabulary.error();
  if (int64_t longest = session.longestTarget(); longest && options.length > longest)
    return userError(fmt::format("expected --length to be at most the model's learned positions ({}), but got {}; a "
                                 "preset's key max_positions gives it more",
                                 longest, options.length));
  Expected<TokenStream> stream = readStream(options.text, *vocabulary, TextForm::of(session.program).isWhole);
  if (!stream)
    return stream.error();
  if (auto note = describeSkipped(stream->skipped, stream->firstSkipped, stream->lines, "lines"))
    say("'{}': {}\n", options.text, *note);
  auto isMark = [&](int32_t id) { return id == vocabulary->bos() || id == vocabulary->eos(); };
  if (options.trains && std::ranges::all_of(stream->ids, isMark))
    return allEmpty(options.text, stream->lines - stream->skipped, "lines");
  noteUnknown(options.text, *vocabulary, std::span(&stream->ids, 1));
  auto tokens = int64_t(stream->ids.size()); // two at least, marks with them
  if (options.trains && tokens <= options.length)
    return userError(fmt::format("expected '{}' to have more tokens than a window (--length={}), but got {}",
                                 options.text, options.length, tokens));
  return std::unique_ptr<Dataset>(new TextDataset(std::move(stream->ids), std::min(options.length, tokens - 1)));
}

static Expected<std::unique_ptr<Dataset>> openClasses(const Session &session, const DatasetOptions &options) {
  Expected<Vocabulary> vocabulary = openVocabulary(session);
  if (!vocabulary)
    return vocabulary.error();
  std::vector<std::string> names = options.classes;
  Expected<SentencePairs> texts = readLabelled(session, *vocabulary, options.text, options.labels, names);
  if (!texts)
    return texts.error();
  constexpr size_t marks = 2;
  if (Expected<void> some = checkEmpty(options.text, texts->source, marks, "texts", options.trains); !some)
    return some.error();
  noteUnknown(options.text, *vocabulary, texts->source);
  return std::unique_ptr<Dataset>(new ClassDataset(std::move(*texts), std::move(names)));
}

Expected<std::unique_ptr<Dataset>> xf::runtime::openDataset(const Session &session, const DatasetOptions &options) {
  return session.program.kind == "classifier" ? openClasses(session, options)
         : readsPairs(session)                ? openPairs(session, options)
                                              : openText(session, options);
}

void xf::runtime::addDatasetOptions(CLI::App &command, const Session &session, DatasetOptions &options,
                                    DatasetOptions *validation) {
  options.trains = validation;
  if (readsPairs(session)) {
    command.add_option("--source", options.source, "Sentences to translate, one a line")->required();
    command.add_option("--target", options.target, "Their translations, line by line")->required();
    if (validation) {
      CLI::Option *source = command.add_option("--valid-source", validation->source, "The same for validation");
      CLI::Option *target = command.add_option("--valid-target", validation->target, "The same for validation");
      source->needs(target);
      target->needs(source);
    }
    options.length = validation ? 256 : 1024;
    command.add_option("--max-length", options.length, "Tokens above which a pair is left out")
        ->check(positiveNumber());
    return;
  }
  if (session.program.kind == "classifier") {
    command.add_option("--text", options.text, "Texts to classify, one a line")->required();
    command.add_option("--labels", options.labels, "Their classes by name, line by line")->required();
    if (validation) {
      CLI::Option *text = command.add_option("--valid-text", validation->text, "The same for validation");
      CLI::Option *labels = command.add_option("--valid-labels", validation->labels, "The same for validation");
      text->needs(labels);
      labels->needs(text);
    }
    return;
  }
  bool isWhole = TextForm::of(session.program).isWhole;
  command
      .add_option("--text", options.text,
                  isWhole
                      ? "Text, read as one stream of tokens, newlines among them, from a begin mark to an end mark"
                      : "Text, read as one stream of tokens: a begin mark, then every line with an end mark after it")
      ->required();
  if (validation)
    command.add_option("--valid-text", validation->text, "The same for validation");
  // Models of whole texts were trained on long windows, though not on longer ones than they say.
  constexpr int64_t ofLines = 128, ofTexts = 1024;
  int64_t usual = isWhole ? std::min(ofTexts, session.program.model.value("max_positions", ofTexts)) : ofLines;
  options.length = session.longestTarget() ? session.longestTarget() : usual;
  command
      .add_option("--length", options.length,
                  validation ? "Tokens of a window: each epoch cuts the stream into windows, from an offset that it "
                               "draws, and shuffles them"
                             : "Tokens of a window: the stream is cut into windows that are read each on its own")
      ->check(positiveNumber());
}
