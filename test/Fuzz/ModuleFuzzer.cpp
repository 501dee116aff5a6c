//===- ModuleFuzzer.cpp - libFuzzer on what xf-compile makes of a model ----------------===//
// Whatever the text: a module that goes through the stages up to `plan`, or a refusal with a diagnostic. Mutations work
// on tokens of presets, since random bytes would hardly ever pass the parser.
//===----------------------------------------------------------------------------------===//
#include "mlir/Parser/Parser.h"
#include "xf/Frontend/Frontend.h"
#include "xf/InitAll.h"
#include "xf/Pipelines/Stages.h"
#include "llvm/ADT/StringExtras.h"

#include <cstdlib>
#include <random>

using namespace mlir;

/// LLVM's arenas poison what they have not handed out, but Debian's library, which is not instrumented, uses it.
extern "C" const char *__asan_default_options() { return "allow_user_poisoning=0:detect_container_overflow=0"; }

static std::string modelText(unsigned which) {
  static const char *const presets[] = {"transformer-tiny,layers=1", "transformer-multi30k,layers=2,positions=learned",
                                        "transformer-base,layers=1,activation=gelu",
                                        "transformer-tiny,layers=0,dropout=0,bias=none"};
  return llvm::cantFail(xf::presetText(presets[which % std::size(presets)]));
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  DialectRegistry registry;
  xf::registerAllDialects(registry);
  MLIRContext context(registry, MLIRContext::Threading::DISABLED);
  bool said = false;
  ScopedDiagnosticHandler diagnostics(&context, [&](Diagnostic &diagnostic) {
    said |= diagnostic.getSeverity() == DiagnosticSeverity::Error && !diagnostic.str().empty();
    return success();
  });
  OwningOpRef<ModuleOp> module = parseSourceString<ModuleOp>(StringRef(reinterpret_cast<const char *>(data), size),
                                                             ParserConfig(&context), "fuzz.mlir");
  for (int stage = 0; module && stage <= static_cast<int>(xf::Stage::plan); ++stage) {
    PassManager pm(&context);
    xf::buildStage(pm, static_cast<xf::Stage>(stage), {});
    if (failed(pm.run(*module)))
      break;
    if (stage == static_cast<int>(xf::Stage::plan))
      return 0;
  }
  if (!said)
    std::abort(); // refused without a word
  return 0;
}

/// Words, numbers, white space, or single characters.
static std::vector<StringRef> tokensOf(StringRef text) {
  std::vector<StringRef> tokens;
  while (!text.empty()) {
    auto word = [](char c) { return llvm::isAlnum(c) || c == '_' || c == '%' || c == '@' || c == '.'; };
    size_t length = std::max<size_t>(1, text.take_while(word).size());
    tokens.push_back(text.take_front(length));
    text = text.drop_front(length);
  }
  return tokens;
}

extern "C" size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t maxSize, unsigned seed) {
  std::mt19937 random(seed);
  auto below = [&](size_t n) { return n ? random() % n : 0; };
  std::string text(reinterpret_cast<char *>(data), size), other = modelText(random());
  if (size < 100 || below(50) == 0)
    text = modelText(random());
  std::vector<StringRef> tokens = tokensOf(text), donors = tokensOf(other);
  static const char *const pieces[] = {"0",   "1",           "-1",  "7",     "9223372036854775807",
                                       "?",   "xi32",        "f64", "index", "true",
                                       "0.0", "1.0e400",     "nan", "\"\"",  "{",
                                       "}",   "(",           ")",   "<",     ">",
                                       "[]",  "loc(unknown)"};
  for (size_t n = 1 + below(3); n; --n) {
    size_t at = below(tokens.size()), from = below(tokens.size()), length = 1 + below(12);
    switch (below(6)) {
    case 0: // something else that stands somewhere
      tokens[at] = donors[below(donors.size())];
      break;
    case 1:
      tokens[at] = pieces[below(std::size(pieces))];
      break;
    case 2:
      tokens.erase(tokens.begin() + at, tokens.begin() + std::min(at + length, tokens.size()));
      break;
    case 3: { // a piece of the text, once more
      std::vector<StringRef> copy(tokens.begin() + from, tokens.begin() + std::min(from + length, tokens.size()));
      tokens.insert(tokens.begin() + at, copy.begin(), copy.end());
      break;
    }
    case 4:
      std::swap(tokens[at], tokens[from]);
      break;
    case 5: // one word for the same kind of word: a value, a symbol, a number
      for (size_t i = from; i < tokens.size(); ++i)
        if (tokens[i][0] == tokens[at][0] || (llvm::isDigit(tokens[i][0]) && llvm::isDigit(tokens[at][0]))) {
          tokens[at] = tokens[i];
          break;
        }
      break;
    }
    if (tokens.empty())
      break;
  }
  std::string result = llvm::join(tokens, "").substr(0, maxSize);
  std::copy(result.begin(), result.end(), data);
  return result.size();
}
