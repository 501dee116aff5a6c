//===- HuggingFaceMarian.h - what Marian's folders have alone ---*- C++ -*-===//
// Names of its tensors, tables that are formulas there, how it searches for a translation, and its vocabularies: a
// SentencePiece model of each language, and one list of tokens or two.
//===----------------------------------------------------------------------===//
#ifndef XF_FRONTEND_HUGGINGFACEMARIAN_H
#define XF_FRONTEND_HUGGINGFACEMARIAN_H

#include "HuggingFaceSettings.h"
#include "xf/Frontend/HuggingFace.h"

namespace mlir::xf {

/// Which tensors are one, by the value of the key `tied`, and the map of their names. `theirs`: those of the files.
std::string mapMarian(Settings &config, ArrayRef<std::string> theirs, Settings::Json &rules);

/// Marian's sines and cosines: those of the even features first, those of the odd ones behind them.
::xf::runtime::OwnedTensor sinusoids(const std::string &name, int64_t positions, int64_t width);

/// What `generate` does where nothing else is said, of generation_config.json or, where there is none, config.json.
/// `take` sets a key to what these settings call otherwise; `config` says which token begins a translation.
void readMarianSearch(Settings &generation, Settings &config,
                      function_ref<void(Settings &, const char *key, const char *theirs, std::string value)> take);

/// Whether the folder has any of the files; then it has to have all of them.
bool hasMarianVocabulary(const std::string &folder);
::xf::runtime::Expected<void> readMarianVocabularies(const std::string &folder, Settings &tokenizer, Settings &config,
                                                     HuggingFaceModel &model);
} // namespace mlir::xf

#endif
