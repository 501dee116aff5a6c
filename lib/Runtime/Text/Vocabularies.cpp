//===- Vocabularies.cpp - The vocabularies of a compiled model ----------------------===//
// One for each side, or one for both.
//===----------------------------------------------------------------------------------===//
#include "xf/Runtime/Text/Vocabularies.h"
#include "xf/Runtime/Text/Corpus.h"

#include <algorithm>
#include <fmt/format.h>

using namespace xf::runtime;

/// What the model's keys say of marks, which tables of its size must hold; sources of a pair begin with none.
static Expected<Vocabulary> withMarks(const Session &session, Vocabulary vocabulary, int64_t size, bool begins) {
  const nlohmann::json &keys = session.program.model;
  std::optional<int64_t> begin;
  std::vector<int64_t> ends;
  if (keys.is_object() && keys.contains("begin_token") && begins)
    begin = keys["begin_token"].get<int64_t>();
  if (keys.is_object() && keys.contains("end_tokens"))
    ends = keys["end_tokens"].get<std::vector<int64_t>>();
  if (Expected<void> set = vocabulary.setMarks(begin, ends); !set)
    return set.error();
  for (int64_t id : {int64_t(vocabulary.bos()), ends.empty() ? 0 : *std::ranges::max_element(ends)})
    if (id >= size)
      return userError(fmt::format("expected marks to be tokens of the model ({}), but got {}", size, id));
  return vocabulary;
}

/// `which`: "source", "target", or nothing where there is one vocabulary alone.
static Expected<Vocabulary> openSide(const Session &session, const std::string &which) {
  int64_t size = session.vocabularySize(which);
  auto bytes = session.blob(which + "_vocabulary");
  std::string name = bytes ? "the embedded " + which + " vocabulary" : "the embedded vocabulary";
  if (!bytes) // one for all sides
    bytes = session.blob("vocabulary");
  if (!bytes)
    return withMarks(session, Vocabulary::ids(size), size, which != "source");
  Expected<Vocabulary> vocabulary = Vocabulary::parse(*bytes, name);
  if (vocabulary && vocabulary->size() > size)
    return userError(fmt::format("expected {} to have at most as many tokens as the model ({}), but got {}", name, size,
                                 vocabulary->size()));
  return vocabulary ? withMarks(session, std::move(*vocabulary), size, which != "source") : vocabulary;
}

TextForm TextForm::of(const Program &program) {
  return {program.model.value("text", "lines") == "whole", program.model.value("begins", true)};
}

Expected<Vocabulary> xf::runtime::openVocabulary(const Session &session) { return openSide(session, ""); }

Expected<Vocabularies> xf::runtime::openVocabularies(const Session &session) {
  Expected<Vocabulary> source = openSide(session, "source"), target = openSide(session, "target");
  if (!source)
    return source.error();
  if (!target)
    return target.error();
  Vocabularies both{std::move(*source), std::move(*target), session.program.model.value("source_end", true)};
  if (int64_t longest = session.longestSource())
    both.longestSource = std::max<int64_t>(longest - both.sourceMarks(), 1);
  return both;
}
