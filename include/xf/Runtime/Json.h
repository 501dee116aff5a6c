//===- Json.h - JSON that nobody vouches for ------------------------------------------===//
// The library's parser takes any depth, but its copies and dumps recurse: a file of brackets would overflow the stack.
//===----------------------------------------------------------------------------------===//
#ifndef XF_RUNTIME_JSON_H
#define XF_RUNTIME_JSON_H

#include <nlohmann/json.hpp>
#include <string_view>

namespace xf::runtime {

/// Whether lists and objects are nested deeper than those of any file that is read here.
bool nestsTooDeep(std::string_view text);

/// The JSON of a text; a discarded value, which is neither list nor object, where it is none or nests too deep.
template <typename Json = nlohmann::json> Json parseJson(std::string_view text);

// Compiled in the runtime alone: the compiler's files have no exceptions, where the library's parser would end the
// process and not throw, and of two forms of one function the linker takes either.
extern template nlohmann::json parseJson(std::string_view);
extern template nlohmann::ordered_json parseJson(std::string_view);

} // namespace xf::runtime

#endif // XF_RUNTIME_JSON_H
