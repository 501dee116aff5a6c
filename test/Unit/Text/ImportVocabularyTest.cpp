//===- ImportVocabularyTest.cpp - Vocabularies of others ------------------------------===//
// The ids are those that Hugging Face's tokenizers 0.23 gives for the same files.
//===----------------------------------------------------------------------------------===//
#include "xf/Runtime/Text/ImportVocabulary.h"
#include "xf/Runtime/Text/Unicode.h"
#include "xf/Runtime/Text/Vocabulary.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

using namespace xf::runtime;
using nlohmann::json;
using testing::ElementsAre;
using testing::HasSubstr;

namespace {
using Ids = std::vector<int32_t>;

Expected<Vocabulary> import(const std::string &text) {
  Expected<std::string> bytes = importVocabulary(text, "v");
  return bytes ? Vocabulary::parse(*bytes, "v") : bytes.error();
}
std::string errorOf(const std::string &text) {
  Expected<Vocabulary> vocabulary = import(text);
  return vocabulary ? "none" : vocabulary.error().message;
}

/// Every byte's token has the byte as its id.
json bytes() {
  json vocabulary;
  uint32_t next = 256;
  for (uint32_t byte = 0; byte < 256; ++byte) {
    std::string spelling;
    bool isPrintable = (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
    appendCharacter(spelling, isPrintable ? byte : next++);
    vocabulary[spelling] = byte;
  }
  return vocabulary;
}

constexpr std::string_view joins[] = {"h e", "Ġ he", "l l", "' s", "' S",  "' ll", "1 2", "12 3", "123 4",
                                      "Ġ 1", "Ċ Ċ",  "Ġ Ġ", ". Ċ", "( he", "ĉ he", "Ã ©", "e Ì"};

const std::string llama3 =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*)"
    R"(|\s*[\r\n]+|\s+(?!\S)|\s+)";

/// A tokenizer.json; `expression`: none for GPT-2's.
json tokenizer(const std::string &expression = "") {
  json file = {{"normalizer", nullptr}, {"model", {{"type", "BPE"}, {"vocab", bytes()}, {"merges", json::array()}}}};
  int id = 256;
  for (std::string_view join : joins) {
    file["model"]["merges"].push_back(join);
    std::string token(join);
    token.erase(token.find(' '), 1);
    file["model"]["vocab"][token] = id++;
  }
  file["added_tokens"] = {{{"id", id}, {"content", "<|endoftext|>"}, {"special", true}}};
  json ofBytes = {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"use_regex", expression.empty()}};
  file["pre_tokenizer"] = ofBytes;
  if (!expression.empty())
    file["pre_tokenizer"] = {
        {"type", "Sequence"},
        {"pretokenizers",
         {{{"type", "Split"}, {"pattern", {{"Regex", expression}}}, {"behavior", "Isolated"}}, ofBytes}}};
  return file;
}
} // namespace

TEST(BytePairs, AreJoinedInTheOrderTheyWereLearned) {
  Expected<Vocabulary> v = import(tokenizer().dump());
  ASSERT_TRUE(v) << v.error().message;
  EXPECT_EQ(v->size(), 274);
  EXPECT_EQ(v->bos(), 273);
  EXPECT_EQ(v->eos(), 273);
  EXPECT_EQ(*v->encode("he he(he\the"), (Ids{256, 257, 40, 256, 9, 256}));
  EXPECT_EQ(*v->encode("he's HE'S he'll"), (Ids{256, 259, 32, 72, 69, 39, 83, 257, 261}));
  EXPECT_EQ(*v->encode("12341234 12"), (Ids{264, 264, 32, 262}));
  EXPECT_EQ(*v->encode(".\n\n.\nhe"), (Ids{46, 10, 10, 46, 10, 256}));
  EXPECT_EQ(*v->encode("  he   "), (Ids{32, 257, 267, 32}));
  EXPECT_EQ(*v->encode("e\u0301\u00e9"), (Ids{101, 204, 129, 271}));
  EXPECT_EQ(*v->encode("a<|endoftext|>he"), (Ids{97, 273, 256}));
  EXPECT_EQ(*v->encode(""), Ids{});
  EXPECT_EQ(v->decode(Ids{273, 256, 259, 204, 129, 271, 10, 273}), "he's\u0301\u00e9\n");
  EXPECT_EQ(v->decode(Ids{97, 204, 1000, -1}), "a\uFFFD"); // a character that is cut off
  EXPECT_EQ(v->piece(257), " he");
  EXPECT_EQ(v->piece(1000), "");
  // Long pieces take no time that grows with their square.
  EXPECT_EQ(v->encode(std::string(200000, '1'))->size(), 200000u);
}

TEST(BytePairs, AreCutAsLaterModelsDo) {
  Expected<Vocabulary> v = import(tokenizer(llama3).dump());
  ASSERT_TRUE(v) << v.error().message;
  EXPECT_EQ(*v->encode("he he(he\the"), (Ids{256, 257, 269, 270}));
  EXPECT_EQ(*v->encode("he's HE'S he'll"), (Ids{256, 259, 32, 72, 69, 260, 257, 261}));
  EXPECT_EQ(*v->encode("12341234 12"), (Ids{263, 52, 262, 51, 52, 32, 262}));
  EXPECT_EQ(*v->encode(".\n\n.\nhe"), (Ids{46, 266, 268, 256}));
  EXPECT_EQ(*v->encode("  he   "), (Ids{32, 257, 267, 32}));
  EXPECT_EQ(*v->encode("e\u0301\u00e9"), (Ids{101, 204, 129, 271}));
  json qwen2 = tokenizer(std::string(llama3).erase(llama3.find("{1,3}"), 5));
  qwen2["normalizer"] = {{"type", "NFC"}};
  v = import(qwen2.dump());
  ASSERT_TRUE(v) << v.error().message;
  EXPECT_EQ(*v->encode("12341234 12"), (Ids{49, 50, 51, 52, 49, 50, 51, 52, 32, 49, 50}));
  EXPECT_EQ(*v->encode("e\u0301\u00e9"), (Ids{271, 271}));
  json digits = tokenizer();
  digits["pre_tokenizer"] = {
      {"type", "Sequence"},
      {"pretokenizers", {{{"type", "Digits"}, {"individual_digits", true}}, tokenizer()["pre_tokenizer"]}}};
  v = import(digits.dump());
  ASSERT_TRUE(v) << v.error().message;
  EXPECT_EQ(*v->encode("12341234 12"), (Ids{49, 50, 51, 52, 49, 50, 51, 52, 32, 49, 50}));
  EXPECT_EQ(*v->encode("  he  1 he"), (Ids{32, 257, 267, 49, 257}));
}

TEST(BytePairs, MayLackBytes) {
  json file = tokenizer();
  for (const char *byte : {"x", "y", "ð"}) // as SmolLM2's do: no text that they were learned from has these
    file["model"]["vocab"].erase(byte);
  Expected<Vocabulary> v = import(file.dump());
  ASSERT_TRUE(v) << v.error().message;
  EXPECT_EQ(*v->encode("hxe xyhe x1x"), (Ids{256, 257, 32, 49})); // what stands around them is joined
  EXPECT_EQ(*v->encode("xy"), Ids{});
  EXPECT_EQ(*v->encode("😀"), (Ids{159, 152, 128}));
  file["model"]["unk_token"] = ".Ċ";
  EXPECT_EQ(*import(file.dump())->encode("hxe xyhe x1x"), (Ids{104, 268, 101, 32, 268, 268, 256, 32, 268, 49, 268}));
  file["model"]["fuse_unk"] = true;
  EXPECT_EQ(*import(file.dump())->encode("hxe xyhe x1xy"), (Ids{104, 268, 101, 32, 268, 256, 32, 268, 49, 268}));
  std::string text = *importVocabulary(file.dump(), "v");
  text.replace(text.find("others=268"), 10, "others=274");
  EXPECT_EQ(Vocabulary::parse(text, "v").error().message,
            "vocabulary 'v', line 1: expected others to be a token's id, but got 274");
}

TEST(BytePairs, ComeFromTwoFilesToo) {
  json vocabulary = tokenizer()["model"]["vocab"];
  vocabulary["<|endoftext|>"] = 273;
  std::string merges = fmt::format("#version: 0.2\n{}\n", fmt::join(joins, "\n"));
  Expected<std::string> bytes = importBytePairs(vocabulary.dump(), merges, "v");
  ASSERT_TRUE(bytes) << bytes.error().message;
  Expected<std::string> other = importVocabulary(tokenizer().dump(), "v");
  ASSERT_TRUE(other) << other.error().message;
  EXPECT_EQ(*bytes, *other);
  EXPECT_EQ(*importVocabulary(*bytes, "v"), *bytes); // what is in a form of ours stays
  auto error = [&](const std::string &vocabulary, const std::string &merges) {
    return importBytePairs(vocabulary, merges, "v").error().message;
  };
  EXPECT_EQ(error("[]", ""), "vocabulary 'v': expected an object of tokens and their ids");
  EXPECT_EQ(error(R"({"a": -1})", ""), "vocabulary 'v': expected 'a' to have an id");
  EXPECT_EQ(error(R"({"a": 1, "b": 1})", ""), "vocabulary 'v': the id 1 is given to two tokens");
  EXPECT_EQ(error(R"({"a": 1})", "ab"), "vocabulary 'v': expected two tokens to join, but got 'ab'");
  EXPECT_EQ(error(R"({"a": 1})", "a b"), "vocabulary 'v': expected 'b', which is joined, to be a token");
  EXPECT_EQ(error(R"({"a": 1})", ""),
            "vocabulary 'v': expected a special token that ends a text, such as <|endoftext|>");
}

/// A tokenizer.json of SentencePiece's kind, as Llama 2's was made; `scheme`: Metaspace's in place of normalizers.
static json characters(const std::string &scheme = "") {
  json file = {{"normalizer", nullptr},
               {"model", {{"type", "BPE"}, {"byte_fallback", true}, {"vocab", json::object()}}},
               {"added_tokens", json::array()}};
  json &vocabulary = file["model"]["vocab"];
  for (const char *mark : {"<unk>", "<s>", "</s>"}) {
    file["added_tokens"].push_back({{"id", vocabulary.size()}, {"content", mark}, {"special", true}});
    vocabulary[mark] = vocabulary.size();
  }
  for (int byte = 0; byte < 256; ++byte)
    vocabulary[fmt::format("<0x{:02X}>", byte)] = byte + 3;
  for (const char *character : {"▁", "h", "e", "l", "é"})
    vocabulary[character] = vocabulary.size();
  for (std::string join : {"h e", "▁ he", "l l", "▁ ▁", "▁▁ ▁▁", "he ll", "▁he ll"}) {
    file["model"]["merges"].push_back(join);
    vocabulary[join.erase(join.find(' '), 1)] = vocabulary.size();
  }
  if (scheme.empty())
    file["normalizer"] = {{"type", "Sequence"},
                          {"normalizers",
                           {{{"type", "Prepend"}, {"prepend", "▁"}},
                            {{"type", "Replace"}, {"pattern", {{"String", " "}}}, {"content", "▁"}}}}};
  else
    file["pre_tokenizer"] = {{"type", "Metaspace"}, {"replacement", "▁"}, {"prepend_scheme", scheme}, {"split", false}};
  return file;
}

TEST(CharacterPairs, AreJoinedInTextAsAWhole) {
  Expected<Vocabulary> v = import(characters().dump());
  ASSERT_TRUE(v) << v.error().message;
  EXPECT_EQ(v->size(), 271);
  EXPECT_EQ(v->bos(), 1);
  EXPECT_EQ(v->eos(), 2);
  EXPECT_EQ(*v->encode("hell hell"), (Ids{270, 270}));
  EXPECT_EQ(*v->encode("  he   hell"), (Ids{267, 265, 267, 270}));
  EXPECT_EQ(*v->encode("héx"), (Ids{259, 260, 263, 123})); // what is no token is its bytes
  EXPECT_EQ(*v->encode("a</s>he</s> he"), (Ids{259, 100, 2, 265, 2, 259, 265}));
  EXPECT_EQ(*v->encode("▁he\n"), (Ids{259, 265, 13}));
  EXPECT_EQ(*v->encode(""), Ids{});
  EXPECT_EQ(*v->encode(" "), Ids{267});
  EXPECT_EQ(v->decode(Ids{267, 265, 267, 270}), "  he   hell");
  EXPECT_EQ(v->decode(Ids{1, 259, 260, 198, 172, 13, 2}), "hé\n"); // bytes make characters
  EXPECT_EQ(v->decode(Ids{259, 100, 2, 265, 2, 259, 265}), "a he  he");
  EXPECT_EQ(v->piece(13), "<0x0A>"); // by which lines of a text that grows are told
}

TEST(CharacterPairs, BeginWithASpaceAsMetaspaceSays) {
  auto encode = [](const std::string &scheme, const std::string &text) {
    Expected<Vocabulary> v = import(characters(scheme).dump());
    return v ? *v->encode(text) : Ids{};
  };
  EXPECT_EQ(encode("always", "  he"), (Ids{259, 265}));
  EXPECT_EQ(encode("always", "a</s>he</s> he"), (Ids{259, 100, 2, 265, 2, 265}));
  EXPECT_EQ(encode("first", "hell hell"), (Ids{270, 270}));
  EXPECT_EQ(encode("first", "a</s>he</s> he"), (Ids{259, 100, 2, 264, 2, 265}));
  EXPECT_EQ(encode("never", "hell hell"), (Ids{269, 270}));
  EXPECT_EQ(import(characters("never").dump())->decode(Ids{270, 269}), " hellhell");
  EXPECT_EQ(import(characters("always").dump())->decode(Ids{270, 269}), "hellhell");
}

TEST(CharacterPairs, SayWhatIsNotSupported) {
  auto edited = [](auto edit) {
    json file = characters("always");
    edit(file);
    return errorOf(file.dump());
  };
  EXPECT_EQ(
      edited([](json &f) { f["pre_tokenizer"]["split"] = true; }),
      "vocabulary 'v': pre-tokenizer {\"prepend_scheme\":\"always\",\"replacement\":\"▁\",\"split\":true,\"type\":"
      "\"Metaspace\"} is not supported before BPE of characters; supported is Metaspace that does not split");
  EXPECT_EQ(edited([](json &f) { f["normalizer"] = {{"type", "NFKC"}}; }),
            "vocabulary 'v': normalizer {\"type\":\"NFKC\"} is not supported before BPE of characters; supported are "
            "Prepend of '▁', and Replace of spaces by it");
  EXPECT_EQ(edited([](json &f) { f["pre_tokenizer"] = nullptr; }),
            "vocabulary 'v': expected spaces to become '▁' before BPE of characters");
  EXPECT_EQ(edited([](json &f) { f["model"]["vocab"].erase("<0x41>"); }),
            "vocabulary 'v': expected a token for every byte, but there is none for 0x41");
  std::string text = *importVocabulary(characters().dump(), "v");
  text.replace(text.find("#<0x41>"), 7, "#<0xZZ>");
  EXPECT_EQ(Vocabulary::parse(text, "v").error().message,
            "vocabulary 'v', line 70: expected '=', '+' or '*' and a token, '#' and a byte, or '-'");
}

TEST(BytePairs, SayWhatIsNotSupported) {
  auto edited = [](auto edit) {
    json file = tokenizer();
    edit(file);
    return errorOf(file.dump());
  };
  EXPECT_EQ(errorOf("{}"), "vocabulary 'v': expected the JSON of a tokenizer.json, with a 'model'");
  EXPECT_EQ(edited([](json &f) { f["model"]["type"] = "Unigram"; }),
            "vocabulary 'v': a model of type Unigram is not supported; supported are BPE and WordPiece");
  EXPECT_EQ(edited([](json &f) { f["model"]["end_of_word_suffix"] = "</w>"; }),
            "vocabulary 'v': expected no 'end_of_word_suffix', but got '</w>'");
  EXPECT_EQ(edited([](json &f) { f["normalizer"] = {{"type", "NFKC"}}; }),
            "vocabulary 'v': normalizer 'NFKC' is not supported; supported are none and NFC");
  EXPECT_EQ(edited([](json &f) { f["pre_tokenizer"] = nullptr; }),
            "vocabulary 'v': expected a pre-tokenizer of type ByteLevel, but there is none");
  EXPECT_EQ(errorOf(tokenizer("\\w+").dump()), "vocabulary 'v': pre-tokenizer 'Split' of the expression '\\w+' is not "
                                               "supported; supported are ByteLevel, single Digits, and "
                                               "the expressions of GPT-2, Llama 3 and Qwen 2");
  EXPECT_EQ(edited([](json &f) { f["added_tokens"][0]["lstrip"] = true; }),
            "vocabulary 'v': 'lstrip' of the added token '<|endoftext|>' is not supported");
  EXPECT_EQ(edited([](json &f) { f["added_tokens"][0].erase("id"); }),
            "vocabulary 'v': expected added tokens to have a 'content' and an 'id'");
  EXPECT_EQ(edited([](json &f) { f["model"].erase("merges"); }), "vocabulary 'v': expected a list of 'merges'");
  EXPECT_EQ(edited([](json &f) {
              f["model"]["vocab"] = {{"ab", 0}};
              f["model"]["merges"] = json::array();
            }),
            "vocabulary 'v': expected a token for every byte, but there is none for 0x00");
  EXPECT_THAT(edited([](json &f) { f["added_tokens"] = 3; }), HasSubstr("vocabulary 'v': "));
  // Of the file that is embedded, at any place where it may be cut off.
  std::string good = *importVocabulary(tokenizer().dump(), "v");
  for (size_t size = 20; size < good.size(); size += 7)
    EXPECT_FALSE(Vocabulary::parse(std::span(good.data(), size), "v")) << size;
  auto wrong = [&](std::string_view from, std::string_view to) {
    std::string text = good;
    text.replace(text.find(from), from.size(), to);
    return Vocabulary::parse(text, "v").error().message;
  };
  EXPECT_EQ(wrong("cut=gpt2", "cut=gpt9"), "vocabulary 'v', line 1: expected cut=gpt2|modern|none digits=N apart=0|1 "
                                           "compose=0|1 whole=0|1 space=0|1|2|3 bos=ID eos=ID tokens=N merges=M");
  EXPECT_EQ(wrong("bos=273", "bos=274"), "vocabulary 'v', line 1: expected bos to be a token's id, but got 274");
  EXPECT_EQ(wrong("=a\n", "?a\n"),
            "vocabulary 'v', line 99: expected '=', '+' or '*' and a token, '#' and a byte, or '-'");
  EXPECT_EQ(wrong("104 101", "104 900"), "vocabulary 'v', line 276: expected the ids of two tokens");
  EXPECT_EQ(wrong("104 101", "104 104"), "vocabulary 'v', line 276: expected what 'h' and 'h' make to be a token");
}

TEST(WordPieces, AreTheLongestFromTheLeft) {
  std::string tokens =
      "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nun\n##aff\n##able\n##a\nhello\n,\n!\nuber\n##s\n猫\ne\nE\n##e\n";
  auto of = [&](bool lowercase) {
    return Vocabulary::parse(*importWordPiece(tokens, {.lowercase = lowercase, .stripAccents = lowercase}, "v"), "v");
  };
  Expected<Vocabulary> lower = of(true), cased = of(false);
  ASSERT_TRUE(lower) << lower.error().message;
  EXPECT_EQ(lower->bos(), 2);
  EXPECT_EQ(lower->eos(), 3);
  EXPECT_EQ(lower->unknown(), 1);
  EXPECT_EQ(*lower->encode("UNaffable, hello!"), (Ids{5, 6, 7, 10, 9, 11}));
  EXPECT_EQ(*lower->encode("Übers 猫hello"), (Ids{12, 13, 14, 9}));
  EXPECT_EQ(*lower->encode("unaffx E é\u200b\tée"), (Ids{1, 15, 15, 15, 17}));
  EXPECT_EQ(*lower->encode(std::string(101, 'a') + " hello[MASK]"), (Ids{1, 9, 4}));
  EXPECT_EQ(lower->decode(Ids{2, 5, 6, 7, 10, 9, 99, 3}), "unaffable , hello [UNK]");
  ASSERT_TRUE(cased);
  EXPECT_EQ(*cased->encode("UNaffable, hello!"), (Ids{1, 10, 9, 11}));
  EXPECT_EQ(*cased->encode("unaffx E é\u200b\tée"), (Ids{1, 16, 1, 1}));

  json file = {
      {"normalizer", {{"type", "BertNormalizer"}, {"lowercase", true}}},
      {"pre_tokenizer", {{"type", "BertPreTokenizer"}}},
      {"model", {{"type", "WordPiece"}, {"vocab", {{"[UNK]", 0}, {"[CLS]", 1}, {"[SEP]", 2}, {"é", 3}, {"e", 4}}}}}};
  Expected<Vocabulary> v = import(file.dump());
  ASSERT_TRUE(v) << v.error().message;
  EXPECT_EQ(*v->encode("É e"), (Ids{4, 4}));
  // Tokens that were added: in text as it comes, or as it is once it is normalized.
  json added = file;
  added["added_tokens"] = {{{"id", 0}, {"content", "[UNK]"}, {"special", true}, {"normalized", false}},
                           {{"id", 5}, {"content", "[ENT]"}, {"special", true}, {"normalized", false}},
                           {{"id", 6}, {"content", "Été"}, {"special", false}, {"normalized", true}}};
  v = import(added.dump());
  ASSERT_TRUE(v) << v.error().message;
  EXPECT_EQ(v->size(), 7);
  EXPECT_EQ(*v->encode("e[ENT]ÉTÉ e ete[ent][CLS]"), (Ids{4, 5, 6, 4, 6, 0, 0, 0, 0, 0, 0}));
  EXPECT_EQ(v->decode(Ids{4, 6}), "e Été");
  added["added_tokens"][1]["single_word"] = true;
  EXPECT_EQ(errorOf(added.dump()), "vocabulary 'v': 'single_word' of the added token '[ENT]' is not supported");
  added["added_tokens"] = {{{"content", "x"}}};
  EXPECT_EQ(errorOf(added.dump()), "vocabulary 'v': expected added tokens to have a 'content' and an 'id'");
  file["normalizer"]["strip_accents"] = false; // İ becomes two characters
  file["model"]["vocab"]["i\u0307"] = 5;
  EXPECT_EQ(*import(file.dump())->encode("\u0130 e"), (Ids{5, 4}));
  file["model"]["vocab"].erase("i\u0307");
  file["model"]["vocab"]["e"] = 9;
  EXPECT_EQ(errorOf(file.dump()), "vocabulary 'v': expected 'e' to have an id below 5");
  file["normalizer"] = nullptr;
  EXPECT_EQ(errorOf(file.dump()),
            "vocabulary 'v': expected BertNormalizer and BertPreTokenizer before WordPiece, but got none and "
            "BertPreTokenizer");
  file["model"]["continuing_subword_prefix"] = "_";
  EXPECT_EQ(errorOf(file.dump()), "vocabulary 'v': expected 'continuing_subword_prefix' to be ##, but got '_'");
  EXPECT_EQ(Vocabulary::parse(*importWordPiece("[UNK]\n[CLS]\n", {}, "v"), "v").error().message,
            "vocabulary 'v': expected '[SEP]' among its tokens");
  std::string header = "xf-vocabulary 1 word-pieces lowercase=1 strip_accents=1 split_chinese=1 tokens=";
  EXPECT_EQ(Vocabulary::parse(header + "1\na", "v").error().message, "vocabulary 'v': truncated in line 2");
  EXPECT_EQ(Vocabulary::parse(header + "1\na\nb\n", "v").error().message,
            "vocabulary 'v', line 2: expected the end after 1 tokens");
  for (const char *mark : {"", "*", "*1 a", "?0 a", "*0 ", "*0"})
    EXPECT_EQ(Vocabulary::parse(header + "1 added=1\na\n" + mark + "\n", "v").error().message,
              "vocabulary 'v', line 3: expected '*' or '+', a token's id, and how it is spelled");
  EXPECT_EQ(Vocabulary::parse(header + "1\n\xff\n", "v").error().message,
            "vocabulary 'v', line 2: expected a token in UTF-8");
}

TEST(Scores, BecomeSentencePieceModels) {
  std::string rows = "0\t\"<unk>\"\t0\n1\t\"\\n<s>\\n\"\t0\n2\t\"\\n</s>\\n\"\t0\n";
  for (int byte = 0; byte < 256; ++byte)
    rows += fmt::format("{}\t\"<0x{:02X}>\"\t0\n", byte + 3, byte);
  std::string tokens[] = {" ", "a", "b", "aa", "ab", " a", "\\n"};
  float scores[] = {0, 0, 0, -2, -1, -3, 0};
  for (size_t i = 0; i < std::size(tokens); ++i)
    rows += fmt::format("{}\t\"{}\"\t{}\n", 259 + i, tokens[i], scores[i]);
  Expected<Vocabulary> v = import(rows);
  ASSERT_TRUE(v) << v.error().message;
  EXPECT_EQ(v->size(), 266);
  EXPECT_EQ(v->bos(), 1);
  EXPECT_EQ(v->eos(), 2);
  // Joins go by score, from the left: " aaab" is " ", "aa", "ab"; what is no token is its bytes.
  EXPECT_EQ(*v->encode("aaab"), (Ids{259, 262, 263}));
  EXPECT_EQ(*v->encode("b é\n"), (Ids{259, 261, 259, 0xC3 + 3, 0xA9 + 3, 265}));
  EXPECT_EQ(v->decode(*v->encode("b é\n aaab")), "b é\n aaab");
  EXPECT_EQ(errorOf("0\tx\n"),
            "vocabulary 'v', line 1: expected an id, a token as a JSON string and a score, with tabs "
            "between them");
  EXPECT_EQ(errorOf("0\t\"<unk>\"\t0\n2\t\"a\"\t0\n"), "vocabulary 'v', line 2: expected the id 1, but got '2'");
  EXPECT_EQ(errorOf("0\t\"<unk>\t0\n"), "vocabulary 'v', line 1: expected a token as a JSON string and a score");
}

TEST(Unicode, NormalForms) {
  EXPECT_EQ(decomposed("é각ṩ"), "e\u0301\u1100\u1161\u11a8s\u0323\u0307");
  EXPECT_EQ(decomposed("a\u0307\u0323"), "a\u0323\u0307"); // marks in their order
  EXPECT_EQ(composed("e\u0301\u1100\u1161\u11a8s\u0307\u0323"), "é각ṩ");
  EXPECT_EQ(composed("\u212b\u0958"), "\u00c5\u0915\u093c"); // some are not made again
  EXPECT_EQ(composed("\u0301a\u0301\u0301\xff"), "\u0301á\u0301\xff");
  EXPECT_EQ(composed("가\u11a7각\u11a8"), "가\u11a7각\u11a8");
}
