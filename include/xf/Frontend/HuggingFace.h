//===- HuggingFace.h - models of others -------------------------*- C++ -*-===//
// A folder in Hugging Face's layout, as what it is here: keys of a model, a map of names for its weights, a vocabulary.
// Nothing that changes what is computed is passed over: it is taken, or an error that names file and key.
//===----------------------------------------------------------------------===//
#ifndef XF_FRONTEND_HUGGINGFACE_H
#define XF_FRONTEND_HUGGINGFACE_H

#include "xf/Frontend/Frontend.h"
#include "xf/Runtime/WeightsMap.h"

namespace mlir::xf {

/// A vocabulary as executables embed it, under what name, and what it was made of.
struct HuggingFaceVocabulary {
  std::string name, bytes, file;
  int64_t tokens = 0;
};

struct HuggingFaceModel {
  ModelKeys model;
  std::vector<std::string> weights;                // files; none where there are none
  ::xf::runtime::WeightsMap map;                   // from their names
  std::vector<std::string> zeros;                  // parameters here that are nothing there
  std::vector<::xf::runtime::OwnedTensor> tables;  // parameters here that are formulas there
  std::vector<std::string> classes;                // what a classifier's are called, in their order
  std::vector<HuggingFaceVocabulary> vocabularies; // none where there are none, or none is understood
  std::vector<std::string> notes, warnings;        // what was taken, and what the user should know
};

/// Whether `input` is a folder with a config.json.
bool isHuggingFace(StringRef input);

/// `weights`: the file to take in place of the folder's, whose names may be these or the model's own; `withVocabulary`:
/// whether its vocabulary is wanted.
::xf::runtime::Expected<HuggingFaceModel> readHuggingFace(const std::string &folder, const std::string &weights,
                                                          bool withVocabulary);
} // namespace mlir::xf

#endif
