//===- xf-vocab.cpp - Makes a vocabulary from text ------------------------------------===//
// xf-vocab FILE... --type=unigram|bpe|word|char|split -o V.model. Subwords and characters are trained by
// SentencePiece; words are counted here; a list of tokens is taken as it is. The same files give the same bytes.
//===----------------------------------------------------------------------------------===//
#include "xf/Runtime/CommandLine.h"
#include "xf/Runtime/Text/Corpus.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <csignal>
#include <cstdio>
#include <fmt/format.h>
#include <sentencepiece_trainer.h>
#include <unordered_map>

using namespace xf::runtime;

namespace {
struct Options {
  std::vector<std::string> files;
  std::string type = "unigram", output;
  int64_t size = 0, minFrequency = 1;
  bool keepCase = false;
};

/// The sentences of all files, for SentencePiece.
class Sentences final : public sentencepiece::SentenceIterator {
public:
  explicit Sentences(const std::vector<std::string_view> &lines) : lines(lines) { load(); }
  bool done() const override { return at == lines.size(); }
  void Next() override { ++at, load(); }
  const std::string &value() const override { return current; }
  sentencepiece::util::Status status() const override { return {}; }

private:
  void load() { current = done() ? std::string() : std::string(lines[at]); }
  const std::vector<std::string_view> &lines;
  size_t at = 0;
  std::string current;
};
} // namespace

static constexpr int64_t defaultSize = 8000, specialTokens = 3;

static Expected<std::string> countWords(const std::vector<std::string_view> &lines, const Options &options) {
  std::unordered_map<std::string, int64_t> counts;
  for (std::string_view line : lines)
    for (std::string &word : tokenizeWords(line, !options.keepCase))
      ++counts[std::move(word)];
  std::vector<std::pair<int64_t, std::string>> sorted; // by falling frequency, then bytes
  for (auto &[word, count] : counts)
    if (count >= options.minFrequency)
      sorted.emplace_back(-count, word);
  std::sort(sorted.begin(), sorted.end());
  if (options.size > 0 && int64_t(sorted.size()) > options.size - specialTokens)
    sorted.resize(options.size - specialTokens);
  if (sorted.empty())
    return userError(fmt::format("no word occurs at least {} times", options.minFrequency));
  std::vector<std::string> words;
  for (auto &[count, word] : sorted)
    words.push_back(std::move(word));
  return writeWordVocabulary(words, !options.keepCase);
}

/// What SentencePiece says is wrong, in terms of our options where they are about the size.
static Error trainingError(const std::string &type, std::string_view message) {
  std::string reason(plainReason(message));
  int size = 0, limit = 0;
  if (std::sscanf(reason.c_str(), "Vocabulary size too high (%d). Please set it to a value <= %d", &size, &limit) == 2)
    return userError(
        fmt::format("expected --size to be at most {}, for the text has no more pieces, but got {}", limit, size));
  if (std::sscanf(reason.c_str(), "Vocabulary size is smaller than required_chars. %d vs %d", &size, &limit) == 2)
    return userError(
        fmt::format("expected --size to be at least {}, for each character of the text is a token, but got "
                    "{}",
                    limit, size));
  return userError(fmt::format("can't make a vocabulary of type {}: {}", type, reason));
}

static Expected<std::string> trainSentencePiece(const std::vector<std::string_view> &lines, const Options &options) {
  std::unordered_map<std::string, std::string> spec = {
      {"model_type", options.type},
      {"vocab_size", std::to_string(options.size > 0 ? options.size : defaultSize)},
      {"minloglevel", "3"},
      {"num_threads", "1"}, // sums of several threads depend on their number
      {"character_coverage", options.type == "char" ? "1.0" : "0.9995"},
      {"max_sentence_length", std::to_string(maxLineBytes)},
  };
  if (options.type == "char") {
    spec["use_all_vocab"] = "true"; // every character, unless a size is given
    spec["normalization_rule_name"] = "identity";
    spec["add_dummy_prefix"] = "false";
    spec["remove_extra_whitespaces"] = "false";
    if (options.size > 0)
      spec.erase("use_all_vocab");
  } else {
    spec["hard_vocab_limit"] = options.size > 0 ? "true" : "false";
  }
  Sentences sentences(lines);
  std::string model;
  auto status = sentencepiece::SentencePieceTrainer::Train(spec, &sentences, &model);
  if (!status.ok())
    return trainingError(options.type, status.message());
  return model;
}

/// A list of tokens; what is wrong with it is said of the file that holds it.
static Expected<std::string> readTokens(const std::vector<Lines> &files) {
  std::vector<std::string_view> tokens;
  std::unordered_map<std::string_view, std::string> places;
  for (const Lines &file : files)
    for (size_t i = 0; i < file.lines.size(); ++i) {
      std::string place = fmt::format("'{}', line {}", file.path, i + 1);
      if (file.lines[i].empty())
        return userError(fmt::format("{}: expected a token", place));
      if (auto [before, isNew] = places.try_emplace(file.lines[i], place); !isNew)
        return userError(fmt::format("{}: '{}' is a token already ({})", place, file.lines[i], before->second));
      tokens.push_back(file.lines[i]);
    }
  for (const char *mark : {"<s>", "</s>"})
    if (!places.contains(mark))
      return userError(fmt::format("'{}': expected '{}' among its tokens", files.back().path, mark));
  return writeSplitVocabulary(tokens);
}

static Expected<void> run(const Options &options) {
  if (options.size > 0 && options.size <= specialTokens)
    return userError(fmt::format("expected --size to be above {} (for <unk>, <s> and </s>), but got {}", specialTokens,
                                 options.size));
  if (options.type != "word" && options.minFrequency != 1)
    return userError(fmt::format("--min-frequency is for --type=word, but the type is {}", options.type));
  if (options.type != "word" && options.keepCase)
    return userError(fmt::format("--no-lowercase is for --type=word, but the type is {}", options.type));
  if (options.type == "split" && options.size > 0)
    return userError("--size is for vocabularies that are made of text, but --type=split takes all tokens of a list");
  std::vector<Lines> files;
  for (const std::string &path : options.files) {
    Expected<Lines> lines = Lines::read(path);
    if (!lines)
      return lines.error();
    files.push_back(std::move(*lines));
  }
  std::vector<std::string_view> lines;
  for (const Lines &file : files) {
    int64_t skipped = 0, first = 0;
    for (size_t i = 0; i < file.lines.size(); ++i) {
      if (file.lines[i].size() <= maxLineBytes)
        lines.push_back(file.lines[i]);
      else if (skipped++ == 0)
        first = int64_t(i) + 1;
    }
    if (auto note = describeSkipped(skipped, first, int64_t(file.lines.size()), "lines"))
      fmt::print(stderr, "warning: '{}': {}\n", file.path, *note);
  }
  if (std::ranges::all_of(lines, [](std::string_view line) { return line.find_first_not_of(" \t\r") == line.npos; }))
    return userError("the files hold no text");
  Expected<std::string> bytes = options.type == "word"    ? countWords(lines, options)
                                : options.type == "split" ? readTokens(files)
                                                          : trainSentencePiece(lines, options);
  if (!bytes)
    return bytes.error();
  // What was made is read back: a vocabulary that can't be used should not be found out later.
  Expected<Vocabulary> vocabulary = Vocabulary::parse(*bytes, options.output);
  if (!vocabulary)
    return vocabulary.error();
  if (Expected<void> written = writeFile(options.output, *bytes); !written)
    return written.error();
  fmt::print(stderr, "{}: {} tokens ({})\n", options.output, vocabulary->size(), options.type);
  return {};
}

int main(int argc, char **argv) {
  Options options;
  CLI::App app("Makes a vocabulary from text files with a sentence a line");
  app.add_option("FILE", options.files, "Text, UTF-8")->required();
  app.add_option("--type", options.type,
                 "unigram, bpe, char (SentencePiece), word (\\w+|[^\\w\\s]), or split: FILE lists the tokens, one a "
                 "line, and text "
                 "comes split into them")
      ->check(CLI::IsMember({"unigram", "bpe", "word", "char", "split"}))
      ->capture_default_str();
  auto *size =
      app.add_option("--size", options.size,
                     "Number of tokens, <unk>, <s> and </s> among them; default: 8000 for unigram and bpe, else all")
          ->check(CLI::Range(int64_t(1), int64_t(1) << 30));
  app.add_option("--min-frequency", options.minFrequency, "Words that occur at least so often (word)")
      ->check(CLI::Range(int64_t(1), int64_t(1) << 40))
      ->excludes(size);
  app.add_flag("--no-lowercase", options.keepCase, "Keep upper case (word)");
  app.add_option("-o,--output", options.output, "The vocabulary")->required();
  app.set_version_flag("--version", "xf-vocab 0.1.0");
  std::signal(SIGXFSZ, SIG_IGN); // a limit of files' sizes is an error of the write
  Expected<std::optional<int>> parsed = parseCommandLine(app, argc, argv, {"--output"});
  if (!parsed) {
    fmt::print(stderr, "error: {}\n", parsed.error().message);
    return parsed.error().exitCode;
  }
  if (*parsed)
    return **parsed;
  int code = 0;
  try {
    if (Expected<void> done = run(options); !done) {
      fmt::print(stderr, "error: {}\n", done.error().message);
      code = done.error().exitCode;
    }
  } catch (const std::exception &problem) { // out of memory
    fmt::print(stderr, "error: {}\n", problem.what());
    code = 2;
  }
  return code;
}
