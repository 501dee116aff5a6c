//===- LineEncoder.h - Lines that a model is to read --------------------------------===//
// One line after another becomes token ids, once it is known to be text; what is too long or unknown is counted, to be
// told of.
//===----------------------------------------------------------------------------------===//
#ifndef XF_RUNTIME_TEXT_LINEENCODER_H
#define XF_RUNTIME_TEXT_LINEENCODER_H

#include "xf/Runtime/Text/Corpus.h"

namespace xf::runtime {

class LineEncoder {
public:
  /// What becomes of a line of more than `maxTokens` (0: any number) or `maxLineBytes`.
  enum TooLong { Skip, Cut };

  /// Where `afterTab` is given, a line is a text, and behind a tab another of that vocabulary. `input`: what messages
  /// say before a line's number ("standard input, ").
  LineEncoder(const Vocabulary &vocabulary, int64_t maxTokens, TooLong tooLong, const Vocabulary *afterTab = nullptr,
              std::string input = "")
      : vocabulary(vocabulary), afterTab(afterTab), maxTokens(maxTokens), tooLong(tooLong), input(std::move(input)) {}

  /// Its ids, without marks; none where it is skipped.
  Expected<std::vector<int32_t>> encode(std::string_view line);
  /// What stood behind the last line's tab.
  std::vector<int32_t> behindTab;

  /// As soon as enough was read to tell, or all of it, that much of it is unknown; once.
  std::optional<std::string> describeUnknown(bool isAll);

  /// "skipped 3 of 100 lines, which were too long (first: line 17)"; nothing where all had room.
  std::optional<std::string> describeTooLong() const;

private:
  const Vocabulary &vocabulary, *afterTab;
  int64_t maxTokens;
  TooLong tooLong;
  std::string input;
  int64_t lines = 0, longLines = 0, firstLong = 0;
  UnknownTokens unknown{vocabulary};
  bool toldUnknown = false;
};

} // namespace xf::runtime

#endif // XF_RUNTIME_TEXT_LINEENCODER_H
