//===- FindRequirements.cpp - what a call's inputs must be ----------------===//
// Last pass of stage `plan`. What kernels take to be so of the integers and the rows they get (KernelOpInterface)
// becomes what entry points take to be so of their inputs: a list, which the runtime goes through before it calls.
//===----------------------------------------------------------------------===//
#include "xf/Kernels/Cost.h"
#include "xf/Kernels/Passes.h"

namespace mlir::xf {
#define GEN_PASS_DEF_FINDREQUIREMENTSPASS
#include "xf/Kernels/Passes.h.inc"
namespace {
using Affine = SmallVector<int64_t>; // in the entry point's dimensions, the constant first

class Finder {
public:
  Finder(func::FuncOp entry, SymbolTable &symbols)
      : entry(entry), symbols(symbols), numDims(entry->getAttrOfType<ArrayAttr>("xf.dims").size()) {
    for (auto input : entry->getAttrOfType<ArrayAttr>("xf.inputs").getAsRange<DictionaryAttr>())
      inputs.push_back(input);
    for (auto buffer : entry.front().getOps<BufferOp>())
      if (!buffer.getChunk())
        wholes.try_emplace({buffer.getKind(), buffer.getIndex()}, buffer);
  }

  LogicalResult run() {
    for (auto dispatch : entry.front().getOps<DispatchOp>())
      if (failed(visit(dispatch, symbols.lookup<func::FuncOp>(dispatch.getKernel()))))
        return failure();
    if (required.empty())
      return success();
    // Numbers of rows are looked at before sequences that end there, and those before how long they are.
    SmallVector<Attribute> sorted;
    for (RequirementKind kind :
         {RequirementKind::Rows, RequirementKind::Starts, RequirementKind::Below, RequirementKind::Longest})
      llvm::copy_if(required, std::back_inserter(sorted), [&](RequirementAttr each) { return each.getKind() == kind; });
    entry->setAttr("xf.requirements", ArrayAttr::get(entry.getContext(), sorted));
    return success();
  }

private:
  /// One call of a kernel, whose body is still of ops on tensors.
  LogicalResult visit(DispatchOp dispatch, func::FuncOp kernel) {
    LogicalResult result = success();
    kernel.walk([&](KernelOpInterface op) {
      auto bufferOf = [&](Value tensor) { return buffer(dispatch, tensor); };
      if (Value offsets = op.getNumberedSequences())
        for (auto [place, value] : llvm::enumerate(kernel.front().getTerminator()->getOperands()))
          if (value.getDefiningOp() == op)
            numbered[dispatch->getOperand((*dispatch.getWrites())[place])] = bufferOf(offsets);
      for (const Requirement &requirement : op.getRequirements())
        if (succeeded(result))
          result = requirement.kind == RequirementKind::Rows
                       ? requireRows(dispatch, requirement)
                       : requireIntegers(dispatch, requirement, bufferOf(requirement.tensor));
    });
    return result;
  }

  /// The buffer that a kernel's value is, if it is an operand, whatever its precision.
  static BufferOp buffer(DispatchOp dispatch, Value tensor) {
    while (auto cast = tensor.getDefiningOp<CastOp>())
      tensor = cast.getX();
    auto argument = dyn_cast<BlockArgument>(tensor);
    return argument ? dispatch->getOperand(argument.getArgNumber()).getDefiningOp<BufferOp>() : BufferOp();
  }

  FailureOr<Affine> extent(DispatchOp dispatch, Value tensor, unsigned dim) {
    Affine size(numDims + 1, 0);
    auto type = cast<RankedTensorType>(tensor.getType());
    size[0] = type.getDimSize(dim);
    if (!type.isDynamicDim(dim))
      return size;
    auto source = traceExtent(tensor, dim);
    if (failed(source))
      return failure();
    auto buffer = dispatch->getOperand(source->first).getDefiningOp<BufferOp>();
    if (BufferOp whole = wholes[{buffer.getKind(), buffer.getIndex()}]; whole && buffer.getChunk())
      buffer = whole; // what is so for all rows is so for those of a chunk
    auto memory = cast<MemRefType>(buffer.getType());
    size[0] = memory.getDimSize(source->second);
    if (memory.isDynamicDim(source->second))
      size = Affine(buffer.getExtentForm(source->second));
    if (auto loops = entry->getAttrOfType<ArrayAttr>("xf.loops"))
      for (auto loop : loops.getAsRange<DenseI64ArrayAttr>())
        size[loop[1] + 1] += std::exchange(size[loop[0] + 1], 0);
    return size;
  }

  /// What a person calls a tensor of so many rows: by its own name, or by that of the input whose rows it has; in any
  /// form.
  std::string labelOf(DispatchOp dispatch, Value tensor, ArrayRef<int64_t> rows) {
    BufferOp own = buffer(dispatch, tensor);
    if (own && own.getKind() == BufferKind::Input)
      return nameOf(own.getIndex()).str();
    if (int64_t dimension = dimensionOf(rows); dimension >= 0)
      return nameOf(inputOfRows(dimension)).str();
    StringRef label = own ? own.getLabel().value_or("") : "";
    label.consume_back(".packed");
    return label.str();
  }
  StringRef nameOf(int64_t input) const { return inputs[input].getAs<StringAttr>("name").getValue(); }
  /// The dimension that a size is, but for its constant; -1 where it is a number.
  static int64_t dimensionOf(ArrayRef<int64_t> size) {
    auto dims = size.drop_front();
    return llvm::find(dims, 1) == dims.end() ? -1 : llvm::find(dims, 1) - dims.begin();
  }
  /// The first input that has so many rows.
  int64_t inputOfRows(int64_t dimension) const {
    for (auto [number, input] : llvm::enumerate(inputs))
      if (auto extents = input.getAs<ArrayAttr>("extents");
          extents && cast<MemRefType>(input.getAs<TypeAttr>("type").getValue()).isDynamicDim(0) &&
          dimensionOf(cast<DenseI64ArrayAttr>(extents[0]).asArrayRef()) == dimension)
        return number;
    return -1;
  }

  void add(RequirementKind kind, int64_t input, ArrayRef<int64_t> size, const Twine &of) {
    Builder builder(entry.getContext());
    auto with = [&](StringAttr text) {
      return RequirementAttr::get(entry.getContext(), kind, input, builder.getDenseI64ArrayAttr(size), text);
    };
    if (seen.insert(with(builder.getStringAttr(""))).second)
      required.push_back(with(builder.getStringAttr(of)));
  }

  /// Both sides are a dimension of the entry point, or a number: the input that comes later is held to the other.
  LogicalResult requireRows(DispatchOp dispatch, const Requirement &requirement) {
    FailureOr<Affine> rows = extent(dispatch, requirement.tensor, 0),
                      size = extent(dispatch, requirement.of, requirement.dim);
    if (failed(rows) || failed(size))
      return failure();
    (*size)[0] += requirement.more;
    if (*rows == *size)
      return success();
    if (dimensionOf(*rows) < dimensionOf(*size))
      std::swap(rows, size);
    int64_t input = dimensionOf(*rows) < 0 ? -1 : inputOfRows(dimensionOf(*rows)),
            other = dimensionOf(*size) < 0 ? -1 : inputOfRows(dimensionOf(*size));
    if (input < 0 || (other < 0 && dimensionOf(*size) >= 0))
      return dispatch.emitOpError() << "expected operands with as many rows as each other";
    (*size)[0] -= std::exchange((*rows)[0], 0);
    std::string of = other < 0 ? "the model" : ("'" + nameOf(other) + "'").str();
    bool isSame = other < 0 || (*size)[0] == 0;
    add(RequirementKind::Rows, input, *size,
        isSame ? "as " + of + " has" : ((*size)[0] > 0 ? "one more than " : "one less than ") + of);
    return success();
  }

  LogicalResult requireIntegers(DispatchOp dispatch, const Requirement &requirement, BufferOp tensor) {
    FailureOr<Affine> size = extent(dispatch, requirement.of, requirement.dim);
    if (failed(size))
      return failure();
    (*size)[0] += requirement.more;
    RequirementKind kind = requirement.kind;
    // Numbers that count the rows of sequences are small enough where no sequence is too long.
    if (Value offsets = tensor ? numbered.lookup(tensor.getResult()) : Value()) {
      kind = RequirementKind::Longest;
      tensor = offsets.getDefiningOp<BufferOp>();
    }
    if (!tensor || tensor.getKind() != BufferKind::Input)
      return dispatch.emitOpError() << "expected integers that say where something is to come from outside";
    std::string label = labelOf(dispatch, requirement.of, *size);
    label = label.empty() ? "the result" : "'" + label + "'";
    add(kind, tensor.getIndex(), *size,
        requirement.dim == 1              ? "the vocabulary"
        : kind == RequirementKind::Starts ? label
                                          : "rows of " + label);
    return success();
  }

  func::FuncOp entry;
  SymbolTable &symbols;
  size_t numDims;
  SmallVector<DictionaryAttr> inputs;
  std::map<std::pair<BufferKind, int64_t>, BufferOp> wholes; // what chunks are of
  DenseMap<Value, Value> numbered; // buffers of numbers of rows, and the starts of their sequences
  DenseSet<Attribute> seen;        // whatever has that size
  SmallVector<RequirementAttr> required;
};

struct FindRequirementsPass : impl::FindRequirementsPassBase<FindRequirementsPass> {
  void runOnOperation() override {
    SymbolTable symbols(getOperation());
    for (auto entry : getOperation().getOps<func::FuncOp>())
      if (entry->hasAttr("xf.entry") && entry->hasAttr("xf.dims") && entry->hasAttr("xf.inputs") &&
          failed(Finder(entry, symbols).run()))
        return signalPassFailure();
  }
};
} // namespace
} // namespace mlir::xf
