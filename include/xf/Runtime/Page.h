//===- Page.h - Pages that need nothing else --------------------------------------------===//
// What the reports, the training curves and the heat maps share: one look in light and dark, no script, nothing from
// elsewhere.
//===----------------------------------------------------------------------------------===//
#ifndef XF_RUNTIME_PAGE_H
#define XF_RUNTIME_PAGE_H

#include <string>
#include <string_view>

namespace xf::runtime {

/// Text as HTML and SVG take it: markup escaped, control characters left out.
std::string escape(std::string_view text);

/// Colours by the reader's preference, as custom properties: --text, --faint, --line, --bar, --paper.
extern const std::string_view pageColors;

/// A page of HTML; `style` follows what all pages share.
std::string htmlPage(std::string_view title, std::string_view style, std::string_view body);

} // namespace xf::runtime

#endif // XF_RUNTIME_PAGE_H
