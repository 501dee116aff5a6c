//===- TextData.h - Text as this executable's model reads it ----------------------------------===//
// Between the text library and the commands: the executable's vocabularies, and stdin read with them.
//===-----------------------------------------------------------------------------------------===//
#ifndef XF_RUNTIME_COMMANDS_TEXTDATA_H
#define XF_RUNTIME_COMMANDS_TEXTDATA_H

#include "xf/Runtime/Session.h"
#include "xf/Runtime/Text/Batches.h"

namespace xf::runtime {

struct Vocabularies {
  Vocabulary source, target;
};
/// The embedded ones; token ids where there is none.
Expected<Vocabularies> openVocabularies(const Session &session);
/// That of a model with one alone.
Expected<Vocabulary> openVocabulary(const Session &session);

/// Lines of stdin as token ids, a chunk at a time.
class LineReader {
public:
  /// What becomes of a line of more than `maxTokens` (0: any number) or `maxLineBytes`.
  enum TooLong { Skip, Cut };

  LineReader(const Vocabulary &vocabulary, int64_t maxTokens, TooLong tooLong)
      : vocabulary(vocabulary), maxTokens(maxTokens), tooLong(tooLong) {}

  /// The next lines (one where a person types and waits), without marks; those that are skipped are empty. None at the
  /// end.
  Expected<std::vector<std::vector<int32_t>>> next();

  /// Lines read so far.
  int64_t count() const { return lines; }
  /// "skipped 3 of 100 lines, which were too long (first: line 17)"; nothing where all had room.
  std::optional<std::string> describeTooLong() const;

private:
  const Vocabulary &vocabulary;
  int64_t maxTokens;
  TooLong tooLong;
  int64_t lines = 0, longLines = 0, firstLong = 0;
};

} // namespace xf::runtime

#endif // XF_RUNTIME_COMMANDS_TEXTDATA_H
