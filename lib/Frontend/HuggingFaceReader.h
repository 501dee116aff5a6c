//===- HuggingFaceReader.h - a folder as it is read -------------*- C++ -*-===//
// What becomes of its keys and tensors (HuggingFaceFamilies.cpp), and its files (HuggingFace.cpp).
//===----------------------------------------------------------------------===//
#ifndef XF_FRONTEND_HUGGINGFACEREADER_H
#define XF_FRONTEND_HUGGINGFACEREADER_H

#include "HuggingFaceSettings.h"
#include "xf/Frontend/HuggingFace.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/FileSystem.h"

namespace mlir::xf {

/// The names of a folder's tensors, and what becomes of them.
struct Names {
  std::vector<std::string> theirs;
  Settings::Json rules = Settings::Json::object();

  bool any(StringRef start) const {
    return llvm::any_of(theirs, [&](const std::string &name) { return StringRef(name).starts_with(start); });
  }
  bool has(StringRef name) const { return llvm::is_contained(theirs, name); }
  void rule(const std::string &name, Settings::Json to) { rules[name] = std::move(to); }
  /// Leaves out what starts so.
  void leaveOut(StringRef start) {
    for (const std::string &name : theirs)
      if (StringRef(name).starts_with(start))
        rules[name] = nullptr;
  }
  void leaveOutEnding(StringRef end) {
    for (const std::string &name : theirs)
      if (StringRef(name).ends_with(end))
        rules[name] = nullptr;
  }
};

class HuggingFaceReader {
public:
  HuggingFaceReader(const std::string &folder, const std::string &weights) : folder(folder), given(weights) {}

  ::xf::runtime::Expected<HuggingFaceModel> read(bool withVocabulary);

private:
  ::xf::runtime::Expected<void> findWeights();
  ::xf::runtime::Expected<void> readFamily();
  ::xf::runtime::Expected<void> refuseQuantized();
  void readGpt2();
  bool readBertStem(const std::string &prefix, int64_t firstPosition = 0);
  void readBert();
  void readDistilBert();
  void readHead(StringRef activation, const std::string &pooler);
  void readLlama();
  void readRotary(bool isMistral, bool isQwen);
  void readMarian();
  ::xf::runtime::Expected<void> readMarks();
  ::xf::runtime::Expected<void> readPooling();
  ::xf::runtime::Expected<void> readVocabulary();
  ::xf::runtime::Expected<std::string> importCandidate(const std::string &name);

  std::string pathOf(StringRef name) const { return (folder + "/" + name).str(); }
  bool exists(StringRef name) const { return llvm::sys::fs::is_regular_file(pathOf(name)); }
  /// A file that need not be there: then an empty object.
  ::xf::runtime::Expected<Settings> optional(StringRef name) const {
    return exists(name) ? Settings::read(pathOf(name)) : Settings(pathOf(name), Settings::Json::object());
  }

  void set(const std::string &key, const std::string &value) { model.model.keys.push_back(key + "=" + value); }
  /// Takes the value of a key in a range that the model's own key has.
  void take(const char *key, const std::string &theirs, std::string value) {
    takeFrom(*config, key, theirs, std::move(value));
  }
  void takeFrom(Settings &settings, const char *key, const std::string &theirs, std::string value);
  void number(const char *key, const std::string &theirs, std::optional<int64_t> fallback = std::nullopt);
  void real(const char *key, const std::string &theirs, std::optional<double> fallback = std::nullopt);
  void activation(const std::string &theirs, const std::string &fallback);
  void tie(bool fallback);
  void leaveOutHeads(ArrayRef<const char *> heads);
  /// What training goes on with: small steps, as from weights that are good already.
  void tune() {
    for (const char *key :
         {"learning_rate=5e-5", "schedule=constant", "warmup=0", "clip_norm=1", "beta2=0.999", "epsilon=1e-8"})
      model.model.keys.push_back(key);
  }

  std::string folder, given;
  StringRef family; // the `model_type` of its architecture, which config.json need not say
  HuggingFaceModel model;
  std::optional<Settings> config;
  Names names;
};
} // namespace mlir::xf

#endif
