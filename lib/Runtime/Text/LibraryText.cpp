//===- LibraryText.cpp - What a library does with text ------------------------------===//
// The commands `translate` and `generate` as calls, with their options as text. By itself in an archive that is linked
// before the runtime's, where the model has vocabularies.
//===----------------------------------------------------------------------------------===//
#include "xf/Runtime/Text/LibraryText.h"
#include "xf/Runtime/Text/Generator.h"
#include "xf/Runtime/Text/LineEncoder.h"
#include "xf/Runtime/Text/Translator.h"

#include <charconv>
#include <fmt/format.h>
#include <limits>
#include <variant>

using namespace xf::runtime;

namespace {
/// An option of a call, and the values it can have.
struct Option {
  std::string_view name;
  std::variant<int64_t *, uint64_t *, double *> value;
  const char *expected;
  double least = 0, most = std::numeric_limits<double>::max();
};

/// The part of `text` before `mark`, which is taken out with it.
std::string_view takeUntil(std::string_view &text, char mark) {
  size_t end = std::min(text.find(mark), text.size());
  std::string_view part = text.substr(0, end);
  text.remove_prefix(std::min(end + 1, text.size()));
  return part;
}

/// Sets options of "beam=4,max_length=20".
Expected<void> readOptions(std::string_view method, std::string_view text, std::span<const Option> known) {
  while (!text.empty()) {
    std::string_view value = takeUntil(text, ','), name = takeUntil(value, '=');
    auto option = std::ranges::find(known, name, &Option::name);
    if (option == known.end()) {
      std::vector<std::string_view> names;
      for (const Option &each : known)
        names.push_back(each.name);
      return userError(
          fmt::format("'{}' has no option '{}'; its options are {}", method, name, fmt::join(names, ", ")));
    }
    bool isFine = std::visit(
        [&](auto *to) {
          auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), *to);
          return error == std::errc() && end == value.data() + value.size() && double(*to) >= option->least &&
                 double(*to) <= option->most;
        },
        option->value);
    if (!isFine)
      return userError(fmt::format("expected '{}' to be {}, but got '{}'", name, option->expected, value));
  }
  return {};
}

Expected<void> checkOneLine(std::string_view line, const std::string &place) {
  if (size_t at = line.find('\n'); at != line.npos)
    return userError(fmt::format("{}: expected one line, but it ends at byte {}", place, at + 1));
  return checkLine(line, place);
}

class Text final : public LibraryText {
public:
  Text(Session &session, Vocabularies vocabularies) : session(session), vocabularies(std::move(vocabularies)) {}

  Expected<std::vector<std::string>> translate(const ModelState &model, std::span<const char *const> lines,
                                               std::string_view options) override;
  Expected<std::string> generate(const ModelState &model, std::string_view prompt, std::string_view options) override;
  Expected<std::vector<int32_t>> encode(const Vocabulary &vocabulary, std::string_view line) const override {
    Expected<void> valid = checkOneLine(line, "line");
    return valid ? vocabulary.encode(line) : valid.error();
  }
  const Vocabulary &vocabulary(bool isSource) const override {
    return isSource ? vocabularies.source : vocabularies.target;
  }

private:
  Session &session;
  Vocabularies vocabularies;
};
} // namespace

static const char *wholeFrom1 = "a whole number from 1 on", *wholeFrom0 = "a whole number from 0 on";
static const char *notNegative = "a number that is not negative";

Expected<std::vector<std::string>> Text::translate(const ModelState &model, std::span<const char *const> lines,
                                                   std::string_view options) {
  SearchOptions search = Translator::defaults(session.program);
  int64_t batchSize = 0;
  const Option known[] = {{"beam", &search.beam, "a whole number from 1 to 1000", 1, 1000},
                          {"length_penalty", &search.lengthPenalty, notNegative},
                          {"max_length", &search.maxLength, wholeFrom1, 1},
                          {"min_length", &search.minLength, wholeFrom1, 1},
                          {"batch_size", &batchSize, wholeFrom1, 1}};
  if (Expected<void> read = readOptions("translate", options, known); !read)
    return read.error();
  Translator translator(session, model, vocabularies, search, batchSize);
  LineEncoder encoder(vocabularies.source, vocabularies.longestSource, LineEncoder::Skip);
  std::vector<std::vector<int32_t>> sources;
  for (size_t i = 0; i < lines.size(); ++i) {
    if (!lines[i])
      return userError(fmt::format("expected line {} to be text, but got NULL", i + 1));
    std::string_view line = lines[i];
    if (Expected<void> valid = checkOneLine(line, fmt::format("line {}", i + 1)); !valid)
      return valid.error();
    Expected<std::vector<int32_t>> ids = encoder.encode(line);
    if (!ids)
      return ids.error();
    sources.push_back(vocabularies.markSource(std::move(*ids)));
  }
  Expected<std::vector<std::vector<SearchResult>>> results = translator.translate(sources, {}, "line");
  if (!results)
    return results.error();
  if (auto note = encoder.describeUnknown(/*isAll=*/true))
    session.warn(*note);
  if (auto note = encoder.describeTooLong())
    session.warn(*note + "; their translations are empty");
  std::vector<std::string> translations;
  for (const std::vector<SearchResult> &result : *results)
    translations.push_back(vocabularies.target.decode(result.front().ids));
  return translations;
}

Expected<std::string> Text::generate(const ModelState &model, std::string_view prompt, std::string_view options) {
  GeneratorOptions chosen = GeneratorOptions::of(session.program);
  SamplingOptions &sampling = chosen.sampling;
  const Option known[] = {
      {"max_length", &chosen.maxLength, wholeFrom1, 1},
      {"temperature", &sampling.temperature, notNegative},
      {"top_k", &sampling.topK, wholeFrom0},
      {"top_p", &sampling.topP, "a number above 0 and at most 1", std::numeric_limits<double>::denorm_min(), 1},
      {"seed", &sampling.seed, wholeFrom0}};
  if (Expected<void> read = readOptions("generate", options, known); !read)
    return read.error();
  Expected<std::vector<int32_t>> ids =
      encodePrompt(prompt, vocabularies.target, TextForm::of(session.program), "prompt");
  if (!ids)
    return ids.error();
  std::vector<std::string> lines;
  Expected<void> generated = generateText(session, model, vocabularies.target, std::move(*ids), chosen,
                                          [&](std::string line) -> Expected<void> {
                                            lines.push_back(std::move(line));
                                            return {};
                                          });
  if (!generated)
    return generated.error();
  return fmt::format("{}", fmt::join(lines, "\n"));
}

Expected<std::unique_ptr<LibraryText>> xf::runtime::openText(Session &session) {
  Expected<Vocabularies> vocabularies = openVocabularies(session);
  if (!vocabularies)
    return vocabularies.error();
  return std::unique_ptr<LibraryText>(new Text(session, std::move(*vocabularies)));
}
