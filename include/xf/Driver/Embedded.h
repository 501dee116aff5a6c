//===- Embedded.h - files that go along with a model ------------*- C++ -*-===//
// Vocabularies and weights: opened, checked against the model, and brought into the form in which an executable embeds
// them, in temporary files where they have another. The executable would refuse what doesn't match, later and on
// another machine.
//===----------------------------------------------------------------------===//
#ifndef XF_DRIVER_EMBEDDED_H
#define XF_DRIVER_EMBEDDED_H

#include "xf/Driver/Compile.h"
#include "xf/Frontend/HuggingFace.h"
#include "xf/Target/Target.h"
#include "llvm/Support/FileUtilities.h"
#include <deque>

namespace mlir::xf {

class EmbeddedFiles {
public:
  explicit EmbeddedFiles(const ::xf::CompileOptions &options) : options(options) {}

  /// The options' vocabularies, else the folder's. A preset, as `input` names it, gets their sizes.
  ::xf::runtime::Expected<void> openVocabularies(const HuggingFaceModel *folder, std::string &input);

  /// Whether the model, at any stage, knows all tokens of its vocabularies.
  ::xf::runtime::Expected<void> checkVocabularies(ModuleOp module) const;

  /// The options' weights, else the folder's, under the names of the model's parameters; once.
  ::xf::runtime::Expected<void> loadWeights(ModuleOp module, const HuggingFaceModel *folder);

  /// Where the weights lie then; empty without.
  const std::string &weights() const { return weightsPath; }
  ArrayRef<Blob> blobs() const { return files; }
  bool hasText() const { return !vocabularies.empty(); }

private:
  ::xf::runtime::Expected<void> setVocabularySize(std::string &input, StringRef key, const std::string &path,
                                                  int64_t size) const;
  ::xf::runtime::Expected<std::string> makeTemporary(StringRef suffix);

  struct VocabularySize {
    std::string key, path; // of the preset; of the file
    int64_t tokens;
  };
  const ::xf::CompileOptions &options;
  std::vector<Blob> files;
  std::vector<VocabularySize> vocabularies;
  std::string weightsPath;
  std::deque<llvm::FileRemover> temporaries;
};
} // namespace mlir::xf

#endif
