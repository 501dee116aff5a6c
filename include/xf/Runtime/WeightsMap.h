//===- WeightsMap.h - Weights under other names ---------------------------------------===//
// Brings the tensors of another project's file under the names of a model's parameters, as a JSON file says
// (docs/Weights.md): patterns of names, stacked matrices taken apart by rows, transposed ones, single rows.
//===--------------------------------------------------------------------------------===//
#ifndef XF_RUNTIME_WEIGHTSMAP_H
#define XF_RUNTIME_WEIGHTSMAP_H

#include "xf/Runtime/Safetensors.h"
#include "xf/Runtime/Tensor.h"

namespace xf::runtime {

/// A map of names, as JSON, and what messages call it.
struct WeightsMap {
  std::string json, name;
};

/// The tensors of the files, of which there is one at least, as the map names them. Whether they are those of the model
/// is not looked at, but for the rows of what is taken apart.
Expected<std::vector<OwnedTensor>> mapWeights(std::span<const Safetensors> files, const WeightsMap &map,
                                              std::span<const Parameter> parameters);

} // namespace xf::runtime

#endif // XF_RUNTIME_WEIGHTSMAP_H
