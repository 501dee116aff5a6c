//===- WeightsMap.cpp - Weights under other names --------------------------------------===//
// Rules in the order of the file; the first whose pattern is a tensor's name decides what becomes of it.
//===--------------------------------------------------------------------------------===//
#include "xf/Runtime/WeightsMap.h"
#include "xf/Runtime/Parameters.h"

#include <algorithm>
#include <cstring>
#include <fmt/format.h>
#include <set>

using namespace xf::runtime;
using nlohmann::ordered_json;

namespace {
/// "encoder.layers.{n}.out.{kind}": {NAME} stands for letters without a dot.
struct Rule {
  struct Part {
    std::string text;                  // or
    std::optional<size_t> placeholder; // its number
  };
  std::string pattern;
  std::vector<Part> parts;
  std::vector<std::string> placeholders; // in their order
  std::vector<std::string> to;           // none: the tensor is left out
  bool transposed = false;
  std::optional<int64_t> addRow; // which row is added to those of what else becomes the name
  std::optional<int64_t> row;    // which row is all that is taken
  int64_t firstRow = 0;          // or from which on
  bool matched = false;
};
} // namespace

/// Calls `literal` and `placeholder` for the parts of a pattern; false where a brace has no partner.
template <typename Literal, typename Placeholder>
static bool forParts(std::string_view pattern, Literal literal, Placeholder placeholder) {
  while (!pattern.empty()) {
    size_t open = pattern.find_first_of("{}");
    literal(pattern.substr(0, open));
    if (open == pattern.npos)
      return true;
    size_t close = pattern.find_first_of("{}", open + 1);
    if (pattern[open] == '}' || close == pattern.npos || pattern[close] == '{' || close == open + 1)
      return false;
    placeholder(std::string(pattern.substr(open + 1, close - open - 1)));
    pattern.remove_prefix(close + 1);
  }
  return true;
}

/// Takes the rule's pattern apart; false where it is none.
static bool compilePattern(Rule &rule) {
  return forParts(
      rule.pattern, [&](std::string_view literal) { rule.parts.push_back({std::string(literal), std::nullopt}); },
      [&](const std::string &name) {
        auto known = std::find(rule.placeholders.begin(), rule.placeholders.end(), name);
        rule.parts.push_back({"", size_t(known - rule.placeholders.begin())});
        if (known == rule.placeholders.end())
          rule.placeholders.push_back(name);
      });
}

/// What the placeholders of a matching name stand for: each for as much as it can, from the left. Steps back a part at
/// a time, for names come from files and are as long as these say.
static bool match(std::span<const Rule::Part> parts, std::string_view name, std::vector<std::string_view> &values) {
  if (parts.empty())
    return name.empty();
  auto rest = parts.subspan(1);
  if (!parts[0].placeholder)
    return name.starts_with(parts[0].text) && match(rest, name.substr(parts[0].text.size()), values);
  std::string_view &value = values[*parts[0].placeholder];
  if (!value.empty()) // it has come before
    return name.starts_with(value) && match(rest, name.substr(value.size()), values);
  for (size_t length = std::min(name.find('.'), name.size()); length > 0; --length) {
    value = name.substr(0, length);
    if (match(rest, name.substr(length), values))
      return true;
  }
  value = {};
  return false;
}

static Expected<std::vector<Rule>> readRules(const WeightsMap &map) {
  auto invalid = [&](const std::string &problem) {
    return userError(fmt::format("weights map '{}': {}", map.name, problem));
  };
  ordered_json json;
  try {
    json = ordered_json::parse(map.json, nullptr, /*allow_exceptions=*/true, /*ignore_comments=*/true);
  } catch (const ordered_json::parse_error &problem) {
    std::string reason = problem.what(); // "[json.exception.parse_error.101] parse error at line 3, column 5: ..."
    return invalid(reason.substr(std::min(reason.find("] ") + 2, reason.size())));
  }
  if (!json.is_object())
    return invalid("expected a JSON object of rules");
  std::vector<Rule> rules;
  for (const auto &[pattern, value] : json.items()) {
    Rule &rule = rules.emplace_back();
    rule.pattern = pattern;
    if (!compilePattern(rule))
      return invalid(fmt::format("expected '{}' to be a name with {{placeholders}}", pattern));
    const ordered_json *to = &value;
    if (value.is_object()) {
      for (const auto &[key, setting] : value.items())
        if (key != "to" && !(key == "transposed" && setting.is_boolean()) &&
            !((key == "add_row" || key == "row" || key == "first_row") && setting.is_number_unsigned() &&
              setting.get<uint64_t>() <= uint64_t(INT64_MAX)))
          return invalid(fmt::format("'{}': expected \"to\", and \"transposed\": true or false, or \"row\", "
                                     "\"first_row\" or \"add_row\": a row's number, but got '{}'",
                                     pattern, key));
      rule.transposed = value.value("transposed", false);
      if (value.contains("add_row"))
        rule.addRow = value["add_row"].get<int64_t>();
      if (value.contains("row"))
        rule.row = value["row"].get<int64_t>();
      rule.firstRow = value.value("first_row", int64_t(0));
      to = value.contains("to") ? &value["to"] : nullptr;
    }
    auto add = [&](const ordered_json &name) {
      if (name.is_string())
        rule.to.push_back(name.get<std::string>());
      return name.is_string();
    };
    bool names = to && (to->is_array() ? !to->empty() && std::all_of(to->begin(), to->end(), add) : add(*to));
    if (!names && !value.is_null())
      return invalid(
          fmt::format("expected '{}' to become a name, a list of names, or null, but got {}", pattern, value.dump()));
    for (const std::string &name : rule.to) {
      std::string unknown;
      bool whole = forParts(
          name, [](std::string_view) {},
          [&](const std::string &placeholder) {
            if (std::find(rule.placeholders.begin(), rule.placeholders.end(), placeholder) == rule.placeholders.end())
              unknown = placeholder;
          });
      if (!whole || !unknown.empty())
        return invalid(fmt::format("expected '{}' to be made of the placeholders of '{}'", name, pattern));
    }
  }
  return rules;
}

/// A name of the model's, with what the placeholders stand for.
static std::string substitute(std::string_view name, const Rule &rule, std::span<const std::string_view> values) {
  std::string text;
  forParts(
      name, [&](std::string_view literal) { text += literal; },
      [&](const std::string &placeholder) {
        text += values[std::find(rule.placeholders.begin(), rule.placeholders.end(), placeholder) -
                       rule.placeholders.begin()];
      });
  return text;
}

static OwnedTensor transpose(const TensorView &tensor) {
  int64_t rows = tensor.shape[0], columns = tensor.shape[1];
  OwnedTensor result(std::string(tensor.name), tensor.type, {columns, rows});
  const char *from = static_cast<const char *>(tensor.data); // at any address
  int64_t width = byteWidth(tensor.type);
  for (int64_t row = 0; row < rows; ++row)
    for (int64_t column = 0; column < columns; ++column)
      std::memcpy(result.as<char>() + (column * rows + row) * width, from + (row * columns + column) * width, width);
  return result;
}

/// Takes a tensor apart by rows, into parameters of these names.
static Expected<std::vector<OwnedTensor>> split(const TensorView &tensor, const std::vector<std::string> &names,
                                                std::span<const Parameter> parameters) {
  std::vector<OwnedTensor> parts;
  int64_t begin = 0, rowBytes = tensor.shape[0] ? tensor.bytes() / tensor.shape[0] : 0;
  std::vector<std::vector<int64_t>> shapes;
  for (const std::string &name : names) {
    auto parameter =
        std::find_if(parameters.begin(), parameters.end(), [&](const Parameter &p) { return p.name == name; });
    if (parameter == parameters.end())
      return userError(fmt::format("'{}' is stacked of {}, but the model has no parameter '{}'", tensor.name,
                                   fmt::join(names, ", "), name));
    shapes.push_back(tensor.shape);
    shapes.back()[0] = parameter->shape[0];
    begin += parameter->shape[0];
  }
  if (begin != tensor.shape[0])
    return userError(fmt::format("expected '{}' to have as many rows as {} together ({}), but got {}", tensor.name,
                                 fmt::join(names, ", "), begin, tensor.shape[0]));
  const char *data = static_cast<const char *>(tensor.data);
  for (size_t i = 0; i < names.size(); ++i) {
    OwnedTensor &part = parts.emplace_back(names[i], tensor.type, shapes[i]);
    std::memcpy(part.as<char>(), data, shapes[i][0] * rowBytes);
    data += shapes[i][0] * rowBytes;
  }
  return parts;
}

namespace {
/// Brings one tensor after another under its new name.
class Mapper {
public:
  Mapper(std::vector<Rule> rules, std::span<const Parameter> parameters)
      : rules(std::move(rules)), parameters(parameters) {}

  Expected<void> add(TensorView tensor, const std::string &path);
  /// Adds the rows, once everything is there.
  Expected<std::vector<OwnedTensor>> finish(const std::string &path, const WeightsMap &map);

private:
  struct Row {
    TensorView tensor;
    std::string to;
    int64_t number;
  };
  std::vector<Rule> rules;
  std::span<const Parameter> parameters;
  std::vector<OwnedTensor> result;
  std::map<std::string, std::string_view> given; // by which tensor
  std::vector<Row> rows;
};
} // namespace

Expected<void> Mapper::add(TensorView tensor, const std::string &path) {
  std::vector<std::string_view> values;
  auto rule = std::find_if(rules.begin(), rules.end(), [&](const Rule &r) {
    values.assign(r.placeholders.size(), {});
    return match(r.parts, tensor.name, values);
  });
  std::vector<std::string> names{std::string(tensor.name)};
  if (rule != rules.end()) {
    rule->matched = true;
    names.clear();
    for (const std::string &name : rule->to)
      names.push_back(substitute(name, *rule, values));
    if (names.empty())
      return {};
  }
  if (rule != rules.end() && rule->addRow) {
    if (tensor.shape.size() != 2 || !isReal(tensor.type) || *rule->addRow >= tensor.shape[0])
      return userError(fmt::format(
          "expected '{}' to be a matrix of numbers with a row {}, which rule '{}' adds, but got {} {}", tensor.name,
          *rule->addRow, rule->pattern, xf::runtime::name(tensor.type), formatShape(tensor.shape)));
    for (const std::string &name : names)
      rows.push_back({tensor, name, *rule->addRow});
    return {};
  }
  for (const std::string &name : names)
    if (auto [other, isNew] = given.emplace(name, tensor.name); !isNew)
      return userError(fmt::format("'{}' and '{}' of '{}' both become '{}'; null leaves one out", other->second,
                                   tensor.name, path, name));
  if (rule != rules.end() && rule->row) {
    if (tensor.shape.size() != 2 || *rule->row >= tensor.shape[0])
      return userError(fmt::format("expected '{}' to be a matrix with a row {}, which rule '{}' takes, but got {} {}",
                                   tensor.name, *rule->row, rule->pattern, xf::runtime::name(tensor.type),
                                   formatShape(tensor.shape)));
    tensor.shape.erase(tensor.shape.begin());
    tensor.data = static_cast<char *>(tensor.data) + *rule->row * tensor.bytes();
  }
  if (rule != rules.end() && rule->firstRow) {
    if (tensor.shape.empty() || rule->firstRow >= tensor.shape[0])
      return userError(fmt::format("expected '{}' to have a row {}, from which on rule '{}' takes it, but got {} {}",
                                   tensor.name, rule->firstRow, rule->pattern, xf::runtime::name(tensor.type),
                                   formatShape(tensor.shape)));
    tensor.data = static_cast<char *>(tensor.data) + rule->firstRow * (tensor.bytes() / tensor.shape[0]);
    tensor.shape[0] -= rule->firstRow;
  }
  std::optional<OwnedTensor> turned;
  if (rule != rules.end() && rule->transposed) {
    if (tensor.shape.size() != 2)
      return userError(fmt::format("expected '{}' to be a matrix, which rule '{}' transposes, but got {} {}",
                                   tensor.name, rule->pattern, xf::runtime::name(tensor.type),
                                   formatShape(tensor.shape)));
    turned = transpose(tensor);
    tensor.shape = turned->view().shape;
    tensor.data = turned->view().data;
  }
  if (names.size() > 1) {
    if (tensor.shape.empty())
      return userError(fmt::format("expected '{}' to have rows, which rule '{}' takes apart, but it is one number",
                                   tensor.name, rule->pattern));
    Expected<std::vector<OwnedTensor>> parts = split(tensor, names, parameters);
    if (!parts)
      return parts.error();
    result.insert(result.end(), parts->begin(), parts->end());
    return {};
  }
  OwnedTensor &copy = result.emplace_back(names[0], tensor.type, tensor.shape);
  std::memcpy(copy.as<char>(), tensor.data, tensor.bytes());
  return {};
}

Expected<std::vector<OwnedTensor>> Mapper::finish(const std::string &path, const WeightsMap &map) {
  for (const Rule &rule : rules)
    if (!rule.matched && !rule.to.empty())
      return userError(
          fmt::format("weights map '{}': no tensor of '{}' has the name '{}'", map.name, path, rule.pattern));
  for (const Row &row : rows) {
    auto to = std::find_if(result.begin(), result.end(),
                           [&](const OwnedTensor &tensor) { return tensor.view().name == row.to; });
    int64_t width = row.tensor.shape[1];
    if (to == result.end() || !isReal(to->view().type) || to->view().shape.empty() || to->view().shape.back() != width)
      return userError(fmt::format("a row of '{}' is added to '{}', but there is no such tensor of width {}",
                                   row.tensor.name, row.to, width));
    OwnedTensor sum(row.to, ElementType::F32, to->view().shape);
    copyReals(to->view(), sum.as<float>());
    TensorView values = row.tensor;
    values.shape = {width};
    values.data = static_cast<char *>(values.data) + row.number * values.bytes();
    std::vector<float> added(width);
    copyReals(values, added.data());
    for (int64_t i = 0, count = sum.view().elements(); i < count; ++i)
      sum.as<float>()[i] += added[i % width];
    *to = std::move(sum);
  }
  return std::move(result);
}

Expected<std::vector<OwnedTensor>> xf::runtime::mapWeights(std::span<const Safetensors> files, const WeightsMap &map,
                                                           std::span<const Parameter> parameters) {
  Expected<std::vector<Rule>> rules = readRules(map);
  if (!rules)
    return rules.error();
  Mapper mapper(std::move(*rules), parameters);
  for (const Safetensors &file : files)
    for (const TensorView &tensor : file.tensors())
      if (Expected<void> added = mapper.add(tensor, file.path()); !added)
        return added.error();
  return mapper.finish(files.front().path(), map);
}
