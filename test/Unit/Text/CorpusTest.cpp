//===- CorpusTest.cpp - Text files, and what can be wrong with them ------------------===//
// Every message names the file and the line.
//===----------------------------------------------------------------------------------===//
#include "xf/Runtime/Text/Corpus.h"
#include "Temporary.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

using namespace xf::runtime;
using testing::ElementsAre;
using testing::HasSubstr;

namespace {
struct Corpus : testing::Test {
  TemporaryFolder folder;
  Vocabulary vocabulary = Vocabulary::ids(100);

  std::string pairsError(std::string_view source, std::string_view target, int64_t maxTokens = 0) {
    auto pairs = readPairs(folder.write("a", source), folder.write("b", target), vocabulary, vocabulary, maxTokens);
    return pairs ? "none" : pairs.error().message;
  }
};
} // namespace

TEST_F(Corpus, ReadsPairs) {
  auto pairs = readPairs(folder.write("a", "5 6\n\n7"), folder.write("b", "8\n9 10\n11\n"), vocabulary, vocabulary);
  ASSERT_TRUE(pairs) << pairs.error().message;
  EXPECT_THAT(pairs->source, ElementsAre(ElementsAre(5, 6, 2), ElementsAre(2), ElementsAre(7, 2)));
  EXPECT_THAT(pairs->target, ElementsAre(ElementsAre(8), ElementsAre(9, 10), ElementsAre(11)));
  EXPECT_EQ(pairs->skipped, 0);
}

TEST_F(Corpus, SkipsAndCountsLongPairs) {
  std::string huge(size_t(1) << 20, '7');
  auto pairs = readPairs(folder.write("a", "5\n5 6 7\n8\n" + huge + "\n"), folder.write("b", "8\n9\n9 9 9\n9\n"),
                         vocabulary, vocabulary, 2);
  ASSERT_TRUE(pairs) << pairs.error().message;
  EXPECT_EQ(pairs->size(), 1);
  EXPECT_EQ(pairs->skipped, 3);
  EXPECT_EQ(pairs->firstSkipped, 2);
  EXPECT_EQ(describeSkipped(3, 2, 4, "pairs"), "skipped 3 of 4 pairs, which were too long (first: line 2)");
  EXPECT_EQ(describeSkipped(0, 0, 4, "pairs"), std::nullopt);
  EXPECT_THAT(pairsError("5 6 7\n", "5\n", 2), HasSubstr("all 1 pairs of '"));
}

TEST_F(Corpus, NamesFileAndLine) {
  std::string a = folder.path("a"), b = folder.path("b");
  EXPECT_EQ(pairsError("", "5\n"), "'" + a + "' is empty, expected a sentence a line");
  EXPECT_EQ(pairsError("5\n6\n", "5\n"), "expected '" + b + "' to have as many lines as '" + a + "' (2), but got 1");
  EXPECT_EQ(pairsError("5\n", "5\xff\n"), "'" + b + "', line 1: invalid UTF-8 at byte 2 (0xff)");
  EXPECT_EQ(pairsError("5\n\xc3\n", "5\n6\n"), "'" + a + "', line 2: invalid UTF-8 at byte 1 (0xc3)");
  EXPECT_EQ(pairsError("5\n", std::string_view("5\0\n", 3)), "'" + b + "', line 1: NUL byte at byte 2");
  EXPECT_EQ(pairsError("5\n6\n", "5\n100\n"), "'" + b + "', line 2: expected token ids from 0 to 99, but got 100");
  EXPECT_EQ(pairsError("5\nx\n", "5\n6\n"),
            "'" + a + "', line 2: expected token ids, as the model has no vocabulary, but got 'x'");
}

TEST_F(Corpus, GivesTheSystemsReason) {
  auto missing = Lines::read(folder.path("missing"));
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().message, "can't open '" + folder.path("missing") + "': No such file or directory");
  EXPECT_EQ(missing.error().exitCode, 1);
  auto missingTarget = readPairs(folder.write("a", "5\n"), folder.path("missing"), vocabulary, vocabulary);
  EXPECT_FALSE(missingTarget);
  EXPECT_FALSE(readStream(folder.path("missing"), vocabulary));
}

TEST_F(Corpus, ReadsStreams) {
  auto stream = readStream(folder.write("a", "5 6\n\n7\n"), vocabulary);
  ASSERT_TRUE(stream) << stream.error().message;
  EXPECT_THAT(stream->ids, ElementsAre(1, 5, 6, 2, 2, 7, 2));
  std::string huge(size_t(1) << 20, '7');
  stream = readStream(folder.write("a", huge + "\n5\n"), vocabulary);
  ASSERT_TRUE(stream);
  EXPECT_THAT(stream->ids, ElementsAre(1, 5, 2));
  EXPECT_EQ(stream->skipped, 1);
  EXPECT_EQ(stream->firstSkipped, 1);
  EXPECT_EQ(stream->lines, 2);
  stream = readStream(folder.write("a", huge), vocabulary);
  ASSERT_FALSE(stream);
  EXPECT_THAT(stream.error().message, HasSubstr("all 1 lines of '"));
  EXPECT_FALSE(readStream(folder.write("a", "x\n"), vocabulary));
}
