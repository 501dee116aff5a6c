//===- HeatMaps.h - What heads attend to, drawn -------------------------------------------------===//
// One page of SVG with a map a head: queries down, keys across.
//===-------------------------------------------------------------------------------------------===//
#ifndef XF_RUNTIME_COMMANDS_HEATMAPS_H
#define XF_RUNTIME_COMMANDS_HEATMAPS_H

#include <cstdint>
#include <string>
#include <vector>

namespace xf::runtime {

/// One layer's weights [heads, queries, keys], from 0 to 1, and the tokens they stand for.
struct HeatMap {
  std::string name;
  const float *weights;
  int64_t heads;
  const std::vector<std::string> &queries, &keys;
};

/// A page that needs nothing else, in light and dark. A map is an image of a pixel a weight and grows little with it,
/// so that long sentences can be drawn; where tokens are too many to name, every second, third, ... is named.
std::string drawHeatMaps(const std::string &title, const std::vector<HeatMap> &maps);

} // namespace xf::runtime

#endif // XF_RUNTIME_COMMANDS_HEATMAPS_H
