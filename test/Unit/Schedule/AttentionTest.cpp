//===- AttentionTest.cpp - attention kernels against doubles --------------------===//
// Batches with empty sequences, queries without keys, blocks of queries and keys that are full, begun, and crossed.
//===----------------------------------------------------------------------------===//
#include "Compiled.h"
#include <cmath>
#include <fmt/format.h>
#include <regex>

using namespace mlir::xf::test;

namespace {
struct Shape {
  int64_t heads, keyFeatures, valueFeatures; // of one head
  bool causal;
  double rate;
  int64_t window = -1; // or none
  bool lengths = false;
  const struct Score *score = nullptr;
  int64_t group = 1; // heads that read one of keys and values
  int64_t keyHeads() const { return heads / group; }
};

/// A score region: what it captures, its body up to %s, and up to the derivative %d what that of the backward has too.
struct Score {
  std::vector<const char *> captures;
  const char *body, *derivative;
  std::vector<std::pair<const char *, int64_t>> trained = {}; // captured tensors and their elements for one head
};

/// What can be captured, with the words that a region has for it.
std::string typeOf(const std::string &capture, int64_t heads) {
  return capture == "documents" ? "tensor<300xi32>"
         : capture == "shared"  ? "tensor<9xf32>"
         : capture == "places"  ? fmt::format("tensor<{}x60x50xf32>", heads)
         : capture == "far"     ? fmt::format("tensor<{}x90x99xf32>", heads)
         : capture == "slopes"  ? fmt::format("tensor<{}xf32>", heads)
                                : fmt::format("tensor<{}x9xf32>", heads);
}

/// Gemma's soft cap, then ALiBi; what depends on the head alone is a number.
const Score cappedAlibi = {{},
                           R"(%cap = arith.constant 1.5 : f32
    %inverse = arith.constant 0.6666667 : f32
    %scaled = arith.mulf %score, %inverse : f32
    %tanh = math.tanh %scaled : f32
    %capped = arith.mulf %tanh, %cap : f32
    %h = arith.index_cast %head : index to i32
    %hf = arith.sitofp %h : i32 to f32
    %negative = arith.negf %hf : f32
    %slope = math.exp2 %negative : f32
    %distance = arith.subi %key, %query : index
    %distance32 = arith.index_cast %distance : index to i32
    %distancef = arith.sitofp %distance32 : i32 to f32
    %farf = math.absf %distancef : f32
    %bias = arith.mulf %farf, %slope : f32
    %s = arith.subf %capped, %bias : f32)",
                           R"(%square = arith.mulf %tanh, %tanh : f32
    %one = arith.constant 1.0 : f32
    %d = arith.subf %one, %square : f32)"};
/// Constants that join the scale: the first of two, and of one that is the first and the last.
const Score factors = {{},
                       R"(%half = arith.constant 0.5 : f32
    %three = arith.constant 3.0 : f32
    %small = arith.mulf %half, %score : f32
    %s = arith.mulf %small, %three : f32)",
                       "%d = arith.constant 1.5 : f32"},
            factor = {{},
                      R"(%half = arith.constant -0.5 : f32
    %s = arith.mulf %score, %half : f32)",
                      "%d = arith.constant -0.5 : f32"};
/// A bias for every distance, those far away the same; and a slope for every head.
const Score relative = {{"table", "slopes"},
                        R"(%four = arith.constant 4 : index
    %distance = arith.subi %key, %query : index
    %index = arith.addi %distance, %four : index
    %bias = tensor.extract %table[%head, %index] : tensor<HEADSx9xf32>
    %slope = tensor.extract %slopes[%head] : tensor<HEADSxf32>
    %i = arith.index_cast %distance : index to i32
    %f = arith.sitofp %i : i32 to f32
    %hundredth = arith.constant 0.01 : f32
    %far = arith.mulf %f, %hundredth : f32
    %steep = arith.mulf %slope, %far : f32
    %sum = arith.addf %score, %bias : f32
    %s = arith.addf %sum, %steep : f32)",
                        R"(%d = arith.constant 1.0 : f32
    xf.add_gradient %d at %table[%head, %index] : tensor<HEADSx9xf32>
    xf.add_gradient %far at %slopes[%head] : tensor<HEADSxf32>)",
                        {{"table", 9}, {"slopes", 1}}};
/// A bias for every distance that all heads share, and what each multiplies scores by, in the same tensor.
const Score shared = {{"shared"},
                      R"(%three = arith.constant 3 : index
    %distance = arith.subi %key, %query : index
    %index = arith.addi %distance, %three : index
    %bias = tensor.extract %shared[%index] : tensor<9xf32>
    %factor = tensor.extract %shared[%head] : tensor<9xf32>
    %product = arith.mulf %score, %factor : f32
    %s = arith.addf %product, %bias : f32)",
                      R"(%one = arith.constant 1.0 : f32
    %d = arith.mulf %factor, %one : f32
    xf.add_gradient %one at %shared[%index] : tensor<9xf32>
    xf.add_gradient %score at %shared[%head] : tensor<9xf32>)",
                      {{"shared", 9}}};
/// A bias for every pair of places: of two tables the second has more sums than a GPU's block has room for.
const Score places = {{"places"},
                      R"(%bias = tensor.extract %places[%head, %query, %key] : tensor<HEADSx60x50xf32>
    %s = arith.addf %score, %bias : f32)",
                      R"(%d = arith.constant 1.0 : f32
    xf.add_gradient %d at %places[%head, %query, %key] : tensor<HEADSx60x50xf32>)",
                      {{"places", 60 * 50}}},
            far = {{"far"},
                   R"(%two = arith.constant 2 : index
    %late = arith.muli %query, %two : index
    %bias = tensor.extract %far[%head, %key, %late] : tensor<HEADSx90x99xf32>
    %s = arith.addf %score, %bias : f32)",
                   R"(%d = arith.constant 1.0 : f32
    xf.add_gradient %d at %far[%head, %key, %late] : tensor<HEADSx90x99xf32>)",
                   {{"far", 90 * 99}}};
/// Of documents that follow each other only one's own is seen: a mask by -inf, with rows that it empties.
const Score documents = {{"documents"},
                         R"(%mine = tensor.extract %documents[%query] : tensor<300xi32>
    %other = tensor.extract %documents[%key] : tensor<300xi32>
    %same = arith.cmpi eq, %mine, %other : i32
    %masked = arith.constant 0xFF800000 : f32
    %s = arith.select %same, %score, %masked : f32)",
                         R"(%one = arith.constant 1.0 : f32
    %zero = arith.constant 0.0 : f32
    %d = arith.select %same, %one, %zero : f32)"};
/// A window ahead and behind that is wider for each head, and no keys from 128 to 255: whole blocks are masked.
const Score blocks = {{},
                      R"(%masked = arith.constant 0xFF800000 : f32
    %true = arith.constant true
    %none = arith.constant 0 : index
    %reach = arith.constant 40 : index
    %more = arith.muli %head, %reach : index
    %wide = arith.addi %more, %reach : index
    %distance = arith.subi %key, %query : index
    %back = arith.subi %none, %distance : index
    %far = arith.maxsi %distance, %back : index
    %near = arith.cmpi sle, %far, %wide : index
    %begin = arith.constant 128 : index
    %end = arith.constant 255 : index
    %late = arith.cmpi sge, %key, %begin : index
    %before = arith.cmpi sle, %key, %end : index
    %out = arith.andi %late, %before : i1
    %in = arith.xori %out, %true : i1
    %zero = arith.constant 0.0 : f32
    %mask = arith.select %in, %zero, %masked : f32
    %biased = arith.addf %score, %mask : f32
    %s = arith.select %near, %biased, %masked : f32)",
                      R"(%one = arith.constant 1.0 : f32
    %d = arith.select %near, %one, %zero : f32)"};
/// The keys that are no later.
const Score earlier = {{},
                       R"(%masked = arith.constant 0xFF800000 : f32
    %in = arith.cmpi sle, %key, %query : index
    %s = arith.select %in, %score, %masked : f32)",
                       R"(%one = arith.constant 1.0 : f32
    %zero = arith.constant 0.0 : f32
    %d = arith.select %in, %one, %zero : f32)"};
/// Derivatives that are infinite for keys and queries that nobody sees under a causal mask: the next key, and the query
/// before the first, which is where a GPU's block counts another sequence's rows.
const Score uneven = {{},
                      R"(%unit = arith.constant 1 : index
    %one = arith.constant 1.0 : f32
    %place = arith.addi %query, %unit : index
    %place32 = arith.index_cast %place : index to i32
    %placef = arith.sitofp %place32 : i32 to f32
    %early = arith.divf %one, %placef : f32
    %distance = arith.subi %place, %key : index
    %distance32 = arith.index_cast %distance : index to i32
    %distancef = arith.sitofp %distance32 : i32 to f32
    %near = arith.divf %one, %distancef : f32
    %sum = arith.addf %early, %near : f32
    %factor = arith.addf %sum, %one : f32
    %s = arith.mulf %score, %factor : f32)",
                      "%d = arith.mulf %factor, %one : f32"},
            unevenTable = {{"table"},
                           R"(%unit = arith.constant 1 : index
    %one = arith.constant 1.0 : f32
    %place = arith.addi %query, %unit : index
    %distance = arith.subi %place, %key : index
    %distance32 = arith.index_cast %distance : index to i32
    %distancef = arith.sitofp %distance32 : i32 to f32
    %near = arith.divf %one, %distancef : f32
    %bias = tensor.extract %table[%head, %distance] : tensor<HEADSx9xf32>
    %product = arith.mulf %bias, %near : f32
    %s = arith.addf %score, %product : f32)",
                           R"(%d = arith.constant 1.0 : f32
    xf.add_gradient %near at %table[%head, %distance] : tensor<HEADSx9xf32>)",
                           {{"table", 9}}};
/// The ends of functions: no key is seen by the logarithm of its number where that is 0, and a bound that is a power
/// beyond all numbers bounds nothing.
const Score ends = {{},
                    R"(%number = arith.index_cast %key : index to i32
    %f = arith.sitofp %number : i32 to f32
    %log = math.log %f : f32
    %three = arith.constant 3.0 : f32
    %exponent = arith.mulf %f, %three : f32
    %power = math.exp2 %exponent : f32
    %least = arith.minimumf %score, %power : f32
    %s = arith.addf %least, %log : f32)",
                    R"(%below = arith.cmpf ole, %score, %power : f32
    %one = arith.constant 1.0 : f32
    %zero = arith.constant 0.0 : f32
    %d = arith.select %below, %one, %zero : f32)"};
/// What the others leave out; T5's buckets among it.
const Score arithmetic = {{"table"},
                          R"(%distance = arith.subi %query, %key : index
    %two = arith.constant 2 : index
    %twice = arith.muli %distance, %two : index
    %zero = arith.constant 0 : index
    %one = arith.constant 1 : index
    %past = arith.maxsi %twice, %one : index
    %near = arith.minsi %past, %two : index
    %i = arith.index_cast %past : index to i32
    %f = arith.sitofp %i : i32 to f32
    %log = math.log %f : f32
    %half = arith.constant 0.5 : f32
    %bucketf = arith.addf %log, %half : f32
    %bucket = arith.fptosi %bucketf : f32 to i32
    %bi = arith.index_cast %bucket : i32 to index
    %index = arith.addi %bi, %near : index
    %bias = tensor.extract %table[%head, %index] : tensor<HEADSx9xf32>
    %up = arith.maximumf %score, %bias : f32
    %least = arith.constant -0.4 : f32
    %most = arith.constant 2.0 : f32
    %a = arith.maximumf %score, %least : f32
    %b = arith.minimumf %a, %most : f32
    %e = math.exp %b : f32
    %size = math.absf %bias : f32
    %denominator = arith.addf %size, %half : f32
    %q = arith.divf %e, %denominator : f32
    %ahead = arith.cmpi slt, %distance, %zero : index
    %odd = arith.cmpf ogt, %score, %half : f32
    %both = arith.andi %ahead, %odd : i1
    %either = arith.ori %both, %odd : i1
    %true = arith.constant true
    %neither = arith.xori %either, %true : i1
    %n = arith.negf %q : f32
    %s = arith.select %neither, %q, %n : f32)",
                          R"(%no = arith.constant 0.0 : f32
    %belowq = arith.cmpf ole, %a, %most : f32
    %aboveq = arith.cmpf oge, %score, %least : f32
    %inside = arith.andi %belowq, %aboveq : i1
    %size_is = arith.select %inside, %q, %no : f32
    %minus = arith.negf %size_is : f32
    %d = arith.select %neither, %size_is, %minus : f32)"};

std::string replaced(std::string text, const std::string &what, const std::string &by) {
  for (size_t at; (at = text.find(what)) != std::string::npos;)
    text.replace(at, what.size(), by);
  return text;
}

/// ` score(%captured) { ... }`, or nothing; of a backward with the derivative.
std::string scoreOf(const Shape &shape, bool backward = false) {
  if (!shape.score)
    return "";
  std::string captures, arguments;
  for (std::string capture : shape.score->captures) {
    captures += (captures.empty() ? "(%" : ", %") + capture;
    arguments += ", %" + capture + ": " + typeOf(capture, shape.heads);
  }
  std::string text =
      fmt::format(" score{}{} {{\n  ^bb0(%score: f32, %head: index, %query: index, %key: index{}):\n    {}\n    "
                  "{}\n    xf.yield %s{} : f32{}\n  }}",
                  captures, captures.empty() ? "" : ")", arguments, shape.score->body,
                  backward ? shape.score->derivative : "", backward ? ", %d" : "", backward ? ", f32" : "");
  return replaced(text, "HEADS", std::to_string(shape.heads));
}
/// The types of captured tensors, as operands.
std::string captureTypes(const Shape &shape) {
  std::string types;
  for (const char *capture : shape.score ? shape.score->captures : std::vector<const char *>())
    types += ", " + typeOf(capture, shape.heads);
  return types;
}

std::string windowOf(const Shape &shape) { return shape.window < 0 ? "" : fmt::format(" window({})", shape.window); }
std::string masksOf(const Shape &shape) {
  return (shape.causal ? " causal" : "") + windowOf(shape) + (shape.lengths ? " lengths(%n)" : "");
}

std::string headsOf(const Shape &shape) {
  std::string own = shape.group == 1 ? "" : fmt::format(" key_value_heads({})", shape.keyHeads());
  return fmt::format("heads({}){}", shape.heads, own);
}

std::string attributesOf(const Shape &shape) {
  return fmt::format("offsets(%qo, %ko) {} scale({:.7f}){}{}", headsOf(shape), 1 / std::sqrt(double(shape.keyFeatures)),
                     masksOf(shape), shape.rate > 0 ? fmt::format(" dropout({}, %random, %site)", shape.rate) : "");
}

std::string moduleOf(const Shape &shape) {
  std::string attributes = attributesOf(shape), lengths = shape.lengths ? ", tensor<?xi32>" : "",
              captured = captureTypes(shape),
              more = lengths + (shape.rate > 0 ? ", tensor<2xi64>, i64" : "") + captured;
  std::string declared, sums, sumTypes, sumResults;
  for (std::string capture : {"table", "slopes", "shared", "places", "far", "documents"})
    declared += fmt::format(", %{0}: {1} {{xf.name = \"{0}\"}}", capture, typeOf(capture, shape.heads));
  if (shape.score)
    for (auto [capture, elements] : shape.score->trained) {
      sums += fmt::format(", %{}_sums", capture);
      sumTypes += fmt::format(", tensor<?x{}xf32>", elements * shape.heads);
      sumResults += fmt::format(", tensor<?x{}xf32> {{xf.name = \"{}\"}}", elements * shape.heads, capture);
    }
  auto matrix = [](int64_t columns) { return fmt::format("tensor<?x{}xf32>", columns); };
  std::string q = matrix(shape.heads * shape.keyFeatures), o = matrix(shape.heads * shape.valueFeatures),
              k = matrix(shape.keyHeads() * shape.keyFeatures), v = matrix(shape.keyHeads() * shape.valueFeatures),
              lse = fmt::format("tensor<?x{}xf32>", shape.heads);
  return fmt::format(R"(
func.func @attention(%q: {0} {{xf.name = "q", xf.dims = ["queries"]}}, %k: {16} {{xf.name = "k", xf.dims = ["keys"]}}, %v: {17} {{xf.name = "v", xf.dims = ["keys"]}},
    %qo: tensor<?xi32> {{xf.name = "qo", xf.dims = ["sequences_plus_1"]}}, %ko: tensor<?xi32> {{xf.name = "ko", xf.dims = ["sequences_plus_1"]}},
    %n: tensor<?xi32> {{xf.name = "n", xf.dims = ["queries"]}}, %random: tensor<2xi64> {{xf.name = "random"}}{9}) -> ({1} {{xf.name = "o"}}, {2} {{xf.name = "lse"}}) attributes {{xf.entry}} {{
  %site = arith.constant 3 : i64
  %o, %lse = xf.attention %q, %k, %v {3}{10} : ({0}, {16}, {17}, tensor<?xi32>, tensor<?xi32>{4}) -> ({1}, {2})
  return %o, %lse : {1}, {2}
}}
func.func @attention_backward(%do: {1} {{xf.name = "do", xf.dims = ["queries"]}}, %q: {0} {{xf.name = "q", xf.dims = ["queries"]}}, %k: {16} {{xf.name = "k", xf.dims = ["keys"]}}, %v: {17} {{xf.name = "v", xf.dims = ["keys"]}},
    %o: {1} {{xf.name = "o", xf.dims = ["queries"]}}, %lse: {2} {{xf.name = "lse", xf.dims = ["queries"]}},
    %qo: tensor<?xi32> {{xf.name = "qo", xf.dims = ["sequences_plus_1"]}}, %ko: tensor<?xi32> {{xf.name = "ko", xf.dims = ["sequences_plus_1"]}},
    %n: tensor<?xi32> {{xf.name = "n", xf.dims = ["queries"]}}, %random: tensor<2xi64> {{xf.name = "random"}}{9}) -> ({0} {{xf.name = "dq"}}, {16} {{xf.name = "dk"}}, {17} {{xf.name = "dv"}}{14}) attributes {{xf.entry}} {{
  %site = arith.constant 3 : i64
  %dq, %dk, %dv{12} = xf.attention_backward %do, %q, %k, %v, %o, %lse {3}{11}
    : ({1}, {0}, {16}, {17}, {1}, {2}, tensor<?xi32>, tensor<?xi32>{4}) -> ({0}, {16}, {17}{13})
  return %dq, %dk, %dv{12} : {0}, {16}, {17}{13}
}}
func.func @weights(%q: {0} {{xf.name = "q", xf.dims = ["queries"]}}, %k: {16} {{xf.name = "k", xf.dims = ["keys"]}}, %n: tensor<?xi32> {{xf.name = "n", xf.dims = ["queries"]}}{9}) -> (tensor<{5}x?x?xf32> {{xf.name = "p"}}) attributes {{xf.entry}} {{
  %p = xf.attention_weights %q, %k {18} scale(0.3){6}{10} : ({0}, {16}{7}{15}) -> tensor<{5}x?x?xf32>
  return %p : tensor<{5}x?x?xf32>
}}
func.func @cached(%q: {0} {{xf.name = "q", xf.dims = ["queries"]}}, %k: {16} {{xf.name = "k", xf.dims = ["keys"]}}, %v: {17} {{xf.name = "v", xf.dims = ["keys"]}},
    %rows: tensor<?xi32> {{xf.name = "rows", xf.dims = ["listed"]}}, %row_offsets: tensor<?xi32> {{xf.name = "row_offsets", xf.dims = ["queries_plus_1"]}}{9}) -> ({1} {{xf.name = "o"}}) attributes {{xf.entry}} {{
  %o = xf.cached_attention %q, %k, %v rows(%rows, %row_offsets) {18} scale(0.3){8}{10} : ({0}, {16}, {17}, tensor<?xi32>, tensor<?xi32>{15}) -> {1}
  return %o : {1}
}}
)",
                     q, o, lse, attributes, more, shape.heads, masksOf(shape), lengths, windowOf(shape), declared,
                     scoreOf(shape), scoreOf(shape, true), sums, sumTypes, sumResults, captured, k, v, headsOf(shape));
}

Tensors inputsOf(const Shape &shape, const std::vector<int64_t> &queries, const std::vector<int64_t> &keys) {
  Tensor queryOffsets = offsets(queries), keyOffsets = offsets(keys);
  int64_t queryRows = queryOffsets.integer(queries.size()), keyRows = keyOffsets.integer(keys.size());
  Tensor random = Tensor::integers({2});
  random.integer(0) = 11, random.integer(1) = 2;
  // Query r of the cache reads r % 7 rows.
  std::vector<int64_t> lengths, rows;
  for (int64_t r = 0; r < queryRows; ++r) {
    lengths.push_back(keyRows ? r % 7 * (r % 7) * 5 : 0);
    for (int64_t i = 0; i < lengths.back(); ++i)
      rows.push_back((r * 13 + i * 5) % keyRows);
  }
  // Lengths of none, of fewer than none, of some, of all and of more; of the last queries of all such that end before
  // a window begins.
  std::vector<int64_t> visible;
  for (int64_t r = 0; r < queryRows; ++r)
    visible.push_back(r >= 137 ? r % 2 * 24 + 10 : r % 5 == 0 ? 1 << 20 : r * 37 % 150 - 9);
  // Documents of 40 tokens; what stands in the 50th to the 59th place is none.
  std::vector<int64_t> documentOf;
  for (int64_t i = 0; i < 300; ++i)
    documentOf.push_back(i >= 50 && i < 60 ? -i : i / 40);
  return {{"q", normal({queryRows, shape.heads * shape.keyFeatures}, 1)},
          {"k", normal({keyRows, shape.keyHeads() * shape.keyFeatures}, 2)},
          {"v", normal({keyRows, shape.keyHeads() * shape.valueFeatures}, 3)},
          {"do", normal({queryRows, shape.heads * shape.valueFeatures}, 4)},
          {"qo", queryOffsets},
          {"ko", keyOffsets},
          {"n", integers(visible)},
          {"table", normal({shape.heads, 9}, 5)},
          {"slopes", normal({shape.heads}, 6)},
          {"shared", normal({9}, 7)},
          {"places", normal({shape.heads, 60, 50}, 8)},
          {"far", normal({shape.heads, 90, 99}, 9)},
          {"documents", integers(documentOf)},
          {"random", random},
          {"rows", integers(rows)},
          {"row_offsets", offsets(lengths)}};
}

class Attention : public testing::TestWithParam<Shape> {};

void check(llvm::function_ref<std::string(unsigned)> textOf, const Shape &shape, const std::vector<unsigned> &ways,
           double tolerance) {
  Module reference(textOf(ways.front()));
  std::map<unsigned, Compiled> compiled;
  for (unsigned way : ways)
    compiled.try_emplace(way, textOf(way), way);
  ASSERT_FALSE(testing::Test::HasFailure());
  struct Batch {
    std::vector<int64_t> queries, keys;
  };
  for (const Batch &batch : std::vector<Batch>{
           {{}, {}}, {{1}, {1}}, {{0, 5, 3, 1, 0}, {4, 0, 9, 1, 0}}, {{97}, {130}}, {{7, 130, 2}, {64, 129, 257}}}) {
    Tensors inputs = inputsOf(shape, batch.queries, batch.keys);
    auto check = [&](const char *entry) {
      Tensors expected = reference.run(entry, inputs);
      for (auto &[way, module] : compiled)
        expectClose(module.run(entry, inputs), expected, tolerance,
                    fmt::format("{} of {} sequences of {}.. queries, {} of {} and {}, masks '{}', dropout {}, vectors "
                                "of {}",
                                entry, batch.queries.size(), batch.queries.empty() ? 0 : batch.queries[0],
                                headsOf(shape), shape.keyFeatures, shape.valueFeatures, masksOf(shape), shape.rate,
                                way));
      return expected;
    };
    Tensors forward = check("attention");
    inputs["o"] = rounded(forward["o"]);
    inputs["lse"] = rounded(forward["lse"]);
    check("attention_backward");
    check("cached");
    if (batch.queries.size() == 1)
      check("weights");
  }
}
} // namespace

TEST_P(Attention, AgreesWithDoubles) {
  std::vector<unsigned> ways = vectorWidths();
  ways.push_back(upstream);
  ways.push_back(gpu);
  check([](unsigned) { return moduleOf(GetParam()); }, GetParam(), ways, 2e-5);
}

using AttentionOfBF16 = Attention;
TEST_P(AttentionOfBF16, AgreesWithDoubles) {
  std::vector<unsigned> ways{vectorWidths().back(), gpu}; // on tensor cores
  check([](unsigned way) { return inBF16(moduleOf(GetParam()), way); }, GetParam(), ways, 0x1p-6);
}
INSTANTIATE_TEST_SUITE_P(
    Shapes, AttentionOfBF16,
    testing::Values(Shape{2, 64, 64, false, 0}, Shape{3, 5, 7, true, 0}, Shape{2, 33, 16, false, 0.1, 9},
                    Shape{1, 128, 72, true, 0}, Shape{2, 8, 8, true, 0.1, 30, true, &relative},
                    Shape{2, 24, 40, true, 0.2, -1, true, &cappedAlibi},
                    Shape{1, 16, 16, false, 0, -1, false, &documents},
                    Shape{2, 128, 127, true, 0.1, -1, false, nullptr, 2},
                    Shape{2, 64, 64, false, 0, -1, true, &relative}, Shape{2, 64, 33, true, 0.1, -1, false, &shared, 2},
                    Shape{1, 128, 128, true, 0, -1, false, &relative}, Shape{1, 8, 16, false, 0, -1, false, &places},
                    Shape{2, 16, 16, false, 0.1, 40, false, &far}, Shape{1, 80, 64, false, 0.2, -1, true, &cappedAlibi},
                    Shape{2, 16, 24, false, 0, -1, false, &blocks, 2}, Shape{1, 64, 128, true, 0.1, 90, true, &blocks},
                    Shape{1, 40, 8, false, 0, -1, true, &earlier}, Shape{2, 24, 16, true, 0, -1, false, &uneven, 2},
                    Shape{1, 90, 90, false, 0, -1, false, &places}, Shape{2, 16, 32, true, 0.1, 40, true, &unevenTable},
                    Shape{1, 16, 16, false, 0, -1, false, &ends}, Shape{4, 16, 24, true, 0, -1, false, nullptr, 2},
                    Shape{6, 5, 7, false, 0.1, 40, true, &relative, 3},
                    Shape{2, 64, 33, false, 0, -1, false, nullptr, 2}),
    [](const auto &info) { return std::to_string(info.index); });

/// Elements are sums of rounded terms that may cancel: all together within 1% of their norm, and each by its own.
void expectNear(const Tensors &actual, const Tensors &expected, const std::string &what) {
  expectClose(actual, expected, 0x1p-4, what);
  for (const auto &[name, wanted] : expected) {
    double error = 0, norm = 0;
    for (int64_t i = 0; i < wanted.elements(); ++i)
      if (std::isfinite(wanted[i])) {
        error += std::pow(actual.find(name)->second[i] - wanted[i], 2);
        norm += std::pow(wanted[i], 2);
      }
    EXPECT_LE(std::sqrt(error), 0.01 * std::sqrt(norm)) << what << ": " << name;
  }
}

// On tensor cores every number of queries and of keys up to more than a step's, in one batch.
TEST(AttentionTails, OnTensorCores) {
  for (bool causal : {false, true}) {
    Shape shape{1, 16, 8, causal, 0};
    std::string text = moduleOf(shape);
    Module reference(text);
    Compiled compiled(inBF16(text, gpu), gpu);
    ASSERT_TRUE(compiled.valid());
    std::vector<int64_t> queries, keys;
    for (int64_t i = 0; i <= 66; ++i) {
      queries.push_back(i);
      keys.push_back(i * 5 % 67);
    }
    Tensors inputs = inputsOf(shape, queries, keys);
    for (const char *name : {"q", "k", "v", "do"}) // as bf16 holds them
      for (int64_t i = 0; i < inputs[name].elements(); ++i)
        inputs[name][i] = std::ldexp(std::nearbyint(std::ldexp(inputs[name][i], 5)), -5);
    Tensors forward = reference.run("attention", inputs);
    expectNear(compiled.run("attention", inputs), forward, "attention");
    inputs["o"] = rounded(forward["o"]);
    inputs["lse"] = rounded(forward["lse"]);
    expectNear(compiled.run("attention_backward", inputs), reference.run("attention_backward", inputs),
               "attention_backward");
  }
}

INSTANTIATE_TEST_SUITE_P(
    Shapes, Attention,
    testing::Values(Shape{2, 64, 64, false, 0}, Shape{2, 64, 64, true, 0}, Shape{3, 5, 7, true, 0},
                    Shape{1, 1, 1, false, 0}, Shape{2, 8, 24, true, 0.25}, Shape{2, 33, 16, false, 0.1},
                    Shape{2, 33, 16, false, 0, 9}, Shape{1, 16, 8, true, 0.2, 20}, Shape{1, 4, 5, false, 0, 0},
                    Shape{2, 8, 8, false, 0.1, 1 << 30}, Shape{2, 33, 16, false, 0.1, -1, true},
                    Shape{1, 7, 16, true, 0, 40, true}, Shape{2, 16, 16, true, 0, -1, false, &cappedAlibi},
                    Shape{3, 8, 5, false, 0.2, -1, false, &cappedAlibi},
                    Shape{2, 16, 7, false, 0, -1, false, &relative}, Shape{2, 8, 8, true, 0.1, 30, true, &relative},
                    Shape{3, 8, 7, false, 0.1, -1, true, &shared}, Shape{2, 8, 8, true, 0, -1, false, &places},
                    Shape{1, 4, 4, false, 0.2, 20, false, &far}, Shape{2, 8, 5, false, 0, -1, false, &blocks},
                    Shape{2, 4, 8, true, 0.1, 90, true, &blocks}, Shape{2, 8, 5, false, 0, -1, true, &earlier},
                    Shape{1, 16, 16, false, 0, -1, false, &documents}, Shape{2, 7, 4, false, 0, -1, false, &arithmetic},
                    Shape{1, 8, 8, true, 0, -1, false, &factors}, Shape{2, 5, 8, false, 0, 12, true, &factor},
                    Shape{1, 8, 8, true, 0, -1, false, &uneven}, Shape{2, 8, 5, true, 0.1, 40, true, &unevenTable},
                    Shape{1, 8, 8, false, 0, -1, false, &ends}, Shape{4, 16, 8, false, 0, -1, false, nullptr, 2},
                    Shape{3, 5, 7, true, 0, -1, false, nullptr, 3}, Shape{6, 33, 9, true, 0.1, 20, true, nullptr, 3},
                    Shape{8, 4, 4, false, 0.2, -1, false, nullptr, 8}, Shape{4, 1, 1, false, 0, 0, false, nullptr, 2},
                    Shape{4, 8, 5, false, 0.1, -1, true, &cappedAlibi, 2},
                    Shape{4, 16, 7, true, 0, -1, false, &relative, 4}, Shape{6, 8, 7, false, 0.1, -1, true, &shared, 2},
                    Shape{4, 8, 5, false, 0, -1, false, &blocks, 2}, Shape{2, 8, 8, true, 0, -1, false, &factors, 2},
                    Shape{3, 5, 8, false, 0, 12, true, &factor, 3}, Shape{4, 8, 8, true, 0, -1, false, &uneven, 2}),
    [](const auto &info) { return std::to_string(info.index); });

// What is no number is none afterwards, wherever the interpreter has none, and leaves other sequences alone: of one
// query, key or value, or of all scores. On tensor cores it may reach sequences that share a block.
TEST(AttentionOfNoNumbers, GivesNone) {
  std::vector<std::pair<unsigned, bool>> ways{{gpu, false}, {gpu, true}, {vectorWidths().back(), true}};
  for (unsigned width : vectorWidths())
    ways.push_back({width, false});
  constexpr int64_t first = 5, end = 105;
  for (auto [way, isNarrow] : ways)
    for (const Shape &shape : {Shape{2, 16, 8, true, 0}, Shape{1, 8, 16, false, 0.1, 40, true, &relative}}) {
      std::string text = isNarrow ? inBF16(moduleOf(shape), way) : moduleOf(shape);
      Module reference(text);
      Compiled compiled(text, way);
      ASSERT_TRUE(compiled.valid());
      auto check = [&](const char *entry, const Tensors &inputs, const std::string &what) {
        Tensors expected = reference.run(entry, inputs), actual = compiled.run(entry, inputs);
        for (const auto &[name, wanted] : expected)
          for (int64_t i = 0; i < wanted.elements(); ++i) {
            int64_t row = i / wanted.columns(), spoilt = row >= first && row < end;
            if (name == "table" || name == "slopes")
              spoilt = row == 1;
            double got = actual[name][i];
            bool isAlone = !spoilt && !(way == gpu && isNarrow) && entry != std::string("cached");
            bool isRight = std::isnan(wanted[i])
                               ? std::isnan(got)
                               : !isAlone || got == wanted[i] ||
                                     std::abs(got - wanted[i]) <= 0x1p-6 * std::max(1.0, std::abs(wanted[i]));
            if (!isRight) {
              ADD_FAILURE() << what << ": " << entry << ", " << name << "[" << i << "]: " << got << ", not "
                            << wanted[i];
              return expected;
            }
          }
        return expected;
      };
      for (auto [name, rows] : {std::pair("q", 1), {"k", 1}, {"v", 1}, {"do", 1}, {"k", 100}, {"q", 100}}) {
        Tensors inputs = inputsOf(shape, {5, 100, 3}, {5, 100, 3});
        for (int64_t row = 0; row < rows; ++row)
          inputs[name][(rows == 1 ? 65 : first + row) * inputs[name].columns() + 3] =
              std::numeric_limits<double>::quiet_NaN();
        std::string what = fmt::format("{} rows of {}, vectors of {}", rows, name, way);
        Tensors forward = check("attention", inputs, what);
        bool hasNone = false;
        for (int64_t i = 0; i < forward["o"].elements(); ++i)
          hasNone |= std::isnan(forward["o"][i]);
        EXPECT_EQ(hasNone, name != std::string("do"));
        inputs["o"] = rounded(forward["o"]);
        inputs["lse"] = rounded(forward["lse"]);
        check("attention_backward", inputs, what);
        check("cached", inputs, what);
        Tensors alone = inputsOf(shape, {70}, {70});
        alone[name == std::string("k") ? "k" : "q"][65 * alone["q"].columns() + 3] =
            std::numeric_limits<double>::quiet_NaN();
        check("weights", alone, what);
      }
    }
}

// Keys whose probability is too small for a number have none: subnormal numbers would slow all that is made of them.
TEST(AttentionFar, LeavesNoSubnormalNumbers) {
  const Score steep = {{},
                       R"(%distance = arith.subi %query, %key : index
    %i = arith.index_cast %distance : index to i32
    %f = arith.sitofp %i : i32 to f32
    %slope = arith.constant 1.37 : f32
    %bias = arith.mulf %f, %slope : f32
    %s = arith.subf %score, %bias : f32)",
                       "%d = arith.constant 1.0 : f32"};
  Shape shape{1, 8, 8, false, 0, -1, false, &steep};
  for (unsigned way : vectorWidths()) {
    Compiled compiled(moduleOf(shape), way);
    ASSERT_TRUE(compiled.valid());
    Tensors inputs = inputsOf(shape, {1}, {200}), forward = compiled.run("attention", inputs);
    inputs.insert(forward.begin(), forward.end());
    Tensors gradients = compiled.run("attention_backward", inputs);
    for (const char *name : {"dk", "dv"})
      for (int64_t i = 0; i < 100 * 8; ++i) // the keys farther than 99 tokens
        EXPECT_EQ(gradients[name][i], 0) << name << ", key " << i / 8;
    EXPECT_NE(gradients["dv"][199 * 8], 0);
  }
}

/// The module with its comparisons of numbers as those of floats (of halves, which no fold makes comparisons of numbers
/// again), of which no kernel follows what they mask.
std::string hidden(const std::string &text) {
  std::regex comparison(R"(%(\w+) = arith.cmpi s(le|ge), %(\w+), %(\w+) : index)");
  return std::regex_replace(text, comparison, R"(%$1_x = arith.index_cast %$3 : index to i32
    %$1_y = arith.index_cast %$4 : index to i32
    %$1_xf = arith.sitofp %$1_x : i32 to f32
    %$1_yf = arith.sitofp %$1_y : i32 to f32
    %$1_half = arith.constant 0.5 : f32
    %$1_xh = arith.mulf %$1_xf, %$1_half : f32
    %$1_yh = arith.mulf %$1_yf, %$1_half : f32
    %$1 = arith.cmpf o$2, %$1_xh, %$1_yh : f32)");
}

// What is in blocks that a region masks is never looked at: what is no number there leaves no trace. Where nobody can
// say that they are masked, the same bits come out, and all is no number.
TEST(AttentionBlocks, AreNotVisitedWhereARegionMasksThem) {
  std::vector<std::pair<unsigned, bool>> ways{{gpu, false}, {gpu, true}};
  for (unsigned width : vectorWidths())
    ways.push_back({width, false});
  for (auto [way, isNarrow] : ways) {
    Shape shape{2, 16, 16, false, 0, -1, false, &blocks};
    auto compile = [&, way = way, isNarrow = isNarrow](const std::string &text) {
      return std::make_unique<Compiled>(isNarrow ? inBF16(text, way) : text, way);
    };
    auto run = [&](Compiled &compiled, double inBlock) {
      Tensors inputs = inputsOf(shape, {300, 0, 1, 270}, {300, 5, 70, 270});
      for (const char *name : {"k", "v"})
        for (int64_t i = 128 * 32; i < 256 * 32; ++i)
          inputs[name][i] = inBlock;
      Tensors forward = compiled.run("attention", inputs);
      inputs.insert(forward.begin(), forward.end());
      Tensors results = compiled.run("attention_backward", inputs);
      results.insert(forward.begin(), forward.end());
      return results;
    };
    double nothing = std::numeric_limits<double>::quiet_NaN();
    auto passing = compile(moduleOf(shape)), visiting = compile(hidden(moduleOf(shape)));
    ASSERT_TRUE(passing->valid() && visiting->valid());
    Tensors expected = run(*passing, 0);
    for (const Tensors &results : {run(*passing, nothing), run(*visiting, 0)})
      for (const auto &[name, tensor] : results)
        for (int64_t i = 0; i < tensor.elements(); ++i)
          ASSERT_EQ(tensor[i], expected[name][i]) << name << ", " << i << ", vectors of " << way;
    Tensors spoilt = run(*visiting, nothing);
    EXPECT_TRUE(std::isnan(spoilt["o"][0]) && std::isnan(spoilt["dq"][0])) << way;
  }
}

// Each sequence's rows have the bits that they have alone, and any number of threads gives the same.
TEST(AttentionBits, SameInAnyBatchOnAnyThreads) {
  std::vector<int64_t> lengths = {70, 1, 200, 0, 33};
  std::vector<std::tuple<unsigned, const Score *, bool, int64_t>> ways{
      {gpu, &cappedAlibi, true, 2}, {gpu, &relative, true, 1}, {gpu, &relative, false, 2}, {gpu, &shared, true, 1}};
  for (unsigned width : vectorWidths())
    for (const Score *score : {&relative, &shared})
      for (int64_t group : {1, 2})
        ways.push_back({width, score, false, group});
  for (auto [way, score, isNarrow, group] : ways) {
    Shape shape{2 * group, 16, 8, true, 0, 50, true, score, group};
    Compiled compiled(isNarrow ? inBF16(moduleOf(shape), way) : moduleOf(shape), way);
    ASSERT_TRUE(compiled.valid());
    Tensors inputs = inputsOf(shape, lengths, lengths);
    auto run = [&](const Tensors &inputs, int threads) {
      Tensors all = inputs, forward = compiled.run("attention", inputs, threads);
      all.insert(forward.begin(), forward.end());
      Tensors results = compiled.run("attention_backward", all, threads);
      results.insert(forward.begin(), forward.end());
      return results;
    };
    auto expectSame = [](const Tensor &a, const Tensor &b, int64_t firstRow, const std::string &what) {
      for (int64_t i = 0; i < a.elements(); ++i)
        ASSERT_EQ(a[i], b[firstRow * b.columns() + i]) << what << ", " << i;
    };
    Tensors whole = run(inputs, 1);
    for (int threads : {2, way == gpu ? 2 : 3})
      for (auto &[name, tensor] : run(inputs, threads))
        expectSame(tensor, whole[name], 0, name);
    for (int64_t b = 0, first = 0; b < int64_t(lengths.size()); first += lengths[b++]) {
      Tensors alone = inputs;
      for (auto &[name, tensor] : alone)
        if (name == "q" || name == "k" || name == "v" || name == "do" || name == "n") {
          bool isReal = tensor.isReal();
          int64_t columns = isReal ? tensor.columns() : 1;
          Tensor part = isReal ? Tensor::reals({lengths[b], columns}) : Tensor::integers({lengths[b]});
          for (int64_t i = 0; i < part.elements(); ++i)
            if (isReal)
              part[i] = tensor[first * columns + i];
            else
              part.integer(i) = tensor.integer(first + i);
          tensor = part;
        }
      alone["qo"] = alone["ko"] = offsets({lengths[b]});
      for (auto &[name, tensor] : run(alone, 1)) {
        bool isSum = name == "table" || name == "slopes" || name == "shared";
        if (isSum) {
          Tensor row = Tensor::reals({1, tensor.columns()});
          for (int64_t i = 0; i < row.elements(); ++i)
            row[i] = tensor[i];
          expectSame(row, whole[name], b, name);
        } else {
          expectSame(tensor, whole[name], first, name);
        }
      }
    }
  }
}
