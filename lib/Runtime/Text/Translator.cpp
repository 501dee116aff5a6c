//===- Translator.cpp - A trained model that translates ----------------------------------------===//
// Sources are encoded some at a time, ahead of their turn: a single one would not fill the matrix kernels.
//===-------------------------------------------------------------------------------------------===//
#include "xf/Runtime/Text/Translator.h"
#include "xf/Runtime/MemoryCheck.h"

#include <algorithm>
#include <fmt/format.h>

using namespace xf::runtime;

static SearchOptions optionsFor(const Session &session, const Vocabularies &vocabularies, SearchOptions options) {
  options.bos = vocabularies.target.bos();
  options.eos = vocabularies.target.eos();
  options.positions = session.longestTarget();
  return options;
}

SearchOptions Translator::defaults(const Program &program) {
  SearchOptions options; // the paper's (6.1), where a program has none
  options.beam = program.model.value("beam", 4);
  options.lengthPenalty = program.model.value("length_penalty", 0.6);
  options.extraLength = program.model.value("extra_length", 50);
  options.maxLength = program.model.value("max_length", 0);
  options.isTransformers = program.model.value("search", "paper") == "transformers";
  options.suppressed = program.model.value("suppress_tokens", std::vector<int32_t>());
  options.renormalizes = program.model.value("renormalize", false);
  return options;
}

Translator::Translator(Session &session, const ModelState &model, const Vocabularies &vocabularies,
                       SearchOptions options, int64_t batchSize)
    : batchSize(batchSize ? batchSize : std::max<int64_t>(usualRows / options.beam, 1)),
      marks(vocabularies.sourceMarks()), decoder(session, model),
      search(decoder, optionsFor(session, vocabularies, options)) {
  decoder.admit = [&session, most = this->batchSize](const Call &call) {
    return checkAllowed(session, fmt::format("translating up to {} sentences at a time", most), call);
  };
}

void Translator::put(std::vector<int32_t> source, std::vector<int32_t> prefix) {
  results.emplace_back();
  if (int64_t(source.size()) <= marks)
    results.back() = std::vector<SearchResult>(1);
  else
    queue.push_back({taken + results.size() - 1, std::move(source), std::move(prefix)});
}

Expected<void> Translator::encodeNext() {
  constexpr size_t mostTokens = 1024;
  std::vector<std::vector<int32_t>> sources;
  size_t first = encoded.size();
  for (size_t tokens = 0; !queue.empty(); queue.pop_front()) {
    tokens += queue.front().source.size();
    if (!sources.empty() && tokens > mostTokens)
      break;
    sources.push_back(queue.front().source);
    encoded.push_back(std::move(queue.front()));
  }
  Expected<std::vector<int32_t>> numbers = decoder.encode(sources);
  if (!numbers)
    return numbers.error();
  for (size_t i = 0; i < numbers->size(); ++i)
    encoded[first + i].number = (*numbers)[i];
  return {};
}

Expected<void> Translator::step() {
  while (search.sentences() < batchSize) {
    if (encoded.empty() && queue.empty())
      break;
    if (encoded.empty())
      if (Expected<void> done = encodeNext(); !done)
        return done;
    const Waiting &next = encoded.front();
    if (Expected<void> entered = search.enter(next.number, int64_t(next.source.size()) - marks, next.prefix); !entered)
      return entered;
    indices.resize(std::max(indices.size(), size_t(next.number) + 1));
    indices[next.number] = next.index;
    encoded.pop_front();
  }
  Expected<std::vector<Search::Done>> done = search.step();
  if (!done)
    return done.error();
  for (Search::Done &sentence : *done) {
    results[indices[sentence.sentence] - taken] = std::move(sentence.results);
    decoder.release(sentence.sentence);
  }
  return {};
}

std::optional<std::vector<SearchResult>> Translator::take() {
  if (results.empty() || !results.front())
    return std::nullopt;
  std::optional<std::vector<SearchResult>> result = std::move(results.front());
  results.pop_front();
  ++taken;
  return result;
}

Error Translator::notNumbers(const std::string &place) {
  return userError(place + ": the model's probabilities are not numbers; are its weights finite?");
}

Expected<std::vector<std::vector<SearchResult>>> Translator::translate(std::span<const std::vector<int32_t>> sources,
                                                                       std::span<const std::vector<int32_t>> prefixes,
                                                                       std::string_view unit) {
  std::vector<std::vector<SearchResult>> all;
  for (size_t i = 0; i < sources.size(); ++i)
    put(sources[i], prefixes.empty() ? std::vector<int32_t>() : prefixes[i]);
  while (!isIdle())
    if (Expected<void> stepped = step(); !stepped)
      return stepped.error();
  while (auto result = take()) {
    all.push_back(std::move(*result));
    if (all.back().empty())
      return notNumbers(fmt::format("{} {}", unit, all.size()));
  }
  return all;
}
