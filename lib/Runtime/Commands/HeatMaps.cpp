//===- HeatMaps.cpp - What heads attend to, drawn -----------------------------------------------===//
// Maps are PNG images inside the SVG: a rectangle a weight would make a page of six layers too large to open.
//===-------------------------------------------------------------------------------------------===//
#include "HeatMaps.h"
#include "xf/Runtime/Page.h"
#include "xf/Runtime/Text/Unicode.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <fmt/format.h>

using namespace xf::runtime;

//===-- Images ---------------------------------------------------------------------------------===//
static void appendBigEndian(std::string &bytes, uint32_t value) {
  for (int shift = 24; shift >= 0; shift -= 8)
    bytes += char(value >> shift);
}

/// A chunk of a PNG: its length, its type and data, and their CRC-32.
static void appendChunk(std::string &png, const std::string &type, const std::string &data) {
  static const std::array<uint32_t, 256> table = [] {
    std::array<uint32_t, 256> table;
    for (uint32_t i = 0; i < 256; ++i) {
      table[i] = i;
      for (int bit = 0; bit < 8; ++bit)
        table[i] = table[i] & 1 ? 0xEDB88320u ^ table[i] >> 1 : table[i] >> 1;
    }
    return table;
  }();
  appendBigEndian(png, uint32_t(data.size()));
  uint32_t sum = 0xFFFFFFFFu;
  for (char byte : type + data)
    sum = table[(sum ^ uint8_t(byte)) & 0xFF] ^ sum >> 8;
  png += type + data;
  appendBigEndian(png, ~sum);
}

namespace {
/// A block of deflate in its fixed code (RFC 1951, 3.2.6), whose only repetitions are those of the byte before.
class FixedBlock {
public:
  FixedBlock() { add(0b011, 3); } // the last block; the fixed code

  void addByte(uint8_t byte) { byte < 144 ? addCode(0x30 + byte, 8) : addCode(0x190 + byte - 144, 9); }

  /// The byte before `length` times more, 3 to 258 of them.
  void addRepetition(uint32_t length) {
    if (length == 258) {
      addLength(285);
    } else {
      uint32_t rest = length - 3, extra = std::max(std::bit_width(rest), 3u) - 3;
      addLength(257 + 4 * extra + (rest >> extra));
      add(rest & ((1u << extra) - 1), extra);
    }
    add(0, 5); // a distance of one
  }

  std::string finish() {
    addLength(256);
    add(0, 7); // what is pending, filled up to a byte
    return std::move(bytes);
  }

private:
  void addLength(uint32_t symbol) { symbol < 280 ? addCode(symbol - 256, 7) : addCode(0xC0 + symbol - 280, 8); }
  /// A word of the code, whose highest bit comes first.
  void addCode(uint32_t code, uint32_t count) {
    while (count > 0)
      add(code >> --count & 1, 1);
  }
  void add(uint32_t value, uint32_t count) {
    for (pending |= value << pendingBits, pendingBits += count; pendingBits >= 8; pendingBits -= 8, pending >>= 8)
      bytes += char(pending & 0xFF);
  }

  std::string bytes;
  uint32_t pending = 0, pendingBits = 0;
};
} // namespace

/// A stream of zlib, short where bytes repeat.
static std::string deflated(const std::string &data) {
  FixedBlock block;
  for (size_t i = 0; i < data.size();) {
    block.addByte(uint8_t(data[i]));
    size_t end = std::min(data.find_first_not_of(data[i], i), data.size());
    for (++i; end - i >= 3;) {
      size_t length = std::min<size_t>(end - i, 258);
      block.addRepetition(uint32_t(length));
      i += length;
    }
  }
  std::string stream = "\x78\x01" + block.finish();
  uint32_t a = 1, b = 0; // Adler-32
  for (char byte : data) {
    a = (a + uint8_t(byte)) % 65521;
    b = (b + a) % 65521;
  }
  appendBigEndian(stream, b << 16 | a);
  return stream;
}

static std::string base64(const std::string &bytes) {
  constexpr std::string_view digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string text;
  for (size_t i = 0; i < bytes.size(); i += 3) {
    size_t count = std::min<size_t>(3, bytes.size() - i);
    uint32_t word = 0;
    for (size_t j = 0; j < 3; ++j)
      word = word << 8 | (j < count ? uint8_t(bytes[i + j]) : 0);
    for (size_t j = 0; j < 4; ++j)
      text += j <= count ? digits[word >> (18 - 6 * j) & 63] : '=';
  }
  return text;
}

/// Light to dark blue; the ends are those of ColorBrewer's "Blues".
static std::array<uint8_t, 3> color(int level) {
  auto mix = [&](int light, int dark) { return uint8_t(std::lround(light + level / 255.0 * (dark - light))); };
  return {mix(247, 8), mix(251, 48), mix(255, 107)};
}

/// How dark a weight is: by its square root, for in a long sentence most are small.
static double darkness(float weight) { return std::sqrt(std::clamp(weight, 0.0f, 1.0f)); }

/// An image that shows a weight as a square of so many pixels: were it one, what doesn't know `pixelated` (librsvg)
/// would blur weights into each other.
static std::string pngOf(const float *weights, int64_t rows, int64_t columns, int64_t side) {
  std::string header, palette, pixels;
  appendBigEndian(header, uint32_t(columns * side));
  appendBigEndian(header, uint32_t(rows * side));
  header += {8, 3, 0, 0, 0}; // bits of a pixel; a palette; deflate, a filter a row, not interlaced
  for (int level = 0; level < 256; ++level)
    for (uint8_t part : color(level))
      palette += char(part);
  for (int64_t row = 0; row < rows; ++row) {
    pixels += '\0'; // no filter
    for (int64_t column = 0; column < columns; ++column)
      pixels.append(side, char(std::lround(255 * darkness(weights[row * columns + column]))));
    for (int64_t copy = 1; copy < side; ++copy) {
      pixels += '\2'; // what differs from the row above
      pixels.append(columns * side, '\0');
    }
  }
  std::string png = "\x89PNG\r\n\x1a\n";
  appendChunk(png, "IHDR", header);
  appendChunk(png, "PLTE", palette);
  appendChunk(png, "IDAT", deflated(pixels));
  appendChunk(png, "IEND", "");
  return png;
}

//===-- The page -------------------------------------------------------------------------------===//
namespace {
constexpr double fontSize = 11;

/// A token as an axis says it.
struct Label {
  std::string text; // cut where it is long
  double width;     // about
};

/// How large the maps of a layer are drawn.
struct Layout {
  Layout(const std::vector<std::string> &queries, const std::vector<std::string> &keys);

  static int64_t labelEvery(double cell) { return std::max<int64_t>(1, int64_t(std::ceil((fontSize - 1) / cell))); }

  std::vector<Label> queryLabels, keyLabels;
  double cell;              // a weight's width and height
  double left = 0, top = 0; // room for the labels
  double right = 0;         // and for what the last key's takes beyond the map
  double width, height;     // of the map and its labels
};

constexpr double slope = 60; // degrees that the keys' labels rise
} // namespace

/// Cut to what fits an axis, or to `most`.
static Label labelOf(const std::string &text, double most = 110, double size = fontSize) {
  Label label{"", 0};
  for (std::string_view rest = text; !rest.empty();) {
    auto [bytes, columns] = widthOfFirst(rest);
    double width = size * (columns == 2 ? 1.0 : columns == 1 ? 0.56 : 0.0);
    if (label.width + width > most) {
      label.text += "…";
      label.width += size;
      break;
    }
    label.text += rest.substr(0, bytes);
    label.width += width;
    rest.remove_prefix(bytes);
  }
  return label;
}

Layout::Layout(const std::vector<std::string> &queries, const std::vector<std::string> &keys) {
  auto longest = double(std::max(queries.size(), keys.size()));
  cell = std::clamp(std::round(640 / std::max(longest, 1.0)), 3.0, 16.0);
  double radians = slope * M_PI / 180, last = 0;
  for (const std::string &query : queries) {
    queryLabels.push_back(labelOf(query));
    left = std::max(left, queryLabels.back().width);
  }
  for (size_t i = 0; i < keys.size(); ++i) {
    keyLabels.push_back(labelOf(keys[i]));
    top = std::max(top, keyLabels.back().width * std::sin(radians));
    last = std::max(last, double(i + 1) * cell + keyLabels.back().width * std::cos(radians));
  }
  double across = double(keys.size()) * cell;
  left = std::max(left, labelOf("head 00").width) + 12;
  top += 16;
  right = std::max(last - across, 0.0) + fontSize;
  width = left + across + right;
  height = top + double(queries.size()) * cell;
}

static std::string drawHead(const HeatMap &map, int64_t head, const Layout &layout) {
  auto queries = int64_t(map.queries.size()), keys = int64_t(map.keys.size());
  const float *weights = map.weights + head * queries * keys;
  double cell = layout.cell, across = double(keys) * cell, down = double(queries) * cell;
  std::string svg;
  int64_t every = Layout::labelEvery(cell);
  for (int64_t key = 0; key < keys; key += every)
    svg += fmt::format("<text transform=\"translate({:.1f} -7) rotate(-{})\">{}</text>\n", (double(key) + 0.7) * cell,
                       slope, escape(layout.keyLabels[key].text));
  for (int64_t query = 0; query < queries; query += every)
    svg += fmt::format("<text class=\"query\" x=\"-7\" y=\"{:.1f}\">{}</text>\n",
                       (double(query) + 0.5) * cell + fontSize * 0.36, escape(layout.queryLabels[query].text));
  svg += fmt::format("<image width=\"{}\" height=\"{}\" preserveAspectRatio=\"none\" "
                     "href=\"data:image/png;base64,{}\"/>\n",
                     across, down, base64(pngOf(weights, queries, keys, int64_t(cell))));
  svg += fmt::format("<rect class=\"frame\" width=\"{}\" height=\"{}\"/>\n", across, down);
  // What a pointer finds; of each query's weights at most ten can be this large.
  for (int64_t query = 0; query < queries; ++query)
    for (int64_t key = 0; key < keys; ++key)
      if (float weight = weights[query * keys + key]; weight >= 0.1f)
        svg += fmt::format("<rect class=\"cell\" x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\"><title>{} → {}: "
                           "{:.3f}</title></rect>\n",
                           double(key) * cell, double(query) * cell, cell, cell, escape(map.queries[query]),
                           escape(map.keys[key]), weight);
  return svg;
}

/// "Encoder, layer 0: attention" of "encoder.0.attention".
static std::string headingOf(const std::string &name) {
  size_t first = name.find('.'), second = first == name.npos ? first : name.find('.', first + 1);
  if (second == name.npos)
    return name;
  std::string side = name.substr(0, first), what = name.substr(second + 1);
  side[0] = char(std::toupper(side[0]));
  std::replace(what.begin(), what.end(), '_', '-');
  return fmt::format("{}, layer {}: {}", side, name.substr(first + 1, second - first - 1), what);
}

std::string xf::runtime::drawHeatMaps(const std::string &title, const std::vector<HeatMap> &maps) {
  constexpr double margin = 24, gap = 20, screen = 1760, heading = 52, headName = 18, titleSize = 18;
  double width = 640, y = 84;
  std::string body;
  for (const HeatMap &map : maps) {
    Layout layout(map.queries, map.keys);
    int64_t perRow = std::clamp<int64_t>(int64_t(screen / (layout.width + gap)), 1, map.heads);
    body += fmt::format("<text class=\"heading\" x=\"{}\" y=\"{:.1f}\">{} <tspan class=\"faint\">{}</tspan></text>\n",
                        margin, y + 30, escape(headingOf(map.name)), escape(map.name));
    y += heading;
    for (int64_t head = 0; head < map.heads; ++head) {
      double x = margin + double(head % perRow) * (layout.width + gap);
      if (head > 0 && head % perRow == 0)
        y += layout.height + headName + gap;
      body += fmt::format("<g transform=\"translate({:.1f} {:.1f})\">\n<text class=\"query faint\" x=\"-7\" "
                          "y=\"-9\">head {}</text>\n{}</g>\n",
                          x + layout.left, y + layout.top, head, drawHead(map, head, layout));
    }
    y += layout.height + headName + gap;
    width = std::max(width, 2 * margin + double(perRow) * (layout.width + gap) - gap);
  }
  std::string scale;
  for (int level : {0, 255}) {
    auto [red, green, blue] = color(level);
    scale += fmt::format("<stop offset=\"{}\" stop-color=\"#{:02x}{:02x}{:02x}\"/>", level / 255, red, green, blue);
  }
  constexpr double scaleWidth = 160;
  scale = fmt::format("<defs><linearGradient id=\"scale\">{}</linearGradient></defs>\n<rect class=\"scale\" x=\"{}\" "
                      "y=\"46\" width=\"{}\" height=\"8\" fill=\"url(#scale)\"/>\n",
                      scale, margin, scaleWidth);
  for (float weight : {0.0f, 0.1f, 0.25f, 0.5f, 1.0f})
    scale += fmt::format("<text class=\"faint\" x=\"{:.1f}\" y=\"67\" text-anchor=\"middle\">{}</text>\n",
                         margin + scaleWidth * darkness(weight), weight);
  // Bold letters of a wide font, as DejaVu Sans, take a quarter more than others.
  std::string shown = labelOf(title, width - 2 * margin, 1.25 * titleSize).text;
  // pageColors, written out: of what puts pictures into documents (Inkscape, librsvg, CairoSVG) much knows no variables
  // of CSS, and would paint all black.
  return fmt::format(R"svg(<?xml version="1.0" encoding="UTF-8"?>
<svg xmlns="http://www.w3.org/2000/svg" width="{0:.0f}" height="{1:.0f}" viewBox="0 0 {0:.0f} {1:.0f}">
<title>{2}</title>
<style>
svg {{ background: #fff; color-scheme: light dark; }}
.paper {{ fill: #fff; }}
text {{ font: {3}px system-ui, sans-serif; fill: #1c2430; }}
.query {{ text-anchor: end; }}
.title {{ font-size: {9}px; font-weight: 600; }}
.heading {{ font-size: 15px; font-weight: 600; }}
.faint {{ fill: #667080; font-size: {3}px; font-weight: normal; }}
.frame {{ fill: none; stroke: #888; stroke-opacity: 0.25; }}
.cell {{ fill: none; pointer-events: all; }}
.cell:hover {{ stroke: #e0662b; stroke-width: 1.5; }}
image {{ image-rendering: pixelated; }}
@media (prefers-color-scheme: dark) {{
  svg {{ background: #14181e; }}
  .paper {{ fill: #14181e; }}
  text {{ fill: #e4e8ee; }}
  .faint {{ fill: #98a2b0; }}
  image, .scale {{ filter: invert(1) hue-rotate(180deg); }}
}}
</style>
<rect class="paper" width="100%" height="100%"/>
{4}<text class="title" x="{5}" y="32">{6}</text>
<text class="faint" x="{7}" y="55">of the weights of each token at the left for those above</text>
{8}</svg>
)svg",
                     width, y, escape(title), fontSize, scale, margin, escape(shown), margin + scaleWidth + 14, body,
                     titleSize);
}
