//===- Format.cpp - fmt, compiled once ----------------------------------------------===//
// Debian has fmt as a shared library, which executables of xf must not need, or as headers alone, which every file then
// compiles again: a fifth of what building the runtime takes. Here they are the static library that it lacks.
//===--------------------------------------------------------------------------------===//
#include <fmt/format-inl.h>

namespace fmt {
inline namespace v9 {
namespace detail {
template dragonbox::decimal_fp<float> dragonbox::to_decimal(float) noexcept;
template dragonbox::decimal_fp<double> dragonbox::to_decimal(double) noexcept;
template locale_ref::locale_ref(const std::locale &);
template std::locale locale_ref::get<std::locale>() const;
template thousands_sep_result<char> thousands_sep_impl(locale_ref);
template char decimal_point_impl(locale_ref);
template void buffer<char>::append(const char *, const char *);
template void vformat_to(buffer<char> &, string_view, basic_format_args<buffer_context<char>>, locale_ref);
} // namespace detail
} // namespace v9
} // namespace fmt
