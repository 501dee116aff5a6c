//===- Json.h - JSON that nobody vouches for ------------------------------------------===//
// The library's parser takes any depth, but its copies and dumps recurse: a file of brackets would overflow the stack.
//===----------------------------------------------------------------------------------===//
#ifndef XF_RUNTIME_JSON_H
#define XF_RUNTIME_JSON_H

#include <nlohmann/json.hpp>
#include <string_view>

namespace xf::runtime {

/// Whether lists and objects are nested deeper than those of any file that is read here.
inline bool nestsTooDeep(std::string_view text) {
  constexpr int most = 100;
  int depth = 0;
  bool isQuoted = false;
  for (size_t i = 0; i < text.size() && depth <= most; ++i)
    if (text[i] == '"')
      isQuoted = !isQuoted;
    else if (isQuoted)
      i += text[i] == '\\';
    else
      depth += (text[i] == '[' || text[i] == '{') - (text[i] == ']' || text[i] == '}');
  return depth > most;
}

/// The JSON of a text; a discarded value, which is neither list nor object, where it is none or nests too deep.
template <typename Json = nlohmann::json> Json parseJson(std::string_view text) {
  return nestsTooDeep(text) ? Json(Json::value_t::discarded)
                            : Json::parse(text.begin(), text.end(), nullptr, /*allow_exceptions=*/false);
}

} // namespace xf::runtime

#endif // XF_RUNTIME_JSON_H
