//===- Walk.cpp - A call, laid out in memory ---------------------------------------------===//
// Operands to addresses, grids to numbers of tiles, loops to the steps of their chunks.
//===------------------------------------------------------------------------------------===//
#include "xf/Runtime/Walk.h"
#include "xf/Runtime/Tensor.h"

using namespace xf::runtime;

ArenaPlan xf::runtime::planFunction(const Function &function, std::span<const int64_t> at) {
  std::vector<Interval> intervals;
  intervals.reserve(function.slots.size());
  for (const Slot &slot : function.slots)
    intervals.push_back({slot.bytes.at(at), slot.first, slot.last});
  return planArena(intervals);
}

static int64_t tileCount(const Dispatch &dispatch, std::span<const int64_t> dims) {
  int64_t tiles = 1;
  for (const GridAxis &axis : dispatch.grid)
    tiles *= (axis.extent.at(dims) + axis.tile - 1) / axis.tile;
  return tiles;
}

void Walk::layOut(const Function &function, std::span<const int64_t> dims, const ArenaPlan &plan,
                  const Places &places) {
  steps.clear();
  pointers.clear();
  bytes.clear();
  extents.clear();
  /// The memory of an operand.
  auto place = [&](const Operand &operand) -> std::span<char> {
    auto tensor = [&](char *data, const TensorType &type) { return std::span(data, type.bytesAt(dims)); };
    switch (operand.space) {
    case Space::Slot: {
      std::span<char> slot{places.slots + plan.offsets[operand.index],
                           size_t(function.slots[operand.index].bytes.at(dims))};
      return operand.bytes ? slot.subspan(operand.offset, operand.bytes) : slot;
    }
    case Space::Input:
      return tensor(places.inputs[operand.index], function.inputs[operand.index]);
    case Space::Output:
      return tensor(places.outputs[operand.index], function.outputs[operand.index]);
    default:
      return {places.arenas.at(operand.space) + operand.index * sizeof(float), operand.elements * sizeof(float)};
    }
  };
  /// One dispatch, on the rows from `row` on of what it sees a chunk of.
  auto addStep = [&](int64_t number, std::span<const int64_t> dims, int64_t row, int64_t rows) {
    const Dispatch &dispatch = function.dispatches[number].at(dims);
    int64_t count = tileCount(dispatch, dims);
    if (count <= 0)
      return;
    steps.push_back({&dispatch, pointers.size(), extents.size(), count, number});
    for (size_t i = 0; i < dispatch.operands.size(); ++i) {
      std::span<char> operand = place(dispatch.operands[i]);
      if (int64_t width = dispatch.chunkBytes[i])
        operand = operand.subspan(row * width, rows * width);
      pointers.push_back(operand.data());
      bytes.push_back(operand.size());
    }
    for (const Affine &dim : dispatch.dims)
      extents.push_back(dim.at(dims));
  };
  auto loop = function.loops.begin();
  for (int64_t i = 0; i < int64_t(function.dispatches.size());) {
    if (loop == function.loops.end() || i < loop->begin) {
      addStep(i++, dims, 0, 0);
      continue;
    }
    std::vector<int64_t> inChunk(dims.begin(), dims.end());
    int64_t total = dims[loop->of], chunk = dims[loop->dim];
    for (int64_t row = 0; row < total; row += chunk) {
      inChunk[loop->dim] = std::min(chunk, total - row);
      for (int64_t d = loop->begin; d < loop->end; ++d)
        addStep(d, inChunk, row, inChunk[loop->dim]);
    }
    i = loop++->end;
  }
}
