//===- TextData.cpp - Text as this executable's model reads it --------------------------------===//
// Vocabularies are checked against the model's sizes when they are opened: ids index its embeddings.
//===-----------------------------------------------------------------------------------------===//
#include "TextData.h"

#include <algorithm>
#include <fmt/format.h>

using namespace xf::runtime;

static Expected<Vocabulary> openVocabulary(const Session &session, const std::string &which) {
  int64_t size = session.vocabularySize(which);
  auto bytes = session.blob(which + "_vocabulary");
  if (!bytes)
    return Vocabulary::ids(size);
  Expected<Vocabulary> vocabulary = Vocabulary::parse(*bytes, "the embedded " + which + " vocabulary");
  if (vocabulary && vocabulary->size() > size)
    return userError(
        fmt::format("expected the embedded {} vocabulary to have at most as many tokens as the model ({}), "
                    "but got {}",
                    which, size, vocabulary->size()));
  return vocabulary;
}

Expected<Vocabularies> xf::runtime::openVocabularies(const Session &session) {
  Expected<Vocabulary> source = openVocabulary(session, "source"), target = openVocabulary(session, "target");
  if (!source)
    return source.error();
  if (!target)
    return target.error();
  return Vocabularies{std::move(*source), std::move(*target)};
}

Expected<SentencePairs> xf::runtime::readPairsWithNote(const Session &session, const Vocabularies &vocabularies,
                                                       const std::string &source, const std::string &target,
                                                       int64_t maxTokens) {
  // Learned positions end somewhere, and one of them is taken by a mark.
  for (int64_t longest : {session.longestSource(), session.longestTarget()})
    if (longest)
      maxTokens = std::min(maxTokens, longest - 1);
  Expected<SentencePairs> pairs = readPairs(source, target, vocabularies.source, vocabularies.target, maxTokens);
  if (!pairs)
    return pairs;
  if (auto note = describeSkipped(pairs->skipped, pairs->firstSkipped, pairs->size() + pairs->skipped, "pairs"))
    fmt::print(stderr, "'{}': {}\n", source, *note);
  if (pairs->size() == 0)
    return userError(
        fmt::format("'{}' and '{}' hold no pair of sentences of at most {} tokens", source, target, maxTokens));
  return pairs;
}

std::vector<TensorView> xf::runtime::viewsOf(PackedPairs &batch) {
  auto list = [](std::string_view name, std::vector<int32_t> &values) {
    return TensorView{name, ElementType::I32, {int64_t(values.size())}, values.data()};
  };
  return {list("source_ids", batch.sourceIds), list("source_offsets", batch.sourceOffsets),
          list("target_ids", batch.targetIds), list("target_offsets", batch.targetOffsets),
          list("labels", batch.labels)};
}
