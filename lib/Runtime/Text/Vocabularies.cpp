//===- Vocabularies.cpp - The vocabularies of a compiled model ----------------------===//
// One for each side, or one for both.
//===----------------------------------------------------------------------------------===//
#include "xf/Runtime/Text/Vocabularies.h"

#include <fmt/format.h>

using namespace xf::runtime;

/// `which`: "source", "target", or nothing where there is one vocabulary alone.
static Expected<Vocabulary> openSide(const Session &session, const std::string &which) {
  int64_t size = session.vocabularySize(which);
  auto bytes = session.blob(which + "_vocabulary");
  std::string name = bytes ? "the embedded " + which + " vocabulary" : "the embedded vocabulary";
  if (!bytes) // one for all sides
    bytes = session.blob("vocabulary");
  if (!bytes)
    return Vocabulary::ids(size);
  Expected<Vocabulary> vocabulary = Vocabulary::parse(*bytes, name);
  if (vocabulary && vocabulary->size() > size)
    return userError(fmt::format("expected {} to have at most as many tokens as the model ({}), but got {}", name, size,
                                 vocabulary->size()));
  return vocabulary;
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
