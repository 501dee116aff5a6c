//===- ListedPiecesTest.cpp - SentencePiece's pieces under the ids of a list ----------===//
// The ids are those that Hugging Face's MarianTokenizer (transformers 5.24) gives for the same kinds of files.
//===----------------------------------------------------------------------------------===//
#include "xf/Runtime/Text/ImportVocabulary.h"
#include "xf/Runtime/Text/Vocabulary.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sentencepiece_trainer.h>

using namespace xf::runtime;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::StartsWith;

namespace {
/// Pieces are the characters of these words, and the mark of a space.
const std::string &pieces() {
  static const std::string model = [] {
    std::string bytes;
    std::vector<std::string> sentences(20, "abc cab bca");
    auto status = sentencepiece::SentencePieceTrainer::Train(
        "--minloglevel=3 --model_type=char --vocab_size=20 --hard_vocab_limit=false", sentences, &bytes);
    EXPECT_TRUE(status.ok()) << status.ToString();
    return bytes;
  }();
  return model;
}
// `c` has no id, `q` is no piece of the model.
const std::string list =
    R"({"</s>": 0, "<unk>": 1, "b": 2, "a": 3, "\u2581": 4, ">>fr<<": 5, "q": 6, "\u2581x\n\\": 7, "<pad>": 8})";

Expected<Vocabulary> open(const std::string &list, const std::string &model = pieces()) {
  Expected<std::string> bytes = importListedPieces(list, model, "v");
  return bytes ? Vocabulary::parse(*bytes, "v") : bytes.error();
}
std::string errorOf(const std::string &list, const std::string &model = pieces()) {
  Expected<Vocabulary> vocabulary = open(list, model);
  return vocabulary ? "none" : vocabulary.error().message;
}
} // namespace

TEST(ListedPieces, HaveTheIdsOfTheList) {
  Expected<Vocabulary> v = open(list);
  ASSERT_TRUE(v) << v.error().message;
  EXPECT_EQ(v->size(), 9);
  EXPECT_EQ(v->eos(), 0);
  EXPECT_EQ(v->bos(), 8);
  EXPECT_EQ(v->unknown(), 1);
  EXPECT_EQ(v->piece(7), "▁x\n\\");
  EXPECT_THAT(*v->encode("ab ba"), ElementsAre(4, 3, 2, 4, 2, 3));
  EXPECT_THAT(*v->encode("  a\tb "), ElementsAre(4, 3, 4, 2));
  EXPECT_THAT(*v->encode("ca"), ElementsAre(4, 1, 3));         // no id
  EXPECT_THAT(*v->encode("qa z"), ElementsAre(4, 6, 3, 4, 1)); // no piece, but an id; neither
  EXPECT_THAT(*v->encode(""), ElementsAre());
  EXPECT_THAT(*v->encode("  "), ElementsAre());
}

TEST(ListedPieces, BeginWithTheLanguage) {
  Expected<Vocabulary> v = open(list);
  ASSERT_TRUE(v) << v.error().message;
  EXPECT_THAT(*v->encode(">>fr<< ab"), ElementsAre(5, 4, 3, 2));
  EXPECT_THAT(*v->encode(">>fr<<ab"), ElementsAre(5, 4, 3, 2));
  EXPECT_THAT(*v->encode(">>zz<< a"), ElementsAre(1, 4, 3));
  EXPECT_THAT(*v->encode(">>fr<<"), ElementsAre(5));
  EXPECT_THAT(*v->encode("a >>fr<<"), ElementsAre(4, 3, 4, 5)); // characters in a row that the model does not know
  EXPECT_THAT(*v->encode("a >>frb<<"), ElementsAre(4, 3, 4, 1, 2, 1));
}

TEST(ListedPieces, AreMarksWhereTheyAreSpelled) {
  Expected<Vocabulary> v = open(list);
  ASSERT_TRUE(v) << v.error().message;
  EXPECT_THAT(*v->encode("a</s>b"), ElementsAre(4, 3, 0, 4, 2));
  EXPECT_THAT(*v->encode("<pad> a <unk>"), ElementsAre(8, 4, 3, 1));
  EXPECT_THAT(*v->encode("a</s>>>fr<< b"), ElementsAre(4, 3, 0, 5, 4, 2));
}

TEST(ListedPieces, AreJoined) {
  Expected<Vocabulary> v = open(list);
  ASSERT_TRUE(v) << v.error().message;
  auto text = [&](std::vector<int32_t> ids) { return v->decode(ids); };
  EXPECT_EQ(text({4, 3, 2, 4, 2, 3, 0}), "ab ba");
  EXPECT_EQ(text({8, 4, 3, 1, 2, 99, -1, 0}), "ab"); // marks and what is no token print nothing
  EXPECT_EQ(text({3, 7, 2}), "a x\n\\b");            // a piece that the model does not know
  EXPECT_EQ(text({4, 4}), "");
  EXPECT_EQ(text({5, 4, 3}), ">>fr<< a");
  EXPECT_EQ(text({}), "");
}

TEST(ListedPieces, SayWhatIsWrong) {
  EXPECT_EQ(errorOf("["), "vocabulary 'v': expected an object of tokens and their ids");
  EXPECT_EQ(errorOf("{}"), "vocabulary 'v': expected an object of tokens and their ids");
  EXPECT_EQ(errorOf(R"({"</s>": 0, "<unk>": 2})"),
            "vocabulary 'v': expected '<unk>' to have an id below 2, the number of tokens, but got 2");
  EXPECT_EQ(errorOf(R"({"</s>": "0"})"),
            "vocabulary 'v': expected '</s>' to have an id below 1, the number of tokens, but got \"0\"");
  EXPECT_EQ(errorOf(R"({"</s>": 0, "<unk>": 0})"), "vocabulary 'v': the id 0 is given to '</s>' and to '<unk>'");
  EXPECT_EQ(errorOf(R"({"</s>": 0, "a": 1})"), "vocabulary 'v': expected '<unk>' among its tokens");
  EXPECT_EQ(errorOf(R"({"<unk>": 0, "a": 1})"), "vocabulary 'v': expected '</s>' among its tokens");
  EXPECT_THAT(errorOf(list, "no model"), StartsWith("vocabulary 'v' is neither a SentencePiece model"));
  EXPECT_THAT(errorOf(list, ""), StartsWith("vocabulary 'v' is neither a SentencePiece model"));
  for (std::string text : {"xf-vocabulary 1 listed-pieces tokens=0\n", "xf-vocabulary 1 listed-pieces count=1\n",
                           "xf-vocabulary 1 listed-pieces tokens=2 more=1\n"})
    EXPECT_THAT(Vocabulary::parse(text, "v").error().message,
                HasSubstr("expected its first line to be 'xf-vocabulary 1 listed-pieces tokens=N'"));
  std::string cut = "xf-vocabulary 1 listed-pieces tokens=2\n</s>\n<unk>";
  EXPECT_EQ(Vocabulary::parse(cut, "v").error().message, "vocabulary 'v': truncated in line 3");
  std::string twice = "xf-vocabulary 1 listed-pieces tokens=2\n</s>\n</s>\n";
  EXPECT_EQ(Vocabulary::parse(twice, "v").error().message, "vocabulary 'v', line 3: '</s>' occurs twice");
}

// Ids that XLMRobertaTokenizer gives (transformers 5.24): a piece's and one, behind marks of its own.
TEST(FairseqPieces, HaveIdsOneHigher) {
  Expected<std::string> bytes = importFairseqPieces(pieces(), "v");
  ASSERT_TRUE(bytes) << bytes.error().message;
  Expected<Vocabulary> v = Vocabulary::parse(*bytes, "v"), plain = Vocabulary::parse(pieces(), "plain");
  ASSERT_TRUE(v) << v.error().message;
  EXPECT_EQ(v->size(), plain->size() + 2);
  EXPECT_EQ(v->bos(), 0);
  EXPECT_EQ(v->eos(), 2);
  EXPECT_EQ(v->unknown(), 3);
  EXPECT_EQ(v->piece(1), "<pad>");
  EXPECT_EQ(v->piece(int32_t(v->size() - 1)), "<mask>");
  std::vector<int32_t> expected = *plain->encode("  ab  c");
  for (int32_t &id : expected)
    ++id;
  EXPECT_EQ(*v->encode("  ab  c"), expected);
  EXPECT_EQ(v->decode(expected), "ab c");
  EXPECT_EQ(v->encode("z")->back(), 3);
  EXPECT_EQ(v->encode("a<mask>")->back(), v->size() - 1);
  EXPECT_EQ(v->encode("<s>")->front(), 0);
  EXPECT_EQ(v->encode(">>fr<<")->back(), 3) << "a language is no token here";
}

TEST(FairseqPieces, BeginAsXLMRobertas) {
  std::string bytes;
  std::vector<std::string> sentences(20, "abc cab bca");
  ASSERT_TRUE(sentencepiece::SentencePieceTrainer::Train(
                  "--minloglevel=3 --model_type=char --vocab_size=20 --hard_vocab_limit=false --bos_id=2 --eos_id=1",
                  sentences, &bytes)
                  .ok());
  Expected<std::string> wrong = importFairseqPieces(bytes, "v");
  ASSERT_FALSE(wrong);
  EXPECT_EQ(wrong.error().message, "vocabulary 'v': expected its pieces to begin with <unk>, <s>, </s>, as "
                                   "XLM-RoBERTa's do, but got '</s>' for number 1");
  EXPECT_FALSE(importFairseqPieces("no model", "v"));
}
