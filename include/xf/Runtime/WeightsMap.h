//===- WeightsMap.h - Weights under other names ---------------------------------------===//
// Brings the tensors of another project's file under the names of a model's parameters, as a JSON file says
// (docs/Weights.md): patterns of names, stacked matrices taken apart by rows, transposed ones.
//===--------------------------------------------------------------------------------===//
#ifndef XF_RUNTIME_WEIGHTSMAP_H
#define XF_RUNTIME_WEIGHTSMAP_H

#include "xf/Runtime/Safetensors.h"
#include "xf/Runtime/Tensor.h"

namespace xf::runtime {

/// The tensors of `file` as the map at `mapPath` names them. Whether they are those of the model is not looked at, but
/// for the rows of what is taken apart.
Expected<std::vector<OwnedTensor>> mapWeights(const Safetensors &file, const std::string &mapPath,
                                              std::span<const Parameter> parameters);

} // namespace xf::runtime

#endif // XF_RUNTIME_WEIGHTSMAP_H
