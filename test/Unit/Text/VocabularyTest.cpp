//===- VocabularyTest.cpp - Vocabularies of every kind --------------------------------===//
// Word tokens are checked against counts that Python's `re` gave for a public corpus.
//===----------------------------------------------------------------------------------===//
#include "xf/Runtime/Text/Vocabulary.h"
#include "Temporary.h"
#include "xf/Runtime/Text/Unicode.h"

#include <algorithm>
#include <cstdio>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <map>
#include <sentencepiece_trainer.h>

using namespace xf::runtime;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::StartsWith;

static Expected<Vocabulary> parse(std::string_view text) {
  return Vocabulary::parse(std::span(text.data(), text.size()), "v");
}
static std::string parseError(std::string_view text) {
  Expected<Vocabulary> vocabulary = parse(text);
  return vocabulary ? "none" : vocabulary.error().message;
}

TEST(Unicode, FindsInvalidUtf8) {
  EXPECT_EQ(findInvalidUtf8("aé日😀"), std::nullopt);
  EXPECT_EQ(findInvalidUtf8("a\x80"), 1u);            // a continuation alone
  EXPECT_EQ(findInvalidUtf8("\xc3"), 0u);             // truncated
  EXPECT_EQ(findInvalidUtf8("\xc0\xaf"), 0u);         // overlong
  EXPECT_EQ(findInvalidUtf8("\xe0\x80\xaf"), 0u);     // overlong
  EXPECT_EQ(findInvalidUtf8("\xed\xa0\x80"), 0u);     // a surrogate
  EXPECT_EQ(findInvalidUtf8("\xf4\x90\x80\x80"), 0u); // above U+10FFFF
  EXPECT_EQ(findInvalidUtf8("ab\xff"), 2u);
}

TEST(Unicode, LowersCase) {
  EXPECT_EQ(toLower("ÄÖÜ Straße ΑΒΓ ЖЩ Ā Ǆ Ⅷ 𐐀 ẞ"), "äöü straße αβγ жщ ā ǆ ⅷ 𐐨 ß");
  EXPECT_EQ(toLower("āĀ1\xff"), "āā1\xff");
}

TEST(Unicode, KnowsWidths) {
  std::vector<std::pair<size_t, int>> widths;
  for (std::string_view rest = "aü日e\u0301ا\xff한"; !rest.empty();) {
    CharacterWidth first = widthOfFirst(rest);
    widths.emplace_back(first.bytes, first.columns);
    rest.remove_prefix(first.bytes);
  }
  using W = std::pair<size_t, int>;
  EXPECT_THAT(widths, ElementsAre(W(1, 1), W(2, 1), W(3, 2), W(1, 1), W(2, 0), W(2, 1), W(1, 1), W(3, 2)));
}

TEST(Unicode, SplitsWords) {
  EXPECT_THAT(splitWords("Ein Mann, der's (3,5) läuft… x_1"),
              ElementsAre("Ein", "Mann", ",", "der", "'", "s", "(", "3", ",", "5", ")", "läuft", "…", "x_1"));
  EXPECT_THAT(splitWords("a\u00a0b\u2003c\td\u3000"), ElementsAre("a", "b", "c", "d"));
  EXPECT_THAT(splitWords("日本 e\u0301"), ElementsAre("日本", "e", "\u0301")); // combining marks are not \w
  EXPECT_THAT(splitWords(" "), ElementsAre());
  EXPECT_THAT(splitWhiteSpace(" a,b \u00a0 c"), ElementsAre("a,b", "c"));
}

TEST(WordVocabulary, EncodesAndDecodes) {
  std::string words[] = {".", "der", "hund"};
  Expected<Vocabulary> vocabulary = parse(writeWordVocabulary(words, true));
  ASSERT_TRUE(vocabulary) << vocabulary.error().message;
  EXPECT_EQ(vocabulary->size(), 6);
  EXPECT_EQ(vocabulary->unknown(), 0);
  EXPECT_EQ(vocabulary->bos(), 1);
  EXPECT_EQ(vocabulary->eos(), 2);
  EXPECT_EQ(vocabulary->piece(4), "der");
  EXPECT_EQ(vocabulary->piece(6), "<unk>"); // of a table that has more rows
  EXPECT_THAT(*vocabulary->encode("Der HUND bellt."), ElementsAre(4, 5, 0, 3));
  EXPECT_THAT(*vocabulary->encode(""), ElementsAre());
  EXPECT_EQ(vocabulary->decode(std::vector<int32_t>{1, 4, 5, 0, 3, 2}), "der hund <unk> .");
  EXPECT_EQ(vocabulary->decode(std::vector<int32_t>{99, -1}), "<unk> <unk>");

  Expected<Vocabulary> cased = parse(writeWordVocabulary(words, false));
  EXPECT_THAT(*cased->encode("Der hund"), ElementsAre(0, 5));
}

TEST(WordVocabulary, SaysWhatIsWrong) {
  std::string words[] = {"a", "b"};
  std::string good = writeWordVocabulary(words, true);
  EXPECT_EQ(good, "xf-vocabulary 1 word lowercase=1 tokens=5\n<unk>\n<s>\n</s>\na\nb\n");
  for (size_t size = 1; size < good.size(); ++size)
    EXPECT_THAT(parseError(good.substr(0, size)), StartsWith("vocabulary 'v'")) << size;
  EXPECT_EQ(parseError(""), "vocabulary 'v' is empty");
  EXPECT_EQ(parseError("xf-vocabulary 2 word\n"), "vocabulary 'v': expected format version 1, but got '2'");
  EXPECT_THAT(parseError("xf-vocabulary 1 word tokens=3\n"),
              HasSubstr("expected its first line to be 'xf-vocabulary 1 word|split lowercase=0|1 tokens=N'"));
  EXPECT_EQ(parseError(good.substr(0, good.size() - 1)), "vocabulary 'v': truncated in line 6");
  EXPECT_EQ(parseError(good.substr(0, good.size() - 2)), "vocabulary 'v': expected 5 tokens, but got 4");
  EXPECT_EQ(parseError("xf-vocabulary 1 word lowercase=1 tokens=3\n<unk>\n<s>\na\n"),
            "vocabulary 'v', line 4: expected '</s>'");
  EXPECT_EQ(parseError("xf-vocabulary 1 word lowercase=1 tokens=1\n<unk>\n"), "vocabulary 'v', line 3: expected '<s>'");
  EXPECT_EQ(parseError("xf-vocabulary 1 word lowercase=1 tokens=5\n<unk>\n<s>\n</s>\na\na\n"),
            "vocabulary 'v', line 6: 'a' occurs twice");
  EXPECT_EQ(parseError("xf-vocabulary 1 word lowercase=1 tokens=4\n<unk>\n<s>\n</s>\n\n"),
            "vocabulary 'v', line 5: expected a token in UTF-8");
  EXPECT_EQ(parseError("xf-vocabulary 1 word lowercase=1 tokens=4\n<unk>\n<s>\n</s>\n\xff\n"),
            "vocabulary 'v', line 5: expected a token in UTF-8");
}

TEST(IdVocabulary, ReadsAndWritesNumbers) {
  Vocabulary vocabulary = Vocabulary::ids(10);
  EXPECT_EQ(vocabulary.size(), 10);
  EXPECT_THAT(*vocabulary.encode(" 3 9\t0 "), ElementsAre(3, 9, 0));
  EXPECT_EQ(vocabulary.decode(std::vector<int32_t>{1, 3, 9, 2}), "3 9");
  EXPECT_EQ(vocabulary.piece(7), "7");
  EXPECT_EQ(vocabulary.encode("3 10").error().message, "expected token ids from 0 to 9, but got 10");
  EXPECT_EQ(vocabulary.encode("-1").error().message, "expected token ids from 0 to 9, but got -1");
  EXPECT_EQ(vocabulary.encode("3 four").error().message,
            "expected token ids, as the model has no vocabulary, but got 'four'");
  EXPECT_FALSE(vocabulary.encode("99999999999999999999"));
}

static std::string trainSentencePiece(const std::string &options) {
  std::vector<std::string> sentences;
  for (int i = 0; i < 200; ++i)
    sentences.push_back("the number " + std::to_string(i * 7919 % 1000) + " is not the number " +
                        std::to_string(i * 31 % 1000));
  std::string model;
  auto status = sentencepiece::SentencePieceTrainer::Train("--minloglevel=3 " + options, sentences, &model);
  EXPECT_TRUE(status.ok()) << status.ToString();
  return model;
}

TEST(SentencePieceVocabulary, EncodesAndDecodes) {
  for (std::string type :
       {"unigram --vocab_size=40", "bpe --vocab_size=40", "char --vocab_size=30 --hard_vocab_limit=false"}) {
    std::string bytes = trainSentencePiece("--model_type=" + type);
    TemporaryFolder folder;
    Expected<Vocabulary> vocabulary = Vocabulary::load(folder.write("v.model", bytes));
    ASSERT_TRUE(vocabulary) << vocabulary.error().message;
    EXPECT_EQ(vocabulary->bos(), 1);
    EXPECT_EQ(vocabulary->eos(), 2);
    EXPECT_EQ(vocabulary->piece(2), "</s>");
    std::string line = "the number 42 is not 7";
    auto ids = vocabulary->encode(line);
    ASSERT_TRUE(ids);
    EXPECT_TRUE(std::ranges::all_of(*ids, [&](int32_t id) { return id > 2 && id < vocabulary->size(); }));
    EXPECT_EQ(vocabulary->decode(*ids), line);
    ids->insert(ids->begin(), 1);
    ids->push_back(2);
    EXPECT_EQ(vocabulary->decode(*ids), line);
    EXPECT_NE(vocabulary->decode(std::vector<int32_t>{1000000, -5}), "");
  }
}

TEST(SentencePieceVocabulary, SaysWhatIsWrong) {
  std::string bytes = trainSentencePiece("--model_type=bpe --vocab_size=40");
  EXPECT_EQ(parseError(bytes), "none");
  EXPECT_THAT(
      parseError(bytes.substr(0, bytes.size() / 2)),
      HasSubstr(
          "vocabulary 'v' is neither a SentencePiece model nor a vocabulary of xf's, or it is truncated or corrupt"));
  EXPECT_THAT(parseError("some text\n"), HasSubstr("neither a SentencePiece model nor a vocabulary of xf's"));
  EXPECT_EQ(parseError(trainSentencePiece("--model_type=bpe --vocab_size=40 --bos_id=-1")),
            "vocabulary 'v': expected tokens for unknown, begin and end of sentence (unk_id, bos_id, eos_id), but got "
            "the ids 0, -1, 2");
  // SentencePiece's trie throws where a token holds a NUL byte.
  std::string nul = trainSentencePiece("--model_type=unigram --vocab_size=40");
  size_t piece = nul.find("\u2581"); // SentencePiece's space
  ASSERT_NE(piece, nul.npos);
  nul[piece] = '\0';
  EXPECT_THAT(parseError(nul), HasSubstr("or it is truncated or corrupt: "));
  Expected<Vocabulary> missing = Vocabulary::load("/nonexistent/v.model");
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().message, "can't open '/nonexistent/v.model': No such file or directory");
}

TEST(SentencePieceVocabulary, ReasonsAreWithoutPlacesInSources) {
  EXPECT_EQ(plainReason("a/b.cc(664) [(x) == (y)] Size too high."), "Size too high.");
  EXPECT_EQ(plainReason("a/b.cc(664) [x] "), "");
  EXPECT_EQ(plainReason("plain"), "plain");
}

/// The lines of a gzip file of the shared data; nothing where it is absent.
static std::vector<std::string> sharedLines(const std::string &name) {
  const char *folder = std::getenv("XF_SHARED_DATA");
  std::string path = std::string(folder ? folder : "../shared/data") + "/multi30k/" + name;
  if (!std::filesystem::exists(path))
    return {};
  std::FILE *pipe = popen(("gzip -dc '" + path + "'").c_str(), "r");
  std::string text;
  char buffer[65536];
  for (size_t count; (count = std::fread(buffer, 1, sizeof buffer, pipe)) > 0;)
    text.append(buffer, count);
  pclose(pipe);
  std::vector<std::string> lines;
  for (size_t begin = 0, end; (end = text.find('\n', begin)) != text.npos; begin = end + 1)
    lines.push_back(text.substr(begin, end - begin));
  return lines;
}

TEST(WordVocabulary, CountsMulti30kAsPythonDoes) {
  struct Language {
    const char *name;
    int64_t types, typesTwice, tokens, validTokens, testTokens;
  };
  for (const Language &language :
       {Language{"de", 17911, 7878, 365761, 13111, 12249}, Language{"en", 9779, 5894, 380728, 13454, 13080}}) {
    std::string name = language.name;
    std::vector<std::string> train = sharedLines("train." + name + ".gz");
    if (train.empty())
      GTEST_SKIP() << "no multi30k in XF_SHARED_DATA";
    std::map<std::string, int64_t> counts;
    int64_t tokens = 0;
    for (const std::string &line : train)
      for (const std::string &word : tokenizeWords(line, true))
        ++counts[word], ++tokens;
    EXPECT_EQ(int64_t(counts.size()), language.types);
    EXPECT_EQ(std::ranges::count_if(counts, [](const auto &entry) { return entry.second >= 2; }), language.typesTwice);
    EXPECT_EQ(tokens, language.tokens);
    auto count = [](const std::vector<std::string> &lines) {
      int64_t tokens = 0;
      for (const std::string &line : lines)
        tokens += int64_t(tokenizeWords(line, true).size());
      return tokens;
    };
    EXPECT_EQ(count(sharedLines("val." + name + ".gz")), language.validTokens);
    std::vector<std::string> test = sharedLines("test_2016_flickr." + name + ".gz");
    std::vector<std::string> tokenized = sharedLines("test_2016_flickr.tok." + name + ".gz");
    EXPECT_EQ(count(test), language.testTokens);
    ASSERT_EQ(test.size(), tokenized.size());
    for (size_t i = 0; i < test.size(); ++i) {
      std::string joined;
      for (const std::string &word : tokenizeWords(test[i], true))
        joined += (joined.empty() ? "" : " ") + word;
      EXPECT_EQ(joined, tokenized[i]);
    }
  }
}
