//===- Json.cpp - JSON that nobody vouches for ----------------------------------------===//
// The parser's two instances, for values whose keys are sorted and for those that keep a file's order.
//===----------------------------------------------------------------------------------===//
#include "xf/Runtime/Json.h"

bool xf::runtime::nestsTooDeep(std::string_view text) {
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

template <typename Json> Json xf::runtime::parseJson(std::string_view text) {
  return nestsTooDeep(text) ? Json(Json::value_t::discarded)
                            : Json::parse(text.begin(), text.end(), nullptr, /*allow_exceptions=*/false);
}

template nlohmann::json xf::runtime::parseJson(std::string_view);
template nlohmann::ordered_json xf::runtime::parseJson(std::string_view);
