//===- HuggingFaceSettings.cpp - a JSON file of keys ----------------------===//
// No value is believed to be of the type it should have.
//===----------------------------------------------------------------------===//
#include "HuggingFaceSettings.h"
#include "OtherFormats.h"
#include "xf/Runtime/Files.h"
#include "xf/Runtime/Json.h"

namespace runtime = xf::runtime;
using runtime::Expected;

namespace mlir::xf {

/// A value as a message shows it.
static std::string shown(const Settings::Json &value) {
  std::string text = value.dump(-1, ' ', false, Settings::Json::error_handler_t::replace);
  return text.size() > 60 ? text.substr(0, 60) + "..." : text;
}

Expected<Settings> Settings::read(const std::string &path) {
  Expected<runtime::MappedFile> file = runtime::MappedFile::open(path);
  if (!file)
    return file.error();
  Json json = runtime::parseJson<Json>({file->data().data(), file->data().size()});
  if (!json.is_object() && !json.is_array()) {
    std::string what = otherFormatOf(path);
    return runtime::userError(what.empty() ? "'" + path + "': expected JSON"
                                           : "expected JSON, but '" + path + "' is " + what);
  }
  return Settings(path, std::move(json));
}

std::vector<std::string> Settings::keys() const {
  std::vector<std::string> result;
  for (const auto &[key, value] : json.items())
    result.push_back(key);
  return result;
}

const Settings::Json *Settings::find(const std::string &key) {
  used.insert(key);
  return has(key) ? &json[key] : nullptr;
}

void Settings::fail(const std::string &key, const std::string &expected, const std::string &got) {
  if (problem.empty())
    problem = "'" + file + "': expected '" + place + key + "' " + expected + ", but got " + got;
}

/// Whether it is a whole number that our own type holds.
static bool isWhole(const Settings::Json &value) {
  constexpr uint64_t most = std::numeric_limits<int64_t>::max();
  return value.is_number_integer() && !(value.is_number_unsigned() && value.get<uint64_t>() > most);
}

std::optional<int64_t> Settings::number(const std::string &key, std::optional<int64_t> fallback) {
  const Json *value = find(key);
  if (!value && !fallback)
    fail(key, "to be a whole number", "none");
  if (!value)
    return fallback;
  if (!isWhole(*value)) {
    fail(key, "to be a whole number", shown(*value));
    return std::nullopt;
  }
  return value->get<int64_t>();
}

std::optional<double> Settings::real(const std::string &key, std::optional<double> fallback) {
  const Json *value = find(key);
  if (!value && !fallback)
    fail(key, "to be a number", "none");
  if (!value)
    return fallback;
  if (!value->is_number()) {
    fail(key, "to be a number", shown(*value));
    return std::nullopt;
  }
  return value->get<double>();
}

std::string Settings::text(const std::string &key, const std::string &fallback) {
  const Json *value = find(key);
  if (value && !value->is_string())
    fail(key, "to be text", shown(*value));
  return value && value->is_string() ? value->get<std::string>() : fallback;
}

bool Settings::flag(const std::string &key, bool fallback) {
  const Json *value = find(key);
  if (value && !value->is_boolean())
    fail(key, "to be true or false", shown(*value));
  return value && value->is_boolean() ? value->get<bool>() : fallback;
}

std::vector<std::string> Settings::texts(const std::string &key) {
  std::vector<std::string> result;
  const Json *value = find(key);
  if (value && !value->is_array())
    fail(key, "to be a list", shown(*value));
  for (const Json &each : value && value->is_array() ? *value : Json::array())
    if (each.is_string())
      result.push_back(each.get<std::string>());
    else
      fail(key, "to be a list of texts", shown(*value));
  return result;
}

std::vector<int64_t> Settings::numbers(const std::string &key) {
  std::vector<int64_t> result;
  const Json *value = find(key);
  if (!value)
    return result;
  for (const Json &each : value->is_array() ? *value : Json::array({*value}))
    if (isWhole(each))
      result.push_back(each.get<int64_t>());
    else
      fail(key, "to be a token id or a list of them", shown(*value));
  return result;
}

std::vector<std::vector<int64_t>> Settings::sequences(const std::string &key) {
  std::vector<std::vector<int64_t>> result;
  const Json *value = find(key);
  for (const Json &each : value && value->is_array() ? *value : Json::array()) {
    std::vector<int64_t> &sequence = result.emplace_back();
    for (const Json &id : each.is_array() ? each : Json::array())
      if (isWhole(id))
        sequence.push_back(id.get<int64_t>());
    if (!each.is_array() || sequence.size() != each.size())
      fail(key, "to be a list of lists of token ids", shown(*value));
  }
  if (value && !value->is_array())
    fail(key, "to be a list of lists of token ids", shown(*value));
  return result;
}

Settings Settings::object(const std::string &key) {
  const Json *value = find(key);
  if (value && !value->is_object())
    fail(key, "to be an object", shown(*value));
  Settings part(file, value && value->is_object() ? *value : Json::object());
  part.place = place + key + ".";
  return part;
}

std::vector<std::string> Settings::all(const std::string &key) const {
  std::vector<std::string> result;
  for (const Json &each : json)
    if (each.is_object() && each.contains(key) && each[key].is_string())
      result.push_back(each[key].get<std::string>());
  return result;
}

std::optional<bool> Settings::beginsTexts() const {
  if (!has("post_processor"))
    return std::nullopt;
  const Json &processor = json["post_processor"];
  // A template of a single text, in a sequence perhaps.
  Json parts = processor.contains("processors") ? processor["processors"] : Json::array({processor});
  for (const Json &part : parts)
    if (part.is_object() && part.contains("single") && part["single"].is_array())
      return !part["single"].empty() && part["single"][0].is_object() && part["single"][0].contains("SpecialToken");
  return false;
}

void Settings::only(const std::string &key, const Json &value) {
  const Json *given = find(key);
  if (given && *given != value)
    fail(key, "to be " + (value.is_string() ? value.get<std::string>() : value.dump()) + ", all that is supported",
         given->is_string() ? given->get<std::string>() : shown(*given));
}

void Settings::refuse(const std::string &key, const std::string &supported) {
  if (const Json *given = find(key); given && problem.empty())
    problem = "'" + file + "': '" + place + key + "' is not supported, but got " + shown(*given) + "; " + supported;
}

void Settings::adopt(const Settings &part) {
  if (problem.empty())
    problem = part.problem;
}

Expected<void> Settings::check() const {
  return problem.empty() ? Expected<void>() : Expected<void>(runtime::userError(problem));
}

std::vector<std::string> Settings::unused() const {
  std::vector<std::string> result;
  for (const std::string &key : keys())
    if (!used.contains(key) && has(key))
      result.push_back(key);
  return result;
}
} // namespace mlir::xf
