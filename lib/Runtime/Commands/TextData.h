//===- TextData.h - Text as this executable's model reads it ----------------------------------===//
// Between the text library and the commands: the executable's vocabularies, and stdin read with them.
//===-----------------------------------------------------------------------------------------===//
#ifndef XF_RUNTIME_COMMANDS_TEXTDATA_H
#define XF_RUNTIME_COMMANDS_TEXTDATA_H

#include "xf/Runtime/Session.h"
#include "xf/Runtime/Text/Batches.h"
#include "xf/Runtime/Text/Corpus.h"

namespace xf::runtime {

struct Vocabularies {
  Vocabulary source, target;
  bool sourceEnds = true; // whether a source has an end mark: the model's key `source_end`

  /// What the model reads for a source of these tokens.
  std::vector<int32_t> markSource(std::vector<int32_t> ids) const {
    if (sourceEnds)
      ids.push_back(source.eos());
    return ids;
  }
  /// How many of a source's tokens are marks.
  int64_t sourceMarks() const { return sourceEnds ? 1 : 0; }
};
/// The embedded ones; token ids where there is none.
Expected<Vocabularies> openVocabularies(const Session &session);
/// That of a model with one alone.
Expected<Vocabulary> openVocabulary(const Session &session);

/// Lines of stdin as token ids.
class LineReader {
public:
  /// What becomes of a line of more than `maxTokens` (0: any number) or `maxLineBytes`.
  enum TooLong { Skip, Cut };

  /// Where `afterTab` is given, a line is a text, and behind a tab another of that vocabulary.
  LineReader(const Vocabulary &vocabulary, int64_t maxTokens, TooLong tooLong, const Vocabulary *afterTab = nullptr)
      : vocabulary(vocabulary), afterTab(afterTab), maxTokens(maxTokens), tooLong(tooLong) {}

  /// The lines that are there, at most `most` of them, without marks; those that are skipped are empty. Waits for the
  /// first one if asked to: otherwise, and at the end, there may be none. A line that is no text is an error, once
  /// those before it have been given.
  Expected<std::vector<std::vector<int32_t>>> next(size_t most = 2048, bool wait = true);
  /// Whether all lines have been given.
  bool atEnd() const { return sawEnd && begin == buffer.size(); }

  /// What stood behind the tabs of the lines that `next` gave last.
  const std::vector<std::vector<int32_t>> &behindTabs() const { return others; }

  /// As soon as enough was read to tell, that much of it is unknown; once.
  std::optional<std::string> describeUnknown();

  /// "skipped 3 of 100 lines, which were too long (first: line 17)"; nothing where all had room.
  std::optional<std::string> describeTooLong() const;

private:
  using Line = std::optional<std::string_view>;
  /// The next line of the buffer, which is filled as far as needed; none where that would mean waiting, or at the end.
  Expected<Line> nextLine(bool wait);
  Expected<std::vector<int32_t>> encode(std::string_view line);

  const Vocabulary &vocabulary, *afterTab;
  std::vector<std::vector<int32_t>> others;
  int64_t maxTokens;
  TooLong tooLong;
  std::string buffer;
  size_t begin = 0; // of what has not been given
  bool sawEnd = false;
  std::optional<Error> broken; // what is wrong with the line after those that were given
  int64_t lines = 0, longLines = 0, firstLong = 0;
  UnknownTokens unknown{vocabulary};
  bool toldUnknown = false;
};

} // namespace xf::runtime

#endif // XF_RUNTIME_COMMANDS_TEXTDATA_H
