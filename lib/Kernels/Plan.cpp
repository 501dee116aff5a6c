//===- Plan.cpp - memory and order of every entry point -------------------===//
// Stage `plan`. Values become buffers: parameters and gradients have fixed places in flat arenas, inputs and outputs
// are the caller's, and the rest are slots, each alive between two dispatches. Where slots lie is computed from the
// shapes at hand (xf/Runtime/Plan.h), by the runtime and by --fit alike.
//===----------------------------------------------------------------------===//
#include "xf/Kernels/Cost.h"
#include "xf/Kernels/Optimizer.h"
#include "xf/Kernels/Parameters.h"
#include "xf/Kernels/Passes.h"

namespace mlir::xf {
#define GEN_PASS_DEF_PLANPASS
#include "xf/Kernels/Passes.h.inc"
namespace {

/// An extent: a constant, or the size of one of the entry point's dimensions, times `factor`.
struct Extent {
  int64_t constant = 0;
  int dimension = -1;
  int64_t factor = 1;
  bool operator==(const Extent &) const = default;
};

/// Memory that one or more values (versions of it, updated in place) live in.
struct Storage {
  BufferKind kind = BufferKind::Slot;
  int64_t index = 0;
  bool pinned = false;
  MemRefType type;
  SmallVector<Extent> extents = {}; // one a dynamic extent of the type
  int64_t first = -1, last = -1;
  std::string label = "";
  int base = -1;       // of which this is the rows of the chunk at hand, the part at `offset`, or another view
  int loop = -1;       // in whose chunks it was made
  int64_t offset = -1; // bytes
  bool isView = false;
};

/// Steps that are repeated for chunks of rows.
struct Loop {
  int dimension, of; // the rows of the chunk, and of all
  int64_t rows;      // at most, in a chunk
  int64_t begin = 0, end = 0;
};

/// One dispatch: what it reads and writes, by storage or as a scalar, and what it costs in the entry point's
/// dimensions.
struct Step {
  std::string kernel, label;
  SmallVector<std::pair<int, Value>> operands; // (storage, null) or (-1, scalar)
  SmallVector<int> writes;                     // positions in operands
  Cost cost;
};

MemRefType bufferType(Type type) { return memoryOf(cast<RankedTensorType>(type)); }

class EntryPlanner {
public:
  EntryPlanner(func::FuncOp entry, SymbolTable &symbols, const ParameterLayout &layout)
      : entry(entry), symbols(symbols), layout(layout) {}

  LogicalResult run() {
    sharesCopy = usesMostParametersNarrow();
    for (BlockArgument argument : entry.getArguments())
      addInput(argument);
    for (Operation &op : entry.getBody().front())
      if (failed(visit(op)))
        return failure();
    emit();
    return success();
  }

private:
  //===-- Storage ---------------------------------------------------------===//
  int newStorage(Storage storage) {
    storage.loop = loop;
    storages.push_back(std::move(storage));
    return storages.size() - 1;
  }

  void addInput(BlockArgument argument) {
    Storage storage{.kind = BufferKind::Input,
                    .index = argument.getArgNumber(),
                    .pinned = true,
                    .type = bufferType(argument.getType())};
    auto names = entry.getArgAttrOfType<ArrayAttr>(argument.getArgNumber(), "xf.dims");
    for (int64_t i = 0, e = storage.type.getNumDynamicDims(); i < e; ++i) {
      std::string name = names && i < static_cast<int64_t>(names.size())
                             ? cast<StringAttr>(names[i]).getValue().str()
                             : "argument" + std::to_string(argument.getArgNumber()) + "_extent" + std::to_string(i);
      auto it = llvm::find(dimensions, name);
      storage.extents.push_back({0, static_cast<int>(it - dimensions.begin())});
      if (it == dimensions.end())
        dimensions.push_back(name);
    }
    storageOf[argument] = newStorage(std::move(storage));
  }

  Extent extentOf(const Storage &storage, unsigned dim) const {
    if (!storage.type.isDynamicDim(dim))
      return {storage.type.getDimSize(dim), -1};
    return storage.extents[storage.type.getDynamicDimIndex(dim)];
  }

  /// A place in one of the flat arrays.
  void keep(Operation *op, BufferKind kind, int64_t index, const Twine &label) {
    Value value = op->getResult(0);
    storageOf[value] = newStorage(
        {.kind = kind, .index = index, .pinned = true, .type = bufferType(value.getType()), .label = label.str()});
  }

  /// The flat arena of `kind` seen as blocks x 1024.
  int arena(BufferKind kind) {
    auto type = MemRefType::get({layout.elements / ParameterLayout::blockSize, ParameterLayout::blockSize},
                                Float32Type::get(entry.getContext()));
    return newStorage({.kind = kind, .pinned = true, .type = type});
  }

  //===-- Steps -----------------------------------------------------------===//
  AffineExpr constant(int64_t value) { return getAffineConstantExpr(value, entry.getContext()); }
  /// The value of an extent, as a symbol for each of the entry point's dimensions; of all chunks where it is one's.
  AffineExpr symbolic(Extent extent) {
    for (const Loop &loop : loops)
      if (extent.dimension == loop.dimension)
        extent.dimension = loop.of;
    return extent.dimension < 0 ? constant(extent.constant)
                                : getAffineSymbolExpr(extent.dimension, entry.getContext()) * extent.factor;
  }

  /// Reads or writes every operand once, and computes `flops`; a scalar costs nothing.
  Step &addStep(StringRef kernel, std::string label, ArrayRef<std::pair<int, Value>> operands, ArrayRef<int> results,
                int64_t flops = 0) {
    Step step{kernel.str(), std::move(label), {operands.begin(), operands.end()}, {}, {}};
    for (int result : results) {
      step.writes.push_back(step.operands.size());
      step.operands.push_back({result, Value()});
    }
    step.cost = {constant(flops), constant(0)};
    for (auto [number, scalar] : step.operands)
      if (number >= 0) {
        const Storage &storage = storages[number];
        AffineExpr bytes = constant(storage.type.getElementTypeBitWidth() / 8);
        for (unsigned dim = 0; dim < storage.type.getRank(); ++dim)
          bytes = bytes * symbolic(extentOf(storage, dim));
        step.cost.bytes = step.cost.bytes + bytes;
      }
    return steps.emplace_back(std::move(step));
  }

  /// A kernel that is its own schedule: one tile of plain loops, which LLVM turns into memset or memcpy.
  std::string simpleKernel(StringRef name, MemRefType type, Attribute fill) {
    std::string unique =
        (name + "_" +
         llvm::join(llvm::map_range(type.getShape(),
                                    [](int64_t size) {
                                      return ShapedType::isDynamic(size) ? std::string("n") : std::to_string(size);
                                    }),
                    "x"))
            .str();
    if (fill) {
      llvm::raw_string_ostream stream(unique);
      stream << "_";
      fill.print(stream, /*elideType=*/true);
    }
    llvm::for_each(unique, [](char &c) { c = llvm::isAlnum(c) || c == '_' ? c : '_'; });
    if (symbols.lookup(unique))
      return unique;
    MLIRContext *context = entry.getContext();
    OpBuilder builder(context);
    Location loc = UnknownLoc::get(context);
    SmallVector<Type> arguments(fill ? 1 : 2, type);
    arguments.append(
        {builder.getIndexType(), builder.getIndexType(), MemRefType::get({ShapedType::kDynamic}, builder.getI8Type())});
    auto kernel = func::FuncOp::create(loc, unique, builder.getFunctionType(arguments, {}));
    kernel.setPrivate();
    kernel->setAttr("xf.kernel", KernelKindAttr::get(context, KernelKind::Scalar));
    kernel->setAttr("xf.grid", builder.getArrayAttr({}));
    kernel->setAttr("xf.scratch", builder.getI64IntegerAttr(0));
    Block *body = kernel.addEntryBlock();
    builder.setInsertionPointToEnd(body);
    Value destination = body->getArgument(fill ? 0 : 1);
    Value zero = arith::ConstantIndexOp::create(builder, loc, 0), one = arith::ConstantIndexOp::create(builder, loc, 1);
    Value constant = fill ? arith::ConstantOp::create(builder, loc, cast<TypedAttr>(fill)).getResult() : Value();
    SmallVector<Value> indices;
    func::ReturnOp::create(builder, loc);
    builder.setInsertionPoint(body->getTerminator());
    for (int64_t dim = 0; dim < type.getRank(); ++dim) {
      Value size = memref::DimOp::create(builder, loc, destination, dim);
      auto loop = scf::ForOp::create(builder, loc, zero, size, one);
      indices.push_back(loop.getInductionVar());
      builder.setInsertionPointToStart(loop.getBody());
    }
    Value value = fill ? constant : memref::LoadOp::create(builder, loc, body->getArgument(0), indices).getResult();
    memref::StoreOp::create(builder, loc, value, destination, indices);
    symbols.insert(kernel);
    return unique;
  }

  int copyOf(int source, std::string label) {
    Storage copy = storages[source];
    copy.kind = BufferKind::Slot;
    copy.pinned = false;
    copy.base = copy.offset = -1;
    copy.isView = false;
    int result = newStorage(std::move(copy));
    addStep(simpleKernel("copy", storages[result].type, {}), std::move(label), {{source, Value()}}, {result});
    return result;
  }

  /// Gives `value` the fixed place (kind, index): its storage where that is still free to be placed, else a copy.
  void pin(Value value, BufferKind kind, int64_t index, StringRef label) {
    int storage = storageOf.lookup(value);
    if (storages[storage].pinned) {
      if (storages[storage].kind == kind && storages[storage].index == index)
        return; // a gradient that was added to in its place
      storage = copyOf(storage, ("copy of " + label).str());
    }
    storages[storage].pinned = true;
    storages[storage].kind = kind;
    storages[storage].index = index;
  }

  //===-- Ops ---------------------------------------------------------------===//
  LogicalResult visit(Operation &op) {
    if (auto param = dyn_cast<GetParamOp>(op)) {
      keep(param, BufferKind::Parameter, layout.offsetOf(param.getName()), param.getName());
      return success();
    }
    if (auto get = dyn_cast<GetGradientOp>(op)) {
      keep(get, BufferKind::Gradient, layout.offsetOf(get.getName()), "grad." + get.getName());
      return success();
    }
    if (auto get = dyn_cast<GetPreparedOp>(op)) {
      keep(get, BufferKind::Prepared, layout.preparedOffsetOf(get.getName()), get.getName() + ".packed");
      return success();
    }
    if (auto set = dyn_cast<SetPreparedOp>(op)) {
      pin(set.getValue(), BufferKind::Prepared, layout.preparedOffsetOf(set.getName()), set.getName());
      return success();
    }
    if (auto constant = dyn_cast<arith::ConstantOp>(op)) {
      auto splat = dyn_cast<SplatElementsAttr>(constant.getValue());
      if (!isa<RankedTensorType>(constant.getType()))
        return success(); // a scalar, read where it is used
      if (!splat)
        return op.emitOpError() << "expected a tensor constant to hold one value throughout at stage 'plan'";
      int storage = newStorage({.type = bufferType(constant.getType()), .label = "constant"});
      addStep(simpleKernel("fill", storages[storage].type, splat.getSplatValue<Attribute>()), "constant", {},
              {storage});
      storageOf[constant.getResult()] = storage;
      return success();
    }
    if (auto dispatch = dyn_cast<DispatchOp>(op))
      return visitDispatch(dispatch);
    if (auto chunked = dyn_cast<ChunkedOp>(op))
      return visitChunked(chunked);
    if (auto reshape = dyn_cast<ReshapeOp>(op))
      return visitReshape(reshape);
    if (auto norm = dyn_cast<GlobalNormOp>(op))
      return visitGlobalNorm(norm);
    if (auto adam = dyn_cast<AdamOp>(op))
      return visitAdam(adam);
    if (auto ret = dyn_cast<func::ReturnOp>(op)) {
      for (auto [index, value] : llvm::enumerate(ret.getOperands())) {
        auto name = entry.getResultAttrOfType<StringAttr>(index, "xf.name");
        StringRef text = name ? name.getValue() : "";
        // The gradients that a caller asks for are the gradient arena itself.
        if (text.consume_front("grad."))
          pin(value, BufferKind::Gradient, layout.offsetOf(text), text);
        else {
          pin(value, BufferKind::Output, outputs.size(), text);
          outputs.push_back({name ? name : StringAttr::get(op.getContext(), "output" + std::to_string(index)), value});
        }
      }
      return success();
    }
    return op.emitOpError()
           << "can't be planned: stage 'plan' takes dispatches, parameters, constants and the optimizer";
  }

  /// By itself or in rows of another width.
  static bool isUsedAfter(Value value, Operation *op) {
    return llvm::any_of(value.getUsers(), [&](Operation *user) {
      Operation *here = op->getBlock()->findAncestorOpInBlock(*user);
      if (!here || (here != op && !here->isBeforeInBlock(op)))
        return true;
      auto reshape = dyn_cast<ReshapeOp>(user);
      return reshape && (llvm::is_contained(op->getOperands(), reshape.getResult()) || isUsedAfter(reshape, op));
    });
  }

  LogicalResult visitReshape(ReshapeOp op) {
    int base = storageOf.lookup(op.getX());
    Storage view{.index = -1, .pinned = true, .type = bufferType(op.getType())};
    if (loop >= 0)
      return op.emitOpError() << "can't be planned among chunks of rows: stage 'plan' knows it of whole tensors alone";
    if (hasGaps(view.type) || hasGaps(storages[base].type))
      return op.emitOpError() << "can't be planned where there are gaps between rows, as of " << op.getX().getType()
                              << " or " << op.getType();
    for (Extent extent : storages[base].extents) {
      auto [more, fewer] = op.getRatio();
      if (extent.factor * more % fewer)
        return op.emitOpError() << "expected rows that " << fewer << " at a time become one, as those of an xf.reshape "
                                << "the other way are, but got any number of them";
      extent.factor = extent.factor * more / fewer;
      view.extents.push_back(extent);
    }
    view.base = base;
    view.isView = true;
    storageOf[op.getResult()] = newStorage(std::move(view));
    return success();
  }

  static bool isSum(Value value) {
    auto argument = dyn_cast<BlockArgument>(value);
    auto chunked = argument ? dyn_cast<ChunkedOp>(argument.getOwner()->getParentOp()) : ChunkedOp();
    return chunked && argument.getArgNumber() >= chunked.getTensors().size();
  }

  LogicalResult visitChunked(ChunkedOp chunked) {
    if (loop >= 0)
      return chunked.emitOpError() << "can't be planned inside of another one";
    Extent total = extentOf(storages[storageOf.lookup(chunked.getTensors().front())], 0);
    Block &body = chunked.getBody().front();
    if (total.factor != 1)
      return chunked.emitOpError() << "can't be planned of rows that an xf.reshape has made";
    Extent chunk{0, static_cast<int>(dimensions.size())};
    dimensions.push_back(dimensions[total.dimension] + ".chunk" + std::to_string(loops.size()));
    for (auto [tensor, argument] : llvm::zip_first(chunked.getTensors(), body.getArguments())) {
      Storage rows = storages[storageOf.lookup(tensor)];
      rows.base = storageOf.lookup(tensor);
      rows.extents = {chunk};
      storageOf[argument] = newStorage(std::move(rows));
    }
    for (auto [sum, argument] : llvm::zip(chunked.getInto(), body.getArguments().take_back(chunked.getInto().size()))) {
      int storage = storageOf.lookup(sum);
      bool isFixed = storages[storage].pinned && storages[storage].kind != BufferKind::Gradient;
      bool shared = isFixed || isUsedAfter(sum, chunked) || llvm::count(chunked.getInto(), sum) > 1;
      storageOf[argument] = shared ? copyOf(storage, "copy for " + labelOf(chunked.getLoc())) : storage;
    }

    loop = loops.size();
    loops.push_back({chunk.dimension, total.dimension, static_cast<int64_t>(chunked.getRows()),
                     static_cast<int64_t>(steps.size())});
    for (Operation &op : body.without_terminator())
      if (failed(visit(op)))
        return failure();
    unsigned rowResults = chunked.getRowResults().size();
    for (auto [index, yielded] : llvm::enumerate(body.getTerminator()->getOperands())) {
      Value result = chunked->getResult(index);
      int storage = storageOf.lookup(yielded);
      std::string label = storages[storage].label;
      if (index >= rowResults) {
        int sum = storageOf.lookup(body.getArgument(chunked.getTensors().size() + index - rowResults));
        if (storage != sum)
          addStep(simpleKernel("copy", storages[sum].type, {}), label, {{storage, Value()}}, {sum});
        storageOf[result] = sum;
        continue;
      }
      // The rows are written where those of all chunks lie.
      if (storages[storage].pinned || storages[storage].loop != loop)
        storage = copyOf(storage, label);
      Storage all = storages[storage];
      all.extents = {total};
      int whole = newStorage(std::move(all));
      storages[whole].loop = -1;
      storages[storage].base = whole;
      storages[storage].pinned = true;
      storageOf[result] = whole;
    }
    loops.back().end = steps.size();
    loop = -1;
    return success();
  }

  //===-- Parameters in bf16 ------------------------------------------------===//
  /// The parameter that a dispatch does nothing to but cast it, as it lies.
  GetParamOp castParameterOf(DispatchOp dispatch) {
    Block &body = symbols.lookup<func::FuncOp>(dispatch.getKernel()).front();
    auto param = dispatch->getOperand(0).getDefiningOp<GetParamOp>();
    auto cast = dyn_cast<CastOp>(body.front());
    bool isCast = param && cast && body.getTerminator() == cast->getNextNode() && !hasGaps(memoryOf(cast.getType()));
    return isCast ? param : GetParamOp();
  }

  /// Whether it is worth it to cast all of them at once: one kernel, where there would be one a weight.
  bool usesMostParametersNarrow() {
    int64_t elements = 0, casts = 0;
    for (auto dispatch : entry.front().getOps<DispatchOp>())
      if (dispatch->getNumOperands() == 1)
        if (GetParamOp param = castParameterOf(dispatch)) {
          elements += cast<RankedTensorType>(param.getType()).getNumElements();
          ++casts;
        }
    return casts > 1 && 2 * elements >= layout.elements - ParameterLayout::blockSize &&
           entry.front().getOps<SetPreparedOp>().empty();
  }

  /// The flat array of parameters in bf16, made where it is first needed.
  int narrowParameters() {
    if (narrowArena >= 0)
      return narrowArena;
    int parameters = arena(BufferKind::Parameter);
    Builder builder(entry.getContext());
    auto wide = RankedTensorType::get(storages[parameters].type.getShape(), builder.getF32Type());
    RankedTensorType narrow = wide.clone(builder.getBF16Type());
    std::string name = "cast_" + std::to_string(wide.getDimSize(0)) + "x" + std::to_string(wide.getDimSize(1));
    if (!symbols.lookup(name))
      symbols.insert(buildCastKernel(name, wide, narrow));
    narrowArena = newStorage({.type = bufferType(narrow), .label = "parameters in bf16"});
    addStep(name, "parameters in bf16", {{parameters, Value()}}, {narrowArena});
    return narrowArena;
  }

  LogicalResult visitDispatch(DispatchOp dispatch) {
    auto kernel = symbols.lookup<func::FuncOp>(dispatch.getKernel());
    if (GetParamOp param =
            sharesCopy && loop < 0 && dispatch->getNumOperands() == 1 ? castParameterOf(dispatch) : GetParamOp()) {
      Storage part{.index = -1, .pinned = true, .type = bufferType(dispatch.getResult(0).getType())};
      part.base = narrowParameters();
      part.offset = layout.offsetOf(param.getName()) * part.type.getElementTypeBitWidth() / 8;
      storageOf[dispatch.getResult(0)] = newStorage(std::move(part));
      return success();
    }
    SmallVector<std::pair<int, Value>> operands;
    for (Value operand : dispatch->getOperands())
      operands.push_back(isa<RankedTensorType>(operand.getType()) ? std::pair(storageOf.lookup(operand), Value())
                                                                  : std::pair(-1, operand));
    std::string label = labelOf(dispatch.getLoc());
    if (label.empty())
      label = dispatch.getLabel().str();
    SmallVector<int> results;
    for (auto [index, result] : llvm::enumerate(dispatch.getResults())) {
      if (auto inPlace = kernel.getResultAttrOfType<IntegerAttr>(index, "xf.in_place")) {
        int64_t position = inPlace.getInt();
        Value operand = dispatch->getOperand(position);
        const Storage &storage = storages[operands[position].first];
        // Of what a caller gives, a cache alone is written.
        Value written = kernel.front().getTerminator()->getOperand(index);
        if (auto cast = written.getDefiningOp<CastOp>()) // to what memory holds
          written = cast.getX();
        bool isGiven = storage.kind == BufferKind::Input && !written.getDefiningOp<CacheWriteOp>();
        if (isUsedAfter(operand, dispatch) || llvm::count(dispatch->getOperands(), operand) > 1 ||
            storage.kind == BufferKind::Parameter || isGiven || storage.base >= 0 ||
            (storage.loop != loop && !isSum(operand)))
          operands[position].first = copyOf(operands[position].first, "copy for " + label);
        results.push_back(operands[position].first);
      } else {
        Storage storage{.type = bufferType(result.getType()), .label = label};
        if (auto extents = kernel.getResultAttrOfType<ArrayAttr>(index, "xf.extents"))
          for (auto source : extents.getAsRange<DenseI64ArrayAttr>())
            storage.extents.push_back(extentOf(storages[operands[source[0]].first], source[1]));
        results.push_back(newStorage(std::move(storage)));
      }
      storageOf[result] = results.back();
    }
    FailureOr<Cost> cost = costOf(kernel, [&](unsigned argument, unsigned dim) {
      return symbolic(extentOf(storages[operands[argument].first], dim));
    });
    if (failed(cost))
      return failure();
    addStep(dispatch.getKernel(), label, operands, results).cost = *cost;
    return success();
  }

  /// Takes it into the module, where another entry has not brought the same.
  std::string addOptimizerKernel(func::FuncOp kernel) {
    std::string name = kernel.getName().str();
    if (symbols.lookup(name))
      kernel.erase();
    else
      symbols.insert(kernel);
    return name;
  }

  void pinGradients(ValueRange gradients, ArrayRef<StringRef> names) {
    for (auto [gradient, name] : llvm::zip(gradients, names))
      pin(gradient, BufferKind::Gradient, layout.offsetOf(name), name);
  }

  /// Of an op on static shapes.
  static int64_t flopsOf(KernelOpInterface op) {
    return cast<AffineConstantExpr>(op.getFlops({[](Value, unsigned) { return AffineExpr(); }})).getValue();
  }

  LogicalResult visitGlobalNorm(GlobalNormOp norm) {
    AdamOp adam;
    for (Operation *user : norm->getUsers())
      if (auto candidate = dyn_cast<AdamOp>(user); candidate && candidate.getGradients() == norm.getGradients())
        adam = candidate;
    if (!adam)
      return norm.emitOpError() << "expected an xf.adam of the same gradients: stage 'plan' takes the norm of the "
                                   "whole gradient arena alone";
    pinGradients(adam.getGradients(), parametersOf(adam));
    OpBuilder builder(norm.getContext());
    int64_t blocks = layout.elements / ParameterLayout::blockSize;
    Type f32 = builder.getF32Type();
    int partial = newStorage({.type = MemRefType::get({blocks}, f32), .label = "squared_sums"});
    int result = newStorage({.type = MemRefType::get({}, f32), .label = "gradient_norm"});
    addStep(addOptimizerKernel(buildSquaredSumsKernel(builder, norm.getLoc(), blocks)), "squared_sums",
            {{arena(BufferKind::Gradient), Value()}}, {partial}, flopsOf(norm));
    addStep(addOptimizerKernel(buildNormKernel(builder, norm.getLoc(), blocks)), "gradient_norm", {{partial, Value()}},
            {result}, blocks);
    storageOf[norm.getResult()] = result;
    return success();
  }

  LogicalResult visitAdam(AdamOp adam) {
    pinGradients(adam.getGradients(), parametersOf(adam));
    OpBuilder builder(adam.getContext());
    int parameter = arena(BufferKind::Parameter), first = arena(BufferKind::FirstMoment),
        second = arena(BufferKind::SecondMoment);
    auto value = [&](Value tensor) { return std::pair(storageOf.lookup(tensor), Value()); };
    addStep(addOptimizerKernel(buildAdamKernel(builder, adam.getLoc(), layout.elements / ParameterLayout::blockSize)),
            "adam",
            {{parameter, Value()},
             {arena(BufferKind::Gradient), Value()},
             {first, Value()},
             {second, Value()},
             value(adam.getNorm()),
             value(adam.getLearningRate()),
             value(adam.getRandom()),
             value(adam.getHyper())},
            {parameter, first, second}, flopsOf(adam));
    return success();
  }

  static SmallVector<StringRef> parametersOf(AdamOp adam) {
    return llvm::map_to_vector(adam.getParameters().getAsRange<FlatSymbolRefAttr>(),
                               [](FlatSymbolRefAttr name) { return name.getValue(); });
  }

  //===-- Result ------------------------------------------------------------===//
  ArrayAttr affineExtents(const Storage &storage) {
    Builder builder(entry.getContext());
    SmallVector<Attribute> extents;
    for (Extent extent : storage.extents) {
      SmallVector<int64_t> affine(dimensions.size() + 1, 0);
      extent.dimension < 0 ? affine[0] = extent.constant : affine[extent.dimension + 1] = extent.factor;
      extents.push_back(builder.getDenseI64ArrayAttr(affine));
    }
    return extents.empty() ? ArrayAttr() : builder.getArrayAttr(extents);
  }

  DictionaryAttr interfaceOf(StringAttr name, const Storage &storage) {
    Builder builder(entry.getContext());
    SmallVector<NamedAttribute> attributes{builder.getNamedAttr("name", name),
                                           builder.getNamedAttr("type", TypeAttr::get(storage.type))};
    if (ArrayAttr extents = affineExtents(storage))
      attributes.push_back(builder.getNamedAttr("extents", extents));
    return builder.getDictionaryAttr(attributes);
  }

  /// Notes that a storage is alive at a step: throughout a loop where chunks share it.
  void touch(int storage, int64_t step) {
    Storage &s = storages[storage];
    int64_t first = step, last = step;
    for (auto [number, loop] : llvm::enumerate(loops))
      if (step >= loop.begin && step < loop.end && s.loop != static_cast<int>(number)) {
        first = loop.begin;
        last = loop.end - 1;
      }
    s.first = s.first < 0 ? first : std::min(s.first, first);
    s.last = std::max(s.last, last);
    if (s.base >= 0)
      touch(s.base, step);
  }

  void emit() {
    for (auto [index, step] : llvm::enumerate(steps))
      for (auto [storage, scalar] : step.operands)
        if (storage >= 0)
          touch(storage, index);
    OpBuilder builder(entry.getContext());
    SmallVector<Attribute> inputs, outputAttrs, dims;
    for (BlockArgument argument : entry.getArguments()) {
      auto name = entry.getArgAttrOfType<StringAttr>(argument.getArgNumber(), "xf.name");
      inputs.push_back(
          interfaceOf(name ? name : builder.getStringAttr("argument" + std::to_string(argument.getArgNumber())),
                      storages[storageOf[argument]]));
    }
    for (auto &[name, value] : outputs)
      outputAttrs.push_back(interfaceOf(name, storages[storageOf[value]]));
    for (const std::string &name : dimensions)
      dims.push_back(builder.getStringAttr(name));

    auto planned = func::FuncOp::create(entry.getLoc(), entry.getName(), builder.getFunctionType({}, {}));
    planned->setAttr("xf.entry", builder.getUnitAttr());
    planned->setAttr("xf.dims", builder.getArrayAttr(dims));
    planned->setAttr("xf.inputs", builder.getArrayAttr(inputs));
    planned->setAttr("xf.outputs", builder.getArrayAttr(outputAttrs));
    if (!loops.empty())
      planned->setAttr("xf.loops", builder.getArrayAttr(llvm::map_to_vector(loops, [&](const Loop &loop) -> Attribute {
        return builder.getDenseI64ArrayAttr({loop.dimension, loop.of, loop.rows, loop.begin, loop.end});
      })));
    Block *body = planned.addEntryBlock();
    builder.setInsertionPointToEnd(body);
    DenseMap<int, Value> buffers;
    int64_t slots = 0;
    auto bufferOf = [&](auto &bufferOf, int storage) -> Value {
      if (Value buffer = buffers.lookup(storage))
        return buffer;
      Storage &s = storages[storage];
      if (s.base >= 0) {
        auto base = bufferOf(bufferOf, s.base).template getDefiningOp<BufferOp>();
        // A view is where all of its base is; else these are the rows of a chunk, or a part.
        bool isChunk = !s.isView && s.offset < 0;
        IntegerAttr offset = s.isView        ? base.getOffsetAttr()
                             : s.offset >= 0 ? builder.getI64IntegerAttr(s.offset)
                                             : IntegerAttr();
        return buffers[storage] =
                   BufferOp::create(builder, entry.getLoc(), s.type, base.getKind(), base.getIndex(), affineExtents(s),
                                    base.getLiveAttr(), base.getLabelAttr(), isChunk, offset, s.isView);
      }
      bool slot = s.kind == BufferKind::Slot;
      return buffers[storage] = BufferOp::create(
                 builder, entry.getLoc(), s.type, s.kind, slot ? slots++ : s.index, affineExtents(s),
                 slot ? builder.getDenseI64ArrayAttr({s.first, s.last}) : DenseI64ArrayAttr(),
                 s.label.empty() ? StringAttr() : builder.getStringAttr(s.label), /*chunk=*/false, IntegerAttr(),
                 /*view=*/false);
    };
    IRMapping mapping;
    for (const Step &step : steps) {
      SmallVector<Value> operands;
      for (auto [storage, scalar] : step.operands) {
        if (storage >= 0) {
          operands.push_back(bufferOf(bufferOf, storage));
          continue;
        }
        if (!mapping.contains(scalar))
          builder.clone(*scalar.getDefiningOp(), mapping);
        operands.push_back(mapping.lookup(scalar));
      }
      AffineMap cost = simplifyAffineMap(
          AffineMap::get(0, dimensions.size(), {step.cost.flops, step.cost.bytes}, entry.getContext()));
      DispatchOp::create(builder, entry.getLoc(), TypeRange(), step.kernel, step.label, operands,
                         builder.getDenseI32ArrayAttr(SmallVector<int32_t>(step.writes.begin(), step.writes.end())),
                         AffineMapAttr::get(cost));
    }
    func::ReturnOp::create(builder, entry.getLoc());
    symbols.remove(entry);
    entry->getBlock()->getOperations().insert(Block::iterator(entry), planned);
    entry.erase();
    symbols.insert(planned);
  }

  func::FuncOp entry;
  SymbolTable &symbols;
  const ParameterLayout &layout;
  std::vector<std::string> dimensions;
  std::vector<Storage> storages;
  std::vector<Step> steps;
  std::vector<Loop> loops;
  int loop = -1; // that is being visited
  bool sharesCopy = false;
  int narrowArena = -1;
  DenseMap<Value, int> storageOf;
  SmallVector<std::pair<StringAttr, Value>> outputs;
};

struct PlanPass : impl::PlanPassBase<PlanPass> {
  void runOnOperation() override {
    SymbolTable symbols(getOperation());
    ParameterLayout layout(getOperation());
    for (auto entry : llvm::to_vector(getOperation().getOps<func::FuncOp>())) {
      if (!entry->hasAttr("xf.entry"))
        continue;
      bool scalarsKnown = true;
      entry.walk([&](DispatchOp dispatch) {
        for (Value operand : dispatch->getOperands())
          if (operand.getType().isInteger(64) && !operand.getDefiningOp<arith::ConstantOp>()) {
            dispatch.emitOpError() << "expected its i64 operands to be constants at stage 'plan'";
            scalarsKnown = false;
          }
      });
      if (!scalarsKnown || failed(EntryPlanner(entry, symbols, layout).run()))
        return signalPassFailure();
    }
  }
};
} // namespace
} // namespace mlir::xf
