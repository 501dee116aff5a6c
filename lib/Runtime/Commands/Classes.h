//===- Classes.h - Texts and their classes -----------------------------------------------------===//
// What a classifier reads, and what its classes are called: weights carry the names that they were trained with.
//===-------------------------------------------------------------------------------------------===//
#ifndef XF_RUNTIME_COMMANDS_CLASSES_H
#define XF_RUNTIME_COMMANDS_CLASSES_H

#include "Commands.h"
#include "Dataset.h"

#include <functional>

namespace xf::runtime {

/// Tokens of a text that an encoder can read, its two marks aside; 0: any number.
int64_t longestText(const Session &session);

/// How many classes the program tells apart.
int64_t classCount(const Session &session);

/// A text as an encoder reads it: with its marks.
std::vector<int32_t> markText(const Vocabulary &vocabulary, std::vector<int32_t> ids);

using Texts = std::span<const std::vector<int32_t>>;
/// Which texts are computed together: those of like length, in batches of 2,048 tokens or of one text.
std::vector<std::vector<size_t>> batchesOfTexts(Texts texts);
/// Reads stdin line by line as texts for an encoder; `answer` prints results for some at a time. Texts that are too
/// long are cut, and counted on stderr.
Expected<int> answerLines(Session &session, const Vocabulary &vocabulary,
                          const std::function<Expected<void>(Texts texts)> &answer);

/// A classifier's inputs, labels aside: packed texts, and a row for each.
Batch packTexts(std::span<const std::span<const int32_t>> texts);
Batch labelled(Batch batch, std::vector<int32_t> labels);

/// What the classes are called that these weights tell apart; none where they don't say. In a file's metadata it is
/// the entry of this name.
inline constexpr const char *classesEntry = "xf.classes";
std::vector<std::string> classNames(const Safetensors &file);
std::string classNamesText(const std::vector<std::string> &names);
/// The same, and numbers where weights don't say.
Expected<std::vector<std::string>> classNames(const Session &session, const std::string &model);

/// What the classes of a run are called already: one that goes on, or starts from weights, has their names.
Expected<std::vector<std::string>> knownClasses(const Session &session, const std::string &run,
                                                const std::string &model);

/// Texts with the numbers of their classes for targets. Where no names are given, they become those of the labels, in
/// sorted order. Texts that are too long are cut, and counted on stderr.
Expected<SentencePairs> readLabelled(const Session &session, const Vocabulary &vocabulary, const std::string &texts,
                                     const std::string &labels, std::vector<std::string> &names);

/// Whether a file has weights of an encoder, and none of what tells its texts' classes apart.
bool isHeadless(const Session &session, const Safetensors &file);
/// Starts a classifier from such a file: its head is drawn by the seed.
Expected<void> loadHeadless(const Program &program, const Safetensors &file, uint64_t seed, ModelState &state);

void addClassify(CLI::App &app, Session &session, Action &action);

} // namespace xf::runtime

#endif // XF_RUNTIME_COMMANDS_CLASSES_H
