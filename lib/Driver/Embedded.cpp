//===- Embedded.cpp - files that go along with a model --------------------===//
// What is embedded is a file: the assembler copies it into the object.
//===----------------------------------------------------------------------===//
#include "xf/Driver/Embedded.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "xf/Dialect/XF/IR/Configuration.h"
#include "xf/Dialect/XF/IR/XF.h"
#include "xf/Runtime/Parameters.h"
#include "xf/Runtime/Text/ImportVocabulary.h"
#include "xf/Runtime/Text/Vocabulary.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/Signals.h"
#include <nlohmann/json.hpp>

namespace runtime = xf::runtime;

namespace mlir::xf {

runtime::Expected<std::string> EmbeddedFiles::makeTemporary(StringRef suffix) {
  llvm::SmallString<128> path;
  if (std::error_code code = llvm::sys::fs::createTemporaryFile("xf-embedded", suffix, path))
    return runtime::userError("can't write a temporary file: " + code.message());
  temporaries.emplace_back(path);
  llvm::sys::RemoveFileOnSignal(path);
  return path.str().str();
}

runtime::Expected<void> EmbeddedFiles::openVocabularies(const HuggingFaceModel *folder, std::string &input) {
  // The sizes of a preset's vocabularies are those of the files.
  for (auto [name, path, key] :
       {std::tuple<const char *, const std::string &, const char *>{"vocabulary", options.vocab, "vocabulary"},
        {"source_vocabulary", options.sourceVocab, "source_vocabulary"},
        {"target_vocabulary", options.targetVocab, "target_vocabulary"}}) {
    if (path.empty())
      continue;
    auto file = runtime::MappedFile::open(path);
    if (!file)
      return file.error();
    std::string_view bytes(file->data().data(), file->data().size());
    auto imported = runtime::importVocabulary(bytes, path);
    if (!imported)
      return imported.error();
    auto vocabulary = runtime::Vocabulary::parse(*imported, path);
    if (!vocabulary)
      return vocabulary.error();
    if (StringRef(input).starts_with("preset:"))
      if (auto set = setVocabularySize(input, key, path, vocabulary->size()); !set)
        return set;
    std::string embedded = path;
    if (*imported != bytes) {
      auto temporary = makeTemporary("model");
      if (!temporary)
        return temporary.error();
      embedded = *temporary;
      if (auto written = runtime::writeFile(embedded, *imported); !written)
        return written;
    }
    files.push_back({name, embedded});
    vocabularies.push_back({key, path, vocabulary->size()});
  }
  if (!folder || !vocabularies.empty())
    return {};
  for (const HuggingFaceVocabulary &vocabulary : folder->vocabularies) {
    auto temporary = makeTemporary("model");
    if (!temporary)
      return temporary.error();
    if (auto written = runtime::writeFile(*temporary, vocabulary.bytes); !written)
      return written;
    files.push_back({vocabulary.name, *temporary});
    vocabularies.push_back({vocabulary.name, vocabulary.file, vocabulary.tokens});
  }
  return {};
}

/// A model may know more tokens than its vocabulary if it says so: weights of other projects have rows to spare.
runtime::Expected<void> EmbeddedFiles::setVocabularySize(std::string &input, StringRef key, const std::string &path,
                                                         int64_t size) const {
  SmallVector<StringRef> keys;
  StringRef(options.input).split(keys, ',');
  for (StringRef assignment : llvm::reverse(keys)) {
    auto [name, value] = assignment.split('=');
    int64_t given;
    if (name != key || value.getAsInteger(10, given))
      continue;
    if (given >= size)
      return {};
    return runtime::userError(llvm::formatv("expected key '{0}' to be at least the tokens of '{1}' ({2}), but got {3}",
                                            key, path, size, given)
                                  .str());
  }
  input += "," + key.str() + "=" + std::to_string(size);
  return {};
}

runtime::Expected<void> EmbeddedFiles::checkVocabularies(ModuleOp module) const {
  auto kind = module->getAttrOfType<StringAttr>("xf.kind");
  bool hasClasses = kind && kind.getValue() == nameOf(Classifier); // then labels are no tokens
  for (auto entry : module.getOps<func::FuncOp>()) {
    auto requirements = entry->getAttrOfType<ArrayAttr>("xf.requirements");
    if (!requirements)
      continue;
    auto inputs = entry->getAttrOfType<ArrayAttr>("xf.inputs");
    for (auto requirement : requirements.getAsRange<RequirementAttr>()) {
      StringRef input = cast<DictionaryAttr>(inputs[requirement.getInput()]).getAs<StringAttr>("name").getValue();
      bool isSource = input == "source_ids",
           isTarget = input == "target_ids" || input == "ids" || (input == "labels" && !hasClasses);
      if (requirement.getKind() != RequirementKind::Below ||
          llvm::any_of(requirement.getSize().asArrayRef().drop_front(), [](int64_t c) { return c != 0; }))
        continue;
      int64_t most = requirement.getSize()[0]; // tables that are no inputs are of one size
      for (const auto &[key, path, tokens] : vocabularies)
        if (((isSource && key != "target_vocabulary") || (isTarget && key != "source_vocabulary")) && tokens > most)
          return runtime::userError("expected '" + path + "' to have at most as many tokens as the model (" +
                                    std::to_string(most) + ", " + requirement.getOf().getValue().str() + "), but got " +
                                    std::to_string(tokens));
    }
  }
  return {};
}

runtime::Expected<void> EmbeddedFiles::loadWeights(ModuleOp module, const HuggingFaceModel *folder) {
  bool ofFolder = folder && options.weightsMap.empty(); // by the folder's names, or the model's
  std::vector<std::string> paths;
  if (!options.weights.empty())
    paths = {options.weights};
  else if (folder)
    paths = folder->weights;
  if (paths.empty())
    return {};
  std::vector<runtime::Parameter> parameters;
  for (auto param : module.getOps<ParamOp>()) {
    ArrayRef<int64_t> shape = param.getType().getShape();
    runtime::Parameter &parameter = parameters.emplace_back();
    parameter.name = param.getSymName().str();
    parameter.shape.assign(shape.begin(), shape.end());
  }
  std::vector<runtime::Safetensors> sources;
  for (const std::string &path : paths) {
    auto file = runtime::Safetensors::open(path);
    if (!file)
      return file.error();
    sources.push_back(std::move(*file));
  }
  weightsPath = paths.front();
  runtime::WeightsMap map;
  if (ofFolder) {
    map = folder->map;
  } else if (!options.weightsMap.empty()) {
    auto file = runtime::MappedFile::open(options.weightsMap);
    if (!file)
      return file.error();
    map = {std::string(file->data().begin(), file->data().end()), options.weightsMap};
  }
  runtime::MappedFile bytes;
  if (!map.name.empty()) {
    auto mapped = runtime::mapWeights(sources, map, parameters);
    if (!mapped)
      return mapped.error();
    for (const runtime::Parameter &parameter : parameters)
      if (ofFolder && llvm::is_contained(folder->zeros, parameter.name))
        mapped->emplace_back(parameter.name, runtime::ElementType::F32, parameter.shape); // of fresh pages
    if (ofFolder)
      mapped->insert(mapped->end(), folder->tables.begin(), folder->tables.end());
    std::string origin = paths.front() + "' with the names of '" + map.name;
    sources.clear(); // what they map is copied
    auto temporary = makeTemporary("safetensors");
    if (!temporary)
      return temporary.error();
    weightsPath = *temporary;
    runtime::Safetensors::Metadata metadata;
    if (ofFolder && !folder->classes.empty()) // where a training puts their names
      metadata["xf.classes"] = nlohmann::json(folder->classes).dump();
    if (auto written = runtime::writeSafetensors(weightsPath, runtime::viewsOf(*mapped), metadata); !written)
      return written;
    auto opened = runtime::MappedFile::open(weightsPath);
    if (!opened)
      return opened.error();
    bytes = std::move(*opened);
    auto parsed = runtime::Safetensors::parse(bytes.data(), origin);
    if (!parsed)
      return parsed.error();
    sources.push_back(std::move(*parsed));
  }
  if (!parameters.empty()) // a module after stage 'target' has none any more
    if (auto same = runtime::checkParameters(module.getName().value_or("model").str(), parameters, sources.front());
        !same)
      return same;
  files.push_back({"weights", weightsPath});
  return {};
}
} // namespace mlir::xf
