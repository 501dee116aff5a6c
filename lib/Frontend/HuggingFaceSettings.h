//===- HuggingFaceSettings.h - a JSON file of keys --------------*- C++ -*-===//
// Asks for keys by type and remembers which were asked for. The first that is not as it should be is told by `check`,
// so that a reader need not look after every key.
//===----------------------------------------------------------------------===//
#ifndef XF_FRONTEND_HUGGINGFACESETTINGS_H
#define XF_FRONTEND_HUGGINGFACESETTINGS_H

#include "xf/Runtime/Error.h"
#include "llvm/ADT/StringRef.h"
#include <nlohmann/json.hpp>
#include <set>

namespace mlir::xf {

class Settings {
public:
  using Json = nlohmann::ordered_json;

  static ::xf::runtime::Expected<Settings> read(const std::string &path);
  /// Of `json`, an object or a list.
  Settings(std::string path, Json json) : file(std::move(path)), json(std::move(json)) {}

  const std::string &path() const { return file; }
  bool empty() const { return json.empty(); }
  std::vector<std::string> keys() const;
  /// Whether the key has a value: null is none.
  bool has(const std::string &key) const { return json.is_object() && json.contains(key) && !json[key].is_null(); }

  /// Whether it is there without a value, which may be another thing than not to be there.
  bool isNull(const std::string &key) const { return json.is_object() && json.contains(key) && json[key].is_null(); }

  bool isList(const std::string &key) const { return has(key) && json[key].is_array(); }

  // The value, or the fallback where there is none; without a fallback it has to be there.
  std::optional<int64_t> number(const std::string &key, std::optional<int64_t> fallback = std::nullopt);
  std::optional<double> real(const std::string &key, std::optional<double> fallback = std::nullopt);
  std::string text(const std::string &key, const std::string &fallback);
  bool flag(const std::string &key, bool fallback);
  std::vector<std::string> texts(const std::string &key);              // a list of texts
  std::vector<int64_t> numbers(const std::string &key);                // one, or a list
  std::vector<std::vector<int64_t>> sequences(const std::string &key); // a list of lists of numbers
  Settings object(const std::string &key);
  /// The values of a key of a list's objects.
  std::vector<std::string> all(const std::string &key) const;

  /// Of a tokenizer.json: whether a special token comes before a text, where it says so.
  std::optional<bool> beginsTexts() const;

  /// No other value is supported.
  void only(const std::string &key, const Json &value);
  /// No value is supported.
  void refuse(const std::string &key, const std::string &supported);
  /// What is wrong with a key: "to be a number".
  void fail(const std::string &key, const std::string &expected, const std::string &got);
  /// Takes over what is wrong with a part.
  void adopt(const Settings &part);

  ::xf::runtime::Expected<void> check() const;
  /// Keys with a value that nobody asked for.
  std::vector<std::string> unused() const;

private:
  const Json *find(const std::string &key);
  std::string file;
  std::string place; // of an object within the file: "rope_scaling."
  Json json;
  std::set<std::string> used;
  std::string problem;
};
} // namespace mlir::xf

#endif
