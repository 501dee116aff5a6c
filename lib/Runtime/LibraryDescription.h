//===- LibraryDescription.h - A program as Library.h describes it --------------*- C++ -*-===//
// What a library tells of its functions, parameters and settings, for Library.cpp.
//===------------------------------------------------------------------------------------===//
#ifndef XF_LIB_RUNTIME_LIBRARYDESCRIPTION_H
#define XF_LIB_RUNTIME_LIBRARYDESCRIPTION_H

#include "xf/Runtime/Checkpoint.h"
#include "xf/Runtime/Library.h"
#include "xf/Runtime/Session.h"

#include <deque>

namespace xf::runtime {

/// Calls `visit(name, value)` for all that `set` and `get` know.
template <typename Visit> void forEachSetting(Progress &progress, int &threads, Visit visit) {
  visit("threads", threads);
  visit("seed", progress.seed);
  visit("step", progress.step);
  forEachHyper(progress.hyper, progress.hyper,
               [&](const char *name, auto &setting, const auto &) { visit(name, setting); });
}

/// The program as Library.h describes it; made once, and addressed by pointers from then on.
class Description {
public:
  explicit Description(const Session &session) : configuration(session.program.model.dump()) {
    const Program &program = session.program;
    functions.reserve(program.functions.size());
    for (const Function &function : program.functions) {
      if (function.name == "prepare")
        continue; // called where it is needed
      std::vector<const char *> &dims = dimNames.emplace_back();
      for (const std::string &dim : function.dims)
        dims.push_back(dim.c_str());
      const xf_value *inputs = describe(function.inputs, &function), *outputs = describe(function.outputs, nullptr);
      functions.push_back({function.name.c_str(), int32_t(dims.size()), int32_t(function.inputs.size()),
                           int32_t(function.outputs.size()), dims.data(), inputs, outputs});
    }
    for (const Parameter &parameter : program.parameters)
      parameters.push_back(
          {parameter.name.c_str(), XF_F32, int32_t(parameter.shape.size()), parameter.shape.data(), 0});
    Progress progress;
    int threads = 0;
    forEachSetting(progress, threads, [&](const char *name, auto &) { settings.push_back(name); });
    description = {program.name.c_str(),      program.kind.c_str(),       configuration.c_str(),
                   int32_t(functions.size()), int32_t(parameters.size()), int32_t(settings.size()),
                   functions.data(),          parameters.data(),          settings.data(),
                   session.device.c_str()};
  }
  Description(const Description &) = delete;

  xf_description description;

private:
  const xf_value *describe(const std::vector<TensorType> &types, const Function *takes) {
    std::vector<xf_value> &all = values.emplace_back();
    for (size_t i = 0; i < types.size(); ++i) {
      std::vector<int64_t> &shape = shapes.emplace_back();
      for (const Extent &extent : types[i].shape)
        shape.push_back(extent.dim < 0 ? extent.size : -1 - extent.dim);
      all.push_back({types[i].name.c_str(), xf_type(types[i].type), int32_t(shape.size()), shape.data(),
                     takes && takes->writesInput(i)});
    }
    return all.data();
  }

  std::string configuration;
  std::deque<std::vector<const char *>> dimNames;
  std::deque<std::vector<int64_t>> shapes;
  std::deque<std::vector<xf_value>> values;
  std::vector<xf_function> functions;
  std::vector<xf_value> parameters;
  std::vector<const char *> settings;
};
static_assert(int(ElementType::F32) == XF_F32 && int(ElementType::I32) == XF_I32 && int(ElementType::I64) == XF_I64 &&
              int(ElementType::BF16) == XF_BF16);

} // namespace xf::runtime

#endif // XF_LIB_RUNTIME_LIBRARYDESCRIPTION_H
