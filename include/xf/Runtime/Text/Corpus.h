//===- Corpus.h - Text files as token ids ---------------------------------------------===//
// Reads a file of lines, or two whose lines belong together, checks them, and encodes them. Everything
// that is wrong is named by file and line; what is left out is counted, never dropped silently.
//===----------------------------------------------------------------------------------===//
#ifndef XF_RUNTIME_TEXT_CORPUS_H
#define XF_RUNTIME_TEXT_CORPUS_H

#include "xf/Runtime/Files.h"
#include "xf/Runtime/Text/Vocabulary.h"

#include <optional>

namespace xf::runtime {
struct Program;

/// A line longer than this is no sentence; it is skipped without being encoded.
constexpr size_t maxLineBytes = size_t(1) << 16;

/// The lines of a mapped file, valid UTF-8 without NUL bytes; there is at least one.
struct Lines {
  MappedFile file;
  std::string path;
  std::vector<std::string_view> lines;

  static Expected<Lines> read(const std::string &path);
};

/// The text of a file, which some editors begin with a mark that is no part of it.
std::string_view withoutByteOrderMark(std::string_view text);

/// Whether a line is well-formed UTF-8 without NUL bytes; `place` is what the message starts with.
Expected<void> checkLine(std::string_view line, const std::string &place);

struct SentencePairs {
  std::vector<std::vector<int32_t>> source, target; // target without BOS and EOS
  int64_t skipped = 0;                              // pairs left out as too long
  int64_t firstSkipped = 0;                         // the line of the first of them, from 1

  int64_t size() const { return int64_t(source.size()); }
};

/// Encodes two files of as many lines. Pairs with a sentence of more than `maxTokens` tokens (marks not
/// counted; 0: any) or `maxLineBytes` bytes are skipped. Sources end with EOS where `sourceEnds`.
Expected<SentencePairs> readPairs(const std::string &sourcePath, const std::string &targetPath,
                                  const Vocabulary &source, const Vocabulary &target, int64_t maxTokens = 0,
                                  bool sourceEnds = true);

/// What a language model's texts are: lines with an end mark each, or whole texts, whose lines end as they do in files;
/// and whether a text that it goes on with has a begin mark before it.
struct TextForm {
  bool isWhole = false, begins = true;

  static TextForm of(const Program &program);
};

/// A text for a language model: BOS, then every line, or all of it, with EOS after it.
struct TokenStream {
  std::vector<int32_t> ids;
  int64_t lines = 0;                     // of the file
  int64_t skipped = 0, firstSkipped = 0; // of them, left out as too long
};
Expected<TokenStream> readStream(const std::string &path, const Vocabulary &vocabulary, bool isWhole = false);

/// "97% of 1200 tokens are unknown to the vocabulary": of the wrong file, perhaps, or by the wrong vocabulary. Nothing
/// where at most a tenth is.
class UnknownTokens {
public:
  explicit UnknownTokens(const Vocabulary &vocabulary) : vocabulary(vocabulary) {}
  void add(std::span<const int32_t> ids);
  int64_t tokens() const { return all; }
  std::optional<std::string> describe() const;

private:
  const Vocabulary &vocabulary;
  int64_t all = 0, unknown = 0;
};

/// "skipped 3 of 100 pairs, which were too long (first: line 17)"; nothing where none was skipped.
std::optional<std::string> describeSkipped(int64_t skipped, int64_t firstSkipped, int64_t total, std::string_view unit);

} // namespace xf::runtime

#endif // XF_RUNTIME_TEXT_CORPUS_H
