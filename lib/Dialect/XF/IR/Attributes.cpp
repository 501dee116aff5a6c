//===- Attributes.cpp - what modules and functions carry ------------------===//
// Attributes `xf.*` of ops that are not of this dialect: what a model is, what entry points are called by, and what
// stages tell those that follow. Whoever reads one relies on what is checked here.
//===----------------------------------------------------------------------===//
#include "mlir/Interfaces/FunctionInterfaces.h"
#include "xf/Dialect/XF/IR/XF.h"

using namespace mlir;
using namespace mlir::xf;

namespace {
struct Known {
  StringLiteral name;
  const char *what;
  bool (*holds)(Attribute);
};

bool isNumber(Attribute attribute) {
  auto integer = dyn_cast<IntegerAttr>(attribute);
  return integer && integer.getType().isInteger(64) && integer.getInt() >= 0;
}
template <typename T> bool isOf(Attribute attribute) { return isa<T>(attribute); }
template <typename T> bool isListOf(Attribute attribute) {
  auto list = dyn_cast<ArrayAttr>(attribute);
  return list && llvm::all_of(list, llvm::IsaPred<T>);
}
/// A list of lists of so many numbers.
template <int64_t count> bool isTableOf(Attribute attribute) {
  auto list = dyn_cast<ArrayAttr>(attribute);
  return list && llvm::all_of(list, [](Attribute entry) {
           auto numbers = dyn_cast<DenseI64ArrayAttr>(entry);
           return numbers && numbers.size() == count;
         });
}
bool isName(Attribute attribute) {
  auto name = dyn_cast<StringAttr>(attribute);
  return name && !name.empty();
}
bool areNames(Attribute attribute) {
  auto list = dyn_cast<ArrayAttr>(attribute);
  return list && llvm::all_of(list, isName);
}
/// What stage `plan` says of inputs and outputs.
bool isInterface(Attribute attribute) {
  auto list = dyn_cast<ArrayAttr>(attribute);
  return list && llvm::all_of(list, [](Attribute entry) {
           auto tensor = dyn_cast<DictionaryAttr>(entry);
           auto type = tensor ? tensor.getAs<TypeAttr>("type") : TypeAttr();
           auto memory = type ? dyn_cast<MemRefType>(type.getValue()) : MemRefType();
           Attribute extents = tensor ? tensor.get("extents") : Attribute();
           return memory && isa_and_nonnull<StringAttr>(tensor.get("name")) &&
                  (extents ? isListOf<DenseI64ArrayAttr>(extents) &&
                                 cast<ArrayAttr>(extents).size() == memory.getNumDynamicDims()
                           : memory.hasStaticShape());
         });
}

constexpr Known ofModules[] = {{"xf.kind", "text", isOf<StringAttr>},
                               {"xf.config", "a dictionary", isOf<DictionaryAttr>},
                               {"xf.options", "a dictionary", isOf<DictionaryAttr>}};
constexpr Known ofFunctions[] = {{"xf.entry", "a unit", isOf<UnitAttr>},
                                 {"xf.kernel", "the kind of a kernel", isOf<KernelKindAttr>},
                                 {"xf.long", "a unit", isOf<UnitAttr>},          // its batches are of long sequences
                                 {"xf.schedule", "a schedule", isOf<Attribute>}, // which one, the kernel decides
                                 {"xf.dims", "a list of names", areNames},
                                 {"xf.inputs", "a list of names, types and extents", isInterface},
                                 {"xf.outputs", "a list of names, types and extents", isInterface},
                                 {"xf.requirements", "a list of requirements", isListOf<RequirementAttr>},
                                 {"xf.loops", "a list of five numbers each", isTableOf<5>},
                                 {"xf.grid", "a list of four numbers each", isTableOf<4>},
                                 {"xf.grid_sum", "a list of three numbers each", isTableOf<3>},
                                 {"xf.workspace", "a list of three numbers each", isTableOf<3>},
                                 {"xf.tensor_maps", "a list of three numbers each", isTableOf<3>},
                                 {"xf.form", "text", isOf<StringAttr>},
                                 {"xf.scratch", "a number", isNumber},
                                 {"xf.threads", "a number", isNumber},
                                 {"xf.shared", "a number", isNumber},
                                 {"xf.shared_in_all", "a number", isNumber},
                                 {"xf.stages", "a number", isNumber},
                                 {"xf.own_bytes", "a number", isNumber},
                                 {"xf.blocks_per_processor", "a number", isNumber},
                                 {"xf.least_blocks", "a number", isNumber}};
constexpr Known ofArguments[] = {{"xf.name", "a name", isName},
                                 {"xf.dims", "a list of names", areNames},
                                 {"xf.kept", "a unit", isOf<UnitAttr>},
                                 {"xf.parameter", "a name", isName}};
constexpr Known ofResults[] = {{"xf.name", "a name", isName},
                               {"xf.kept", "a unit", isOf<UnitAttr>},
                               {"xf.extents", "a list of two numbers each", isTableOf<2>},
                               {"xf.in_place", "a number", isNumber}};

LogicalResult verify(Operation *op, StringRef whose, ArrayRef<Known> known, NamedAttribute attribute) {
  for (const Known &each : known)
    if (each.name == attribute.getName())
      return each.holds(attribute.getValue()) ? success()
                                              : op->emitError()
                                                    << "expected '" << each.name << "' of " << whose << " to be "
                                                    << each.what << ", but got " << attribute.getValue();
  InFlightDiagnostic error = op->emitError() << "unknown attribute '" << attribute.getName().getValue() << "' of "
                                             << whose << "; known: ";
  llvm::interleaveComma(known, error, [&](const Known &each) { error << each.name; });
  return error;
}

/// Sizes are in the dimensions of the function, and numbers of inputs those that it has.
LogicalResult verifySizes(Operation *op, NamedAttribute attribute) {
  auto dims = op->getAttrOfType<ArrayAttr>("xf.dims");
  auto isSize = [&](DenseI64ArrayAttr size) { return dims && size.size() == static_cast<int64_t>(dims.size()) + 1; };
  auto wrong = [&](Attribute entry) {
    return op->emitError() << "expected '" << attribute.getName().getValue()
                           << "' to be about the inputs and in the dimensions of '"
                           << SymbolTable::getSymbolName(op).getValue() << "', but got " << entry;
  };
  StringRef name = attribute.getName();
  if (name == "xf.inputs" || name == "xf.outputs")
    for (auto tensor : cast<ArrayAttr>(attribute.getValue()).getAsRange<DictionaryAttr>())
      if (auto extents = tensor.getAs<ArrayAttr>("extents"))
        if (!llvm::all_of(extents.getAsRange<DenseI64ArrayAttr>(), isSize))
          return wrong(tensor);
  if (name == "xf.requirements") {
    auto inputs = op->getAttrOfType<ArrayAttr>("xf.inputs");
    for (auto requirement : cast<ArrayAttr>(attribute.getValue()).getAsRange<RequirementAttr>())
      if (!inputs || requirement.getInput() < 0 || requirement.getInput() >= static_cast<int64_t>(inputs.size()) ||
          !isSize(requirement.getSize()))
        return wrong(requirement);
  }
  return success();
}
} // namespace

LogicalResult XFDialect::verifyOperationAttribute(Operation *op, NamedAttribute attribute) {
  if (isa<ModuleOp>(op))
    return verify(op, "a module", ofModules, attribute);
  if (!isa<FunctionOpInterface>(op))
    return op->emitError() << "expected '" << attribute.getName().getValue() << "' to be of a module or a function";
  return failed(verify(op, "a function", ofFunctions, attribute)) ? failure() : verifySizes(op, attribute);
}

LogicalResult XFDialect::verifyRegionArgAttribute(Operation *op, unsigned, unsigned argument,
                                                  NamedAttribute attribute) {
  return verify(op, "argument " + std::to_string(argument), ofArguments, attribute);
}

LogicalResult XFDialect::verifyRegionResultAttribute(Operation *op, unsigned, unsigned result,
                                                     NamedAttribute attribute) {
  return verify(op, "result " + std::to_string(result), ofResults, attribute);
}
