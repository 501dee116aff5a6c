//===- Safetensors.cpp - Named tensors in a file -------------------------------------===//
// Nothing in a file is believed: lengths, types, shapes, ranges and names are checked before any
// pointer is made from them.
//===--------------------------------------------------------------------------------===//
#include "xf/Runtime/Safetensors.h"
#include "xf/Runtime/Checksum.h"
#include "xf/Runtime/Json.h"
#include "xf/Runtime/Parameters.h"

#include <algorithm>
#include <cstring>
#include <fmt/format.h>
#include <set>

using namespace xf::runtime;
using nlohmann::json;

static constexpr std::string_view checksumKey = "xf.checksum";
static constexpr std::pair<ElementType, const char *> typeNames[] = {
    {ElementType::F32, "F32"},   {ElementType::I32, "I32"},   {ElementType::I64, "I64"}, {ElementType::F64, "F64"},
    {ElementType::Bool, "BOOL"}, {ElementType::BF16, "BF16"}, {ElementType::F16, "F16"}, {ElementType::I8, "I8"},
    {ElementType::I8, "U8"}};                         // bytes that nothing reads: the masks of older GPT-2 folders
static constexpr int64_t maximalHeader = 100'000'000; // the format's own limit

namespace {
/// Where a tensor's bytes lie in the data section.
struct Range {
  int64_t begin, end;
  std::string_view name;
};
} // namespace

/// The checksum covers the header as it is without it, and the values.
static std::string checksumOf(json header, std::span<const std::string_view> parts, std::span<const char> mapped = {}) {
  header["__metadata__"].erase(checksumKey);
  std::string text = header.dump();
  Checksum checksum;
  checksum.add(text);
  for (std::string_view part : parts)
    checksum.add(part, [&](std::string_view read) {
      if (!mapped.empty())
        MappedFile::forget(read, mapped);
    });
  return checksum.text();
}

/// Parses the header; a name that comes twice would otherwise silently win over the first.
static json parseHeader(std::string_view text, std::string &problem) {
  if (nestsTooDeep(text)) {
    problem = "the header's lists and objects nest too deep";
    return json();
  }
  std::vector<std::set<std::string>> keys;
  auto watch = [&](int, json::parse_event_t event, json &value) {
    if (event == json::parse_event_t::object_start)
      keys.emplace_back();
    else if (event == json::parse_event_t::object_end)
      keys.pop_back();
    else if (event == json::parse_event_t::key && !keys.back().insert(value.get<std::string>()).second)
      problem = fmt::format("the name '{}' comes twice", value.get<std::string>());
    return true;
  };
  json header = json::parse(text.begin(), text.end(), watch, /*allow_exceptions=*/false);
  if (header.is_discarded())
    problem = "the header is not JSON";
  else if (!header.is_object())
    problem = "the header is not a JSON object";
  return header;
}

static std::optional<int64_t> nonNegative(const json &value) {
  if (!value.is_number_unsigned() || value.get<uint64_t>() > uint64_t(INT64_MAX))
    return std::nullopt;
  return value.get<int64_t>();
}

/// Reads one entry of the header into `view` and `range`, or says what is wrong with it.
static std::string parseEntry(const json &entry, int64_t dataBytes, TensorView &view, Range &range) {
  if (!entry.is_object() || !entry.contains("dtype") || !entry.contains("shape") || !entry.contains("data_offsets"))
    return "has no 'dtype', 'shape' or 'data_offsets'";
  const json &type = entry["dtype"], &shape = entry["shape"], &offsets = entry["data_offsets"];
  auto known =
      std::find_if(std::begin(typeNames), std::end(typeNames), [&](auto &entry) { return type == entry.second; });
  if (known == std::end(typeNames))
    return fmt::format("has the type {}; supported are F32, BF16, F16, I32, I64, F64, BOOL, I8 and U8",
                       type.dump(-1, ' ', false, json::error_handler_t::replace));
  view.type = known->first;
  int64_t bytes = byteWidth(view.type);
  if (!shape.is_array() || shape.size() > 16)
    return "has a shape that is not a list of at most 16 numbers";
  for (const json &extent : shape) {
    std::optional<int64_t> size = nonNegative(extent);
    if (!size || __builtin_mul_overflow(bytes, *size, &bytes))
      return "has an extent that is not a number or too large";
    view.shape.push_back(*size);
  }
  if (!offsets.is_array() || offsets.size() != 2 || !nonNegative(offsets[0]) || !nonNegative(offsets[1]))
    return "has 'data_offsets' that are not two numbers";
  range.begin = *nonNegative(offsets[0]);
  range.end = *nonNegative(offsets[1]);
  if (range.begin > range.end || range.end > dataBytes)
    return fmt::format("lies at bytes {} to {} of {}: the file is truncated or corrupt", range.begin, range.end,
                       dataBytes);
  if (range.end - range.begin != bytes)
    return fmt::format("has {} bytes where its shape {} needs {}", range.end - range.begin, formatShape(view.shape),
                       bytes);
  return "";
}

Expected<Safetensors> Safetensors::parse(std::span<const char> bytes, const std::string &path, bool isMapped) {
  auto invalid = [&](std::string_view problem) {
    return userError(fmt::format("'{}' is not a valid safetensors file: {}", path, problem));
  };
  if (bytes.size() < 8)
    return invalid(fmt::format("it has {} bytes, the header's length alone takes 8", bytes.size()));
  uint64_t headerBytes;
  std::memcpy(&headerBytes, bytes.data(), 8);
  if (headerBytes > maximalHeader || headerBytes > bytes.size() - 8)
    return invalid(
        fmt::format("the header has {} bytes, the file {}: it is truncated or corrupt", headerBytes, bytes.size()));
  std::string problem;
  json header = parseHeader({bytes.data() + 8, headerBytes}, problem);
  if (!problem.empty())
    return invalid(problem);

  Safetensors result;
  result.origin = path;
  if (isMapped)
    result.mapped = bytes;
  std::string_view data(bytes.data() + 8 + headerBytes, bytes.size() - 8 - headerBytes);
  std::vector<Range> ranges;
  for (const auto &[name, entry] : header.items()) {
    if (name == "__metadata__") {
      if (!entry.is_object())
        return invalid("'__metadata__' is not an object");
      for (const auto &[key, value] : entry.items()) {
        if (!value.is_string())
          return invalid(fmt::format("the metadata '{}' is not a string", key));
        result.entries[key] = value.get<std::string>();
      }
      continue;
    }
    TensorView view;
    Range range;
    if (std::string wrong = parseEntry(entry, data.size(), view, range); !wrong.empty())
      return invalid(fmt::format("tensor '{}' {}", name, wrong));
    view.data = const_cast<char *>(data.data()) + range.begin;
    auto inserted = result.byName.emplace(name, std::move(view)).first;
    inserted->second.name = inserted->first;
    range.name = inserted->first;
    ranges.push_back(range);
  }
  std::sort(ranges.begin(), ranges.end(),
            [](const Range &a, const Range &b) { return std::pair(a.begin, a.end) < std::pair(b.begin, b.end); });
  int64_t end = 0;
  for (const Range &range : ranges) {
    if (range.begin != end)
      return invalid(fmt::format("tensor '{}' {}", range.name,
                                 range.begin < end ? "overlaps another" : "lies behind bytes of no tensor"));
    end = range.end;
  }
  if (end != int64_t(data.size()))
    return invalid(fmt::format("it has {} bytes after the last tensor", data.size() - end));
  if (auto claimed = result.entries.find(std::string(checksumKey)); claimed != result.entries.end()) {
    std::vector<std::string_view> parts;
    for (const Range &range : ranges)
      parts.push_back(data.substr(range.begin, range.end - range.begin));
    if (std::string actual = checksumOf(header, parts, result.mapped); actual != claimed->second)
      return invalid(fmt::format("expected its checksum to be {}, but got {}", claimed->second, actual));
  }
  for (const auto &[name, view] : result.byName)
    result.views.push_back(view);
  if (isMapped)
    MappedFile::forget(bytes.first(8 + headerBytes), bytes);
  return result;
}

Expected<Safetensors> Safetensors::open(const std::string &path) {
  Expected<MappedFile> file = MappedFile::open(path);
  if (!file)
    return file.error();
  Expected<Safetensors> result = parse(file->data(), path, /*isMapped=*/true);
  if (result)
    result->file = std::move(*file);
  return result;
}

void Safetensors::moveReals(const TensorView &tensor, float *to) const {
  constexpr int64_t stretch = int64_t(1) << 20;
  for (int64_t begin = 0, count = tensor.elements(); begin < count; begin += stretch) {
    TensorView part = tensor;
    part.shape = {std::min(stretch, count - begin)};
    part.data = static_cast<char *>(tensor.data) + begin * byteWidth(tensor.type);
    copyReals(part, to + begin);
    if (!mapped.empty())
      MappedFile::forget({static_cast<const char *>(part.data), size_t(part.bytes())}, mapped);
  }
}

const TensorView *Safetensors::find(std::string_view name) const {
  auto found = byName.find(name);
  return found == byName.end() ? nullptr : &found->second;
}

Expected<void> xf::runtime::writeSafetensors(const std::string &path, std::span<const TensorView> tensors,
                                             const Safetensors::Metadata &metadata) {
  std::vector<TensorView> sorted(tensors.begin(), tensors.end());
  // Wider elements first, so that every tensor is aligned to its own width.
  std::sort(sorted.begin(), sorted.end(), [](const TensorView &a, const TensorView &b) {
    return std::pair(-byteWidth(a.type), a.name) < std::pair(-byteWidth(b.type), b.name);
  });
  json header = json::object();
  header["__metadata__"] = metadata;
  std::vector<std::string_view> parts;
  int64_t offset = 0;
  for (const TensorView &tensor : sorted) {
    const char *type = std::find_if(std::begin(typeNames), std::end(typeNames), [&](auto &entry) {
                         return entry.first == tensor.type;
                       })->second;
    int64_t bytes = tensor.bytes();
    header[std::string(tensor.name)] = {
        {"dtype", type}, {"shape", tensor.shape}, {"data_offsets", {offset, offset + bytes}}};
    // An empty part may have no address.
    if (bytes)
      parts.emplace_back(static_cast<const char *>(tensor.data), bytes);
    else
      parts.emplace_back();
    offset += bytes;
  }
  header["__metadata__"][std::string(checksumKey)] = checksumOf(header, parts);
  std::string text = header.dump();
  text.append((64 - (text.size() + 8) % 64) % 64, ' '); // values start on a cache line
  uint64_t headerBytes = text.size();
  std::string_view length(reinterpret_cast<const char *>(&headerBytes), 8);
  parts.insert(parts.begin(), {length, text});
  return writeFile(path, parts);
}
