//===- BleuTest.cpp - BLEU against sacreBLEU ------------------------------------------===//
// The numbers are sacreBLEU 2.6.0's for the same sentences (corpus_score, smoothing exp).
//===----------------------------------------------------------------------------------===//
#include "xf/Runtime/Text/Bleu.h"

#include <gtest/gtest.h>
#include <vector>

using namespace xf::runtime;

namespace {
struct Case {
  const char *name;
  std::vector<const char *> hypotheses, references;
  double score[4]; // 13a, 13a lower-cased, none, none lower-cased
  double brevityPenalty13a;
};

const Case cases[] = {
    {"plain",
     {"the cat sat on the mat .", "a dog runs"},
     {"the cat sat on the mat .", "a dog is running fast"},
     {73.6899789939395, 73.6899789939395, 73.6899789939395, 73.6899789939395},
     0.8187307530779819},
    {"punctuation and numbers",
     {"Hello, world! It costs $1,234.56 (about 3-4 times more).", " \"Quoted\" & 'single' -- e.g. U.S.A..."},
     {"Hello world! It costs $1,234.56, about 3-4 times more.", "\"Quoted\" &amp; 'single' - e.g. the U.S.A. ..."},
     {66.60016347437693, 66.60016347437693, 13.818850839981426, 13.818850839981426},
     1},
    {"other scripts",
     {"Über die Straße läuft ein Mädchen – schnell .", "東京 は 大きい 町 です 。"},
     {"Über die straße läuft das Mädchen – schnell.", "東京 は とても 大きい 町 です。"},
     {28.755838200176385, 44.66042519596863, 12.35622127262679, 28.0787558126325},
     1},
    {"empty line",
     {"", "one two three four five"},
     {"something here", "one two three four six"},
     {44.82700320176826, 44.82700320176826, 44.82700320176826, 44.82700320176826},
     0.6703200460356393},
    {"fewer than four tokens", {"a b"}, {"a b"}, {0, 0, 0, 0}, 1},
    {"smoothed",
     {"the cat the dog a b c", "x y z w"},
     {"the cat is the dog", "x y q w"},
     {16.59038701421971, 16.59038701421971, 16.59038701421971, 16.59038701421971},
     1},
    {"no match", {"aa bb cc dd ee"}, {"ff gg hh ii jj"}, {0, 0, 0, 0}, 1},
    {"clipped",
     {"the the the the the the the"},
     {"the cat is on the mat"},
     {7.809849842300637, 7.809849842300637, 7.809849842300637, 7.809849842300637},
     1},
    {"entities",
     {"a &lt;b&gt; &quot;c&quot; 5-3 1.000,5 .5 5. ,x x, <skipped> end"},
     {"a <b> \"c\" 5 - 3 1.000,5 .5 5 . ,x x , end"},
     {100.00000000000004, 100.00000000000004, 7.175377580688497, 7.175377580688497},
     1},
};
} // namespace

TEST(Bleu, EqualsSacreBleu) {
  for (const Case &test : cases)
    for (int variant = 0; variant < 4; ++variant) {
      SCOPED_TRACE(std::string(test.name) + ", variant " + std::to_string(variant));
      Bleu bleu(variant < 2 ? BleuTokenizer::V13a : BleuTokenizer::None, variant % 2 == 1);
      for (size_t i = 0; i < test.hypotheses.size(); ++i)
        bleu.add(test.hypotheses[i], test.references[i]);
      EXPECT_NEAR(bleu.score().score, test.score[variant], 1e-9);
      if (variant < 2) {
        EXPECT_NEAR(bleu.score().brevityPenalty, test.brevityPenalty13a, 1e-12);
      }
    }
}

TEST(Bleu, ReportsPrecisionsAndLengths) {
  Bleu bleu;
  bleu.add("the cat the dog a b c", "the cat is the dog");
  bleu.add("x y z w", "x y q w");
  BleuScore score = bleu.score();
  EXPECT_NEAR(score.precision[0], 63.63636363636363, 1e-9);
  EXPECT_NEAR(score.precision[1], 33.333333333333336, 1e-9);
  EXPECT_NEAR(score.precision[2], 7.142857142857143, 1e-9);
  EXPECT_NEAR(score.precision[3], 5.0, 1e-9);
  EXPECT_EQ(score.hypothesisLength, 11);
  EXPECT_EQ(score.referenceLength, 9);
}

TEST(Bleu, OfNothingIsZero) {
  EXPECT_EQ(Bleu().score().score, 0);
  Bleu bleu;
  bleu.add("", "a b c d e");
  EXPECT_EQ(bleu.score().score, 0);
  EXPECT_EQ(bleu.score().brevityPenalty, 0);
}

TEST(Bleu, TokenizesAs13a) {
  EXPECT_EQ(tokenize13a("Hello, world! It costs $1,234.56 (about 3-4 times more)."),
            "Hello , world ! It costs $ 1,234.56 ( about 3 - 4 times more ) .");
  EXPECT_EQ(tokenize13a(" \"Quoted\" & 'single' -- e.g. U.S.A..."),
            "\" Quoted \" & 'single' -- e . g . U . S . A . . .");
  EXPECT_EQ(tokenize13a("..., ,.1.,2"), ". . . , , .1 . , 2");
  EXPECT_EQ(tokenize13a("é.ü,1-2–3"), "é . ü , 1 - 2–3");
  EXPECT_EQ(tokenize13a("[x]_{y}`~^|@/:;=?"), "[ x ] _ { y } ` ~ ^ | @ / : ; = ?");
  EXPECT_EQ(tokenize13a("日本。語.a"), "日本。語 . a");
  EXPECT_EQ(tokenize13a("a\u00a0b\u2028c"), "a b c");
  EXPECT_EQ(tokenize13a(""), "");
}
