//===- Loading.cpp - In which order predictions come by their weights ---------------===//
// Read off the operands of dispatches: nothing but a dispatch reads a weight.
//===--------------------------------------------------------------------------------===//
#include "xf/Runtime/Loading.h"

#include <functional>

using namespace xf::runtime;

Loading::Loading(const Program &program, std::span<const Function *const> functions) {
  const Function *prepare = program.function("prepare");
  size_t count = program.parameters.size();
  std::map<int64_t, size_t> byEnd; // where each parameter ends in the flat array
  for (size_t i = 0; i < count; ++i)
    if (int64_t elements = program.parameters[i].elements())
      byEnd[program.parameters[i].offset + elements] = i;
  auto forRead = [&](const Dispatch &dispatch, const std::function<void(size_t)> &visit) {
    for (const Operand &operand : dispatch.operands)
      if (operand.space == Space::Parameter)
        for (auto it = byEnd.upper_bound(operand.index);
             it != byEnd.end() && program.parameters[it->second].offset < operand.index + operand.elements; ++it)
          visit(it->second);
  };
  auto bytesOf = [&](size_t parameter) { return int64_t(sizeof(float)) * program.parameters[parameter].elements(); };

  std::vector<bool> isKept(count);
  bool prepares = false;
  for (const Function *function : functions) {
    prepares |= function->usesPrepared;
    for (const Dispatch &dispatch : function->dispatches)
      forRead(dispatch, [&](size_t parameter) { isKept[parameter] = true; });
  }
  std::vector<size_t> lastRead(count, SIZE_MAX); // by which of prepare's dispatches
  if (prepares && prepare) {
    steps.resize(prepare->dispatches.size());
    for (size_t i = 0; i < steps.size(); ++i)
      forRead(prepare->dispatches[i], [&](size_t parameter) {
        if (std::exchange(lastRead[parameter], i) == SIZE_MAX)
          steps[i].loads.push_back(parameter);
      });
  }
  int64_t now = 0;
  for (size_t parameter = 0; parameter < count; ++parameter)
    if (lastRead[parameter] != SIZE_MAX) {
      if (!isKept[parameter])
        steps[lastRead[parameter]].drops.push_back(parameter);
    } else if (isKept[parameter]) {
      first.push_back(parameter);
      now += bytesOf(parameter);
    }
  bytes = now;
  for (size_t i = 0; i < steps.size(); ++i) {
    for (size_t parameter : steps[i].loads)
      now += bytesOf(parameter);
    const Dispatch &dispatch = prepare->dispatches[i];
    for (int64_t written : dispatch.writes)
      if (const Operand &operand = dispatch.operands[written]; operand.space == Space::Prepared)
        now += int64_t(sizeof(float)) * operand.elements;
    bytes = std::max(bytes, now);
    for (size_t parameter : steps[i].drops)
      now -= bytesOf(parameter);
  }
}
