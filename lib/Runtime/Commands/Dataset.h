//===- Dataset.h - What a model is trained and measured on --------------------------------------===//
// Text as batches of tokens: pairs of sentences, texts with a class each, or one stream cut into windows. Which of
// them, the kind of the model says; the commands see batches alone.
//===-------------------------------------------------------------------------------------------===//
#ifndef XF_RUNTIME_COMMANDS_DATASET_H
#define XF_RUNTIME_COMMANDS_DATASET_H

#include "xf/Runtime/Text/Batches.h"
#include "xf/Runtime/Text/Vocabularies.h"

#include <CLI/CLI.hpp>
#include <memory>

namespace xf::runtime {

/// Lists of integers, each under the name of a function's input.
struct Batch {
  std::vector<std::pair<std::string_view, std::vector<int32_t>>> lists;
  int64_t tokens = 0, predicted = 0; // read, on all sides; and labels

  std::vector<TensorView> views();
  /// The sizes that the function's dims have for this batch.
  std::vector<int64_t> dims(const Function &function) const;
};

class Dataset {
public:
  virtual ~Dataset() = default;
  /// All of it once, in an order of its own.
  virtual BatchPlan inOrder(BatchRecipe recipe) const = 0;
  /// All of it once, in an order that seed and epoch draw.
  virtual BatchPlan shuffled(BatchRecipe recipe, uint64_t seed, int64_t epoch) const = 0;
  virtual Batch pack(std::span<const int64_t> indices) const = 0;
  /// A batch of zeros: no other, in whatever order, has a longer list.
  virtual Batch largest(BatchRecipe recipe) const = 0;
  /// What a run that goes on has to find again.
  virtual nlohmann::json description() const = 0;
  /// The names of a classifier's classes, where labels are theirs.
  virtual std::vector<std::string> classes() const { return {}; }
};

/// The files of a dataset, and how long what is read at once may be.
struct DatasetOptions {
  std::string source, target, text, labels;
  std::vector<std::string> classes; // names that are known already; else those of `labels`, sorted
  int64_t length = 0;
  bool trains = false; // else it is read in order, for a measure

  bool given() const { return !source.empty() || !text.empty(); }
};

/// `--source`, `--target` and `--max-length`, `--text` and `--labels`, or `--text` and `--length`; where `validation`
/// is given also its files.
void addDatasetOptions(CLI::App &command, const Session &session, DatasetOptions &options,
                       DatasetOptions *validation = nullptr);

/// Reads the files, and says on stderr what was left out.
Expected<std::unique_ptr<Dataset>> openDataset(const Session &session, const DatasetOptions &options);

} // namespace xf::runtime

#endif // XF_RUNTIME_COMMANDS_DATASET_H
