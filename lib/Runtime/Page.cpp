//===- Page.cpp - Pages that need nothing else ------------------------------------------===//
#include "xf/Runtime/Page.h"

#include <fmt/format.h>

using namespace xf::runtime;

std::string xf::runtime::escape(std::string_view text) {
  std::string escaped;
  for (char c : text)
    switch (c) {
    case '<':
      escaped += "&lt;";
      break;
    case '>':
      escaped += "&gt;";
      break;
    case '&':
      escaped += "&amp;";
      break;
    case '"':
      escaped += "&quot;";
      break;
    default:
      if (static_cast<unsigned char>(c) >= 0x20)
        escaped += c;
    }
  return escaped;
}

constexpr std::string_view xf::runtime::pageColors =
    R"(:root { color-scheme: light dark; --text: #1c2430; --faint: #667080; --line: #8884; --bar: #3b82f655; --paper: #fff; }
@media (prefers-color-scheme: dark) { :root { --text: #e4e8ee; --faint: #98a2b0; --paper: #14181e; } }
)";

std::string xf::runtime::htmlPage(std::string_view title, std::string_view style, std::string_view body) {
  return fmt::format(R"(<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>{0}</title>
<style>
{1}body {{ font: 14px/1.4 system-ui, sans-serif; margin: 2em; color: var(--text); background: var(--paper); }}
table {{ border-collapse: collapse; font-variant-numeric: tabular-nums; }}
th, td {{ padding: .2em .7em; border-bottom: 1px solid var(--line); text-align: left; white-space: nowrap; }}
.n {{ text-align: right; }}
{2}</style>
</head>
<body>
<h1>{0}</h1>
{3}</body>
</html>
)",
                     escape(title), pageColors, style, body);
}
