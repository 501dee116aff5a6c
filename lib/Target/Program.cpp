//===- Program.cpp - the description that the runtime reads ---------------===//
// Stage `target`, first half. docs/Program.md is the schema.
//===----------------------------------------------------------------------===//
#include "xf/Dialect/XF/IR/XF.h"
#include "xf/Kernels/Parameters.h"
#include "xf/Target/Target.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/JSON.h"

namespace mlir::xf {
namespace {
namespace json = llvm::json;

/// `[constant, coefficient, ...]` of one extent of a buffer, static or dynamic.
using Affine = SmallVector<int64_t>;
constexpr int64_t gridSum = -2; // an operand of `xf.grid`: the extent is `xf.grid_sum`

class Describer {
public:
  Describer(ModuleOp module, const CPU &cpu, StringRef gpu, SmallVectorImpl<std::string> &kernels)
      : module(module), symbols(module), layout(module), cpu(cpu), gpu(gpu), kernels(kernels) {}

  FailureOr<std::string> run() {
    json::Array functions;
    for (auto entry : module.getOps<func::FuncOp>()) {
      if (!entry->hasAttr("xf.entry"))
        continue;
      FailureOr<json::Object> function = describe(entry);
      if (failed(function))
        return failure();
      functions.push_back(std::move(*function));
    }
    json::Array kernelArray;
    for (const std::string &name : kernels) {
      auto kernel = symbols.lookup<func::FuncOp>(name);
      json::Object object{{"name", name},
                          {"shape", shapes.lookup(name)},
                          {"schedule", scheduleOf(kernel)},
                          {"scratch", kernel->getAttrOfType<IntegerAttr>("xf.scratch").getInt()}};
      for (StringRef fact : {"threads", "shared", "blocks_per_processor", "own_bytes"})
        if (auto number = kernel->getAttrOfType<IntegerAttr>(("xf." + fact).str()))
          object[fact] = number.getInt();
      if (auto form = kernel->getAttrOfType<StringAttr>("xf.form"))
        object["form"] = form.getValue();
      if (auto found = maps.find(name); found != maps.end())
        object["maps"] = json::Array(found->second);
      kernelArray.push_back(std::move(object));
    }
    json::Object target{{"triple", cpu.triple}, {"cpu", cpu.name}, {"features", json::Array(cpu.requirements)}};
    if (!gpu.empty())
      target["gpu"] = gpu;
    auto kind = module->getAttrOfType<StringAttr>("xf.kind");
    json::Object program{{"abi", 3},
                         {"name", module.getName().value_or("model")},
                         {"kind", kind ? kind.getValue() : "functions"},
                         {"target", std::move(target)},
                         {"model", dictionary(module->getAttrOfType<DictionaryAttr>("xf.config"))},
                         {"options", dictionary(module->getAttrOfType<DictionaryAttr>("xf.options"))},
                         {"parameters", parameters()},
                         {"parameter_elements", layout.elements},
                         {"prepared_elements", preparedElements()},
                         {"kernels", std::move(kernelArray)},
                         {"functions", std::move(functions)}};
    std::string text;
    llvm::raw_string_ostream(text) << json::Value(std::move(program));
    return text;
  }

private:
  static json::Object dictionary(DictionaryAttr attributes) {
    json::Object object;
    for (NamedAttribute attribute : attributes ? attributes.getValue() : ArrayRef<NamedAttribute>()) {
      json::Value &value = object[attribute.getName().strref()];
      if (auto boolean = dyn_cast<BoolAttr>(attribute.getValue()))
        value = boolean.getValue();
      else if (auto integer = dyn_cast<IntegerAttr>(attribute.getValue()))
        value = integer.getInt();
      else if (auto number = dyn_cast<FloatAttr>(attribute.getValue()))
        value = number.getValueAsDouble();
      else if (auto text = dyn_cast<StringAttr>(attribute.getValue()))
        value = text.getValue().str();
      else if (auto numbers = dyn_cast<DenseI64ArrayAttr>(attribute.getValue()))
        value = json::Array(numbers.asArrayRef());
    }
    return object;
  }

  json::Array parameters() {
    json::Array array;
    for (ParamOp param : module.getOps<ParamOp>()) {
      double value = param.getValue().convertToDouble();
      json::Object init{{"kind", stringifyInitKind(param.getInit())}};
      if (param.getInit() == InitKind::XavierUniform)
        init["gain"] = value;
      if (param.getInit() == InitKind::Normal)
        init["stddev"] = value;
      if (param.getInit() == InitKind::Uniform)
        init["bound"] = value;
      array.push_back(json::Object{{"name", param.getSymName()},
                                   {"shape", json::Array(cast<RankedTensorType>(param.getType()).getShape())},
                                   {"offset", layout.offsetOf(param.getSymName())},
                                   {"init", std::move(init)}});
    }
    return array;
  }

  /// What a buffer takes of a flat array, which is measured in f32.
  static int64_t elementsOf(MemRefType type) { return llvm::divideCeil(bytesOf(type), 4); }

  /// The end of the last buffer there.
  int64_t preparedElements() {
    int64_t elements = 0;
    module.walk([&](BufferOp buffer) {
      if (buffer.getKind() == BufferKind::Prepared)
        elements = std::max<int64_t>(elements, buffer.getIndex() + elementsOf(cast<MemRefType>(buffer.getType())));
    });
    return elements;
  }

  static std::string typeName(Type type) {
    std::string text;
    llvm::raw_string_ostream(text) << type;
    return text;
  }

  json::Array interface(ArrayAttr values, ArrayRef<std::string> dims) {
    json::Array array;
    for (auto value : values.getAsRange<DictionaryAttr>()) {
      auto type = cast<MemRefType>(value.getAs<TypeAttr>("type").getValue());
      auto extents = value.getAs<ArrayAttr>("extents");
      json::Array shape;
      unsigned dynamic = 0;
      for (int64_t size : extentsWithGaps(type)) { // of memory that is handed on as it lies
        if (!ShapedType::isDynamic(size)) {
          shape.push_back(size);
          continue;
        }
        // An interface's extent is one of the function's dimensions, never a sum.
        auto affine = cast<DenseI64ArrayAttr>(extents[dynamic++]).asArrayRef();
        shape.push_back(dims[llvm::find(affine.drop_front(), 1) - affine.drop_front().begin()]);
      }
      array.push_back(json::Object{{"name", value.getAs<StringAttr>("name").getValue()},
                                   {"type", typeName(type.getElementType())},
                                   {"shape", std::move(shape)}});
    }
    return array;
  }

  static Affine extent(BufferOp buffer, unsigned dim, size_t numDims) {
    auto type = cast<MemRefType>(buffer.getType());
    if (type.isDynamicDim(dim))
      return Affine(buffer.getExtentForm(dim));
    return constant(type.getDimSize(dim), numDims);
  }
  static Affine constant(int64_t value, size_t numDims) {
    Affine constant(numDims + 1, 0);
    constant[0] = value;
    return constant;
  }

  /// Bytes of a slot: affine, so at most one extent may be dynamic.
  FailureOr<Affine> sizeOf(BufferOp buffer, size_t numDims) {
    auto type = cast<MemRefType>(buffer.getType());
    Affine size(numDims + 1, 0);
    size[0] = type.getElementTypeBitWidth() / 8;
    for (auto [dim, taken] : llvm::enumerate(extentsWithGaps(type))) {
      Affine factor = ShapedType::isDynamic(taken) ? extent(buffer, dim, numDims) : constant(taken, numDims);
      bool sizeConstant = llvm::all_of(ArrayRef(size).drop_front(), [](int64_t c) { return c == 0; });
      bool factorConstant = llvm::all_of(ArrayRef(factor).drop_front(), [](int64_t c) { return c == 0; });
      if (!sizeConstant && !factorConstant)
        return buffer.emitOpError() << "expected a temporary to have at most one dynamic extent, but got " << type;
      int64_t scale = sizeConstant ? size[0] : factor[0];
      Affine &base = sizeConstant ? factor : size;
      Affine product(numDims + 1);
      for (size_t i = 0; i <= numDims; ++i)
        product[i] = base[i] * scale;
      size = product;
    }
    return size;
  }

  /// A function has few different sizes: each is written once.
  struct SizeTable {
    json::Array entries;
    std::map<std::vector<int64_t>, int64_t> numbers;
    int64_t indexOf(ArrayRef<int64_t> size) {
      auto [it, isNew] = numbers.try_emplace(size.vec(), entries.size());
      if (isNew)
        entries.push_back(json::Array(size));
      return it->second;
    }
  };

  /// What dispatches cost: equal ones are written once.
  struct FormulaTable {
    ArrayRef<std::string> dims;
    json::Array entries;
    DenseMap<AffineExpr, int64_t> numbers;
    int64_t indexOf(AffineExpr formula) {
      auto [it, isNew] = numbers.try_emplace(formula, entries.size());
      if (isNew)
        entries.push_back(write(formula));
      return it->second;
    }
    /// A number, the name of a dimension, or an operation and what it is applied to.
    json::Value write(AffineExpr formula) {
      if (auto constant = dyn_cast<AffineConstantExpr>(formula))
        return constant.getValue();
      if (auto symbol = dyn_cast<AffineSymbolExpr>(formula))
        return dims[symbol.getPosition()];
      auto binary = cast<AffineBinaryOpExpr>(formula);
      StringRef operation = formula.getKind() == AffineExprKind::Add   ? "+"
                            : formula.getKind() == AffineExprKind::Mul ? "*"
                                                                       : "/";
      return json::Array{operation, write(binary.getLHS()), write(binary.getRHS())};
    }
  };

  /// Whether the description can say a cost: operations and bytes, each of sums, products and quotients of `dims`
  /// dimensions.
  static bool isDescribable(AffineMap cost, size_t dims) {
    bool known = true;
    cost.walkExprs([&](AffineExpr expression) {
      known &= expression.getKind() != AffineExprKind::Mod && expression.getKind() != AffineExprKind::CeilDiv;
    });
    return known && cost.getNumDims() == 0 && cost.getNumSymbols() == dims && cost.getNumResults() == 2;
  }

  /// "?x512, 64x512 -> ?x64".
  static std::string shapeOf(DispatchOp dispatch) {
    std::string read, written;
    for (auto [number, operand] : llvm::enumerate(dispatch->getOperands())) {
      auto type = dyn_cast<MemRefType>(operand.getType());
      if (!type)
        continue;
      std::string &list = llvm::is_contained(*dispatch.getWrites(), static_cast<int32_t>(number)) ? written : read;
      list += list.empty() ? "" : ", ";
      list += type.getRank() == 0 ? "1" : "";
      for (auto [dim, size] : llvm::enumerate(type.getShape()))
        list += (dim ? "x" : "") + (ShapedType::isDynamic(size) ? "?" : std::to_string(size));
    }
    return (read.empty() ? "" : read + " ") + "-> " + written;
  }

  /// Of each tensor map the number of the operand among the pointers, its rows, columns and bytes from row to row, and
  /// the rows and columns of a box, and the bytes of an element. An extent that is dynamic is -1 - its number among the
  /// dispatch's `dims`.
  static json::Array mapsOf(DispatchOp dispatch, ArrayAttr list) {
    struct Matrix {
      int64_t number, rows, columns, bytes, elementBytes;
    };
    SmallVector<Matrix> matrices; // of each operand
    int64_t number = 0, dims = 0;
    for (Value operand : dispatch->getOperands()) {
      Matrix matrix{};
      if (auto type = dyn_cast<MemRefType>(operand.getType())) {
        matrix = {number++, 1, 1, 0, type.getElementTypeBitWidth() / 8};
        if (int64_t pitch = pitchOf(type); !ShapedType::isDynamic(pitch))
          matrix.bytes = pitch * matrix.elementBytes;
        for (auto [dim, size] : llvm::enumerate(type.getShape())) {
          int64_t extent = ShapedType::isDynamic(size) ? -1 - dims++ : size;
          (dim == 0 ? matrix.rows : matrix.columns) = extent;
        }
      }
      matrices.push_back(matrix);
    }
    json::Array result;
    for (auto map : list.getAsRange<DenseI64ArrayAttr>()) {
      const Matrix &matrix = matrices[map[0]];
      result.push_back(
          json::Array{matrix.number, matrix.rows, matrix.columns, matrix.bytes, map[1], map[2], matrix.elementBytes});
    }
    return result;
  }

  /// "rows = 48, columns = 256" of #xf.matmul_schedule<rows = 48, columns = 256>, "" where nothing was chosen; of a GPU
  /// "mma.sync, tile = 64 x 1, warps = 4, shared = 32768".
  static std::string scheduleOf(func::FuncOp kernel) {
    std::string chosen;
    if (Attribute schedule = kernel->getAttr("xf.schedule"))
      llvm::raw_string_ostream(chosen) << schedule;
    SmallVector<std::string> parts;
    if (auto form = kernel->getAttrOfType<StringAttr>("xf.form"))
      parts.push_back(form.str());
    if (!chosen.empty())
      parts.push_back(StringRef(chosen).split('<').second.drop_back().str());
    auto number = [&](StringRef fact) {
      auto attribute = kernel->getAttrOfType<IntegerAttr>(fact);
      return attribute ? attribute.getInt() : 0;
    };
    if (int64_t threads = number("xf.threads")) {
      SmallVector<std::string> tile;
      for (auto entry : kernel->getAttrOfType<ArrayAttr>("xf.grid").getAsRange<DenseI64ArrayAttr>())
        tile.push_back(std::to_string(entry[3]));
      if (chosen.empty() && !tile.empty())
        parts.push_back("tile = " + llvm::join(tile, " x "));
      if (chosen.empty() && number("xf.stages"))
        parts.push_back("stages = " + std::to_string(number("xf.stages")));
      parts.push_back("warps = " + std::to_string(llvm::divideCeil(threads, 32)));
      if (int64_t shared = number("xf.shared_in_all"))
        parts.push_back("shared = " + std::to_string(shared));
      if (int64_t own = number("xf.own_bytes"))
        parts.push_back("own = " + std::to_string(own));
    }
    return llvm::join(parts, ", ");
  }

  int64_t numberOf(DispatchOp dispatch, func::FuncOp kernel) {
    StringRef name = kernel.getName();
    auto it = llvm::find(kernels, name);
    if (it != kernels.end())
      return it - kernels.begin();
    kernels.push_back(name.str());
    shapes[name] = shapeOf(dispatch);
    if (auto list = kernel->getAttrOfType<ArrayAttr>("xf.tensor_maps"))
      maps.insert({name, mapsOf(dispatch, list)});
    return kernels.size() - 1;
  }

  /// A sum of extents of a dispatch's operands.
  static Affine sumOf(DispatchOp dispatch, ArrayAttr terms, size_t numDims) {
    Affine sum(numDims + 1, 0);
    for (auto term : terms.getAsRange<DenseI64ArrayAttr>()) {
      Affine of = term[0] < 0 ? constant(1, numDims)
                              : extent(dispatch->getOperand(term[0]).getDefiningOp<BufferOp>(), term[1], numDims);
      for (auto [total, part] : llvm::zip_equal(sum, of))
        total += term[2] * part;
    }
    return sum;
  }

  FailureOr<json::Object> describe(func::FuncOp entry) {
    std::vector<std::string> dims;
    for (auto name : entry->getAttrOfType<ArrayAttr>("xf.dims").getAsValueRange<StringAttr>())
      dims.push_back(name.str());
    json::Array slots, dispatches;
    auto isSlot = [](BufferOp buffer) { return buffer.isSlot(); };
    // What kernels take while they run comes after what `plan` has given out.
    Workspaces workspaces{llvm::count_if(entry.front().getOps<BufferOp>(), isSlot), {}};
    SizeTable sizes;
    FormulaTable formulas;
    formulas.dims = dims;
    for (Operation &op : entry.getBody().front()) {
      if (auto buffer = dyn_cast<BufferOp>(op); buffer && buffer.isSlot()) {
        FailureOr<Affine> size = sizeOf(buffer, dims.size());
        if (failed(size))
          return failure();
        slots.push_back(json::Object{{"name", buffer.getLabel().value_or("")},
                                     {"type", typeName(cast<MemRefType>(buffer.getType()).getElementType())},
                                     {"size", sizes.indexOf(*size)},
                                     {"first", (*buffer.getLive())[0]},
                                     {"last", (*buffer.getLive())[1]}});
      }
      if (auto dispatch = dyn_cast<DispatchOp>(op)) {
        std::optional<AffineMap> cost = dispatch.getCost();
        if (cost && !isDescribable(*cost, dims.size()))
          return dispatch.emitOpError() << "expected 'cost' to be two sums, products or quotients of " << dims.size()
                                        << " symbols at stage 'target', but got " << dispatch.getCostAttr();
        auto describeWith = [&](StringRef name) {
          auto kernel = symbols.lookup<func::FuncOp>(name);
          json::Object object = describe(dispatch, kernel, dims.size(), sizes);
          if (auto terms = kernel->getAttrOfType<ArrayAttr>("xf.workspace"))
            addWorkspace(object, sumOf(dispatch, terms, dims.size()), dispatches.size(), sizes, workspaces);
          if (cost) {
            object["flops"] = formulas.indexOf(cost->getResult(0));
            object["bytes"] = formulas.indexOf(cost->getResult(1));
          }
          return object;
        };
        json::Object object = describeWith(dispatch.getKernel());
        if (std::optional<StringRef> otherwise = dispatch.getOtherwise())
          object["otherwise"] =
              json::Object{{"where", sizes.indexOf(*dispatch.getWhere())}, {"dispatch", describeWith(*otherwise)}};
        dispatches.push_back(std::move(object));
      }
    }
    for (json::Value &slot : workspaces.slots)
      slots.push_back(std::move(slot));
    json::Array loops;
    if (auto attribute = entry->getAttrOfType<ArrayAttr>("xf.loops"))
      for (auto loop : attribute.getAsRange<DenseI64ArrayAttr>())
        loops.push_back(
            json::Object{{"dim", loop[0]}, {"of", loop[1]}, {"rows", loop[2]}, {"begin", loop[3]}, {"end", loop[4]}});
    json::Array requirements;
    if (auto attribute = entry->getAttrOfType<ArrayAttr>("xf.requirements"))
      for (auto requirement : attribute.getAsRange<RequirementAttr>())
        requirements.push_back(json::Object{{"input", requirement.getInput()},
                                            {"kind", stringifyRequirementKind(requirement.getKind())},
                                            {"size", sizes.indexOf(requirement.getSize())},
                                            {"of", requirement.getOf().getValue()}});
    return json::Object{{"name", entry.getName()},
                        {"dims", json::Array(dims)},
                        {"loops", std::move(loops)},
                        {"inputs", interface(entry->getAttrOfType<ArrayAttr>("xf.inputs"), dims)},
                        {"outputs", interface(entry->getAttrOfType<ArrayAttr>("xf.outputs"), dims)},
                        {"requirements", std::move(requirements)},
                        {"sizes", std::move(sizes.entries)},
                        {"formulas", std::move(formulas.entries)},
                        {"slots", std::move(slots)},
                        {"dispatches", std::move(dispatches)}};
  }

  /// Slots of one dispatch each.
  struct Workspaces {
    int64_t first; // its number
    json::Array slots;
  };
  /// Gives a dispatch `elements` of f32 as its last operand.
  static void addWorkspace(json::Object &dispatch, Affine elements, int64_t number, SizeTable &sizes,
                           Workspaces &workspaces) {
    json::Array &operands = *dispatch.getArray("operands");
    dispatch.getArray("writes")->push_back(static_cast<int64_t>(operands.size()));
    operands.push_back(json::Array{stringifyBufferKind(BufferKind::Slot),
                                   workspaces.first + static_cast<int64_t>(workspaces.slots.size())});
    dispatch.getArray("dims")->push_back(sizes.indexOf(elements));
    for (int64_t &term : elements)
      term *= 4;
    workspaces.slots.push_back(json::Object{{"name", *dispatch.getString("label")},
                                            {"type", "f32"},
                                            {"size", sizes.indexOf(elements)},
                                            {"first", number},
                                            {"last", number}});
  }

  /// A dispatch as `kernel` does it.
  json::Object describe(DispatchOp dispatch, func::FuncOp kernel, size_t numDims, SizeTable &sizes) {
    json::Array operands, dims, scalars, writes, grid, chunks;
    SmallVector<int64_t> positions; // of each dispatch operand among the memrefs
    for (Value operand : dispatch->getOperands()) {
      auto buffer = operand.getDefiningOp<BufferOp>();
      positions.push_back(operands.size());
      if (!buffer) {
        APInt value;
        (void)matchPattern(operand, m_ConstantInt(&value)); // it is one: checkScheduled
        scalars.push_back(value.getSExtValue());
        continue;
      }
      auto type = cast<MemRefType>(buffer.getType());
      json::Array place{stringifyBufferKind(buffer.getKind()), static_cast<int64_t>(buffer.getIndex())};
      if (!llvm::is_contained({BufferKind::Slot, BufferKind::Input, BufferKind::Output}, buffer.getKind()))
        place.push_back(elementsOf(type));
      if (std::optional<int64_t> offset = buffer.getOffset()) {
        place.push_back(*offset);
        place.push_back(bytesOf(type));
      }
      if (buffer.getChunk()) {
        int64_t bytes = type.getElementTypeBitWidth() / 8;
        auto extents = extentsWithGaps(type);
        for (int64_t size : llvm::drop_begin(extents))
          bytes *= size;
        chunks.push_back(json::Array{static_cast<int64_t>(operands.size()), bytes});
      }
      operands.push_back(std::move(place));
      for (int64_t dim = 0; dim < type.getRank(); ++dim)
        if (type.isDynamicDim(dim))
          dims.push_back(sizes.indexOf(extent(buffer, dim, numDims)));
    }
    ArrayRef<int32_t> written = *dispatch.getWrites();
    for (int32_t write : written)
      writes.push_back(positions[write]);
    for (auto entry : kernel->getAttrOfType<ArrayAttr>("xf.grid").getAsRange<DenseI64ArrayAttr>()) {
      Affine size(numDims + 1, 0);
      if (entry[0] == gridSum)
        size = sumOf(dispatch, kernel->getAttrOfType<ArrayAttr>("xf.grid_sum"), numDims);
      else if (entry[0] < 0)
        size[0] = entry[1];
      else
        size = extent(dispatch->getOperand(entry[0]).getDefiningOp<BufferOp>(), entry[1], numDims);
      size[0] += entry[2];
      grid.push_back(json::Array{sizes.indexOf(size), entry[3]});
    }
    json::Object object{{"kernel", numberOf(dispatch, kernel)},
                        {"label", dispatch.getLabel()},
                        {"operands", std::move(operands)},
                        {"writes", std::move(writes)},
                        {"dims", std::move(dims)},
                        {"scalars", std::move(scalars)},
                        {"grid", std::move(grid)}};
    if (!chunks.empty())
      object["chunks"] = std::move(chunks);
    return object;
  }

  ModuleOp module;
  SymbolTable symbols;
  ParameterLayout layout;
  const CPU &cpu;
  StringRef gpu;
  SmallVectorImpl<std::string> &kernels;
  llvm::StringMap<std::string> shapes; // of each kernel's first dispatch
  llvm::StringMap<json::Array> maps;
};
} // namespace

/// Whether what a kernel says of its operands fits those of a dispatch.
static LogicalResult checkTerms(DispatchOp dispatch, func::FuncOp kernel) {
  for (StringRef name : {"xf.grid", "xf.grid_sum", "xf.workspace"})
    if (auto list = kernel->getAttrOfType<ArrayAttr>(name))
      for (auto entry : list.getAsRange<DenseI64ArrayAttr>()) {
        auto type = entry[0] >= 0 && entry[0] < dispatch->getNumOperands()
                        ? dyn_cast<MemRefType>(dispatch->getOperand(entry[0]).getType())
                        : MemRefType();
        if (entry[0] == gridSum ? !kernel->hasAttr("xf.grid_sum") || name != "xf.grid"
                                : entry[0] >= 0 && (!type || entry[1] < 0 || entry[1] >= type.getRank()))
          return dispatch.emitOpError() << "expected '" << name << "' of '" << kernel.getName()
                                        << "' to be about its operands, but got " << entry;
      }
  return success();
}

LogicalResult checkScheduled(ModuleOp module) {
  for (auto kernel : module.getOps<func::FuncOp>())
    if (kernel->hasAttr("xf.kernel") && failed(checkScheduled(kernel)))
      return failure();
  SymbolTable symbols(module);
  for (auto function : module.getOps<func::FuncOp>()) {
    if (!function->hasAttr("xf.entry"))
      continue;
    for (StringRef name : {"xf.dims", "xf.inputs", "xf.outputs"})
      if (!function->hasAttr(name))
        return function.emitError() << "expected '" << function.getName()
                                    << "' to be as stage 'plan' leaves it, but it has no '" << name << "'";
    for (auto dispatch : function.front().getOps<DispatchOp>()) {
      for (Value operand : dispatch.getOperands())
        if (!operand.getDefiningOp<BufferOp>() && !matchPattern(operand, m_Constant()))
          return dispatch.emitOpError() << "expected buffers and constants, but got " << operand.getType();
      for (StringRef kernel : {dispatch.getKernel(), dispatch.getOtherwise().value_or(dispatch.getKernel())})
        if (failed(checkTerms(dispatch, symbols.lookup<func::FuncOp>(kernel))))
          return failure();
    }
  }
  return success();
}

LogicalResult checkScheduled(func::FuncOp kernel) {
  auto expected = [&] {
    return kernel.emitError() << "expected kernel '" << kernel.getName()
                              << "' to be as stage 'schedule' leaves it, but ";
  };
  for (StringRef name : {"xf.grid", "xf.scratch"})
    if (!kernel->hasAttr(name))
      return expected() << "it has no '" << name << "'";
  if (kernel.isExternal()) // compiled by itself
    return success();
  ArrayRef<Type> types = kernel.getArgumentTypes();
  if (!kernel->hasAttr("xf.threads")) { // a processor's takes its range of tiles and its memory
    if (types.size() < 3 || !types[types.size() - 3].isIndex() || !types[types.size() - 2].isIndex() ||
        !isa<MemRefType>(types.back()))
      return expected() << "it is of type " << kernel.getFunctionType();
    types = types.drop_back(3);
  }
  if (!llvm::all_of(types,
                    [](Type type) { return isa<MemRefType, LLVM::LLVMPointerType>(type) || type.isInteger(64); }) ||
      kernel.getNumResults() > 0)
    return expected() << "it is of type " << kernel.getFunctionType();
  return success();
}

FailureOr<std::string> describeProgram(ModuleOp module, const CPU &cpu, StringRef gpu,
                                       SmallVectorImpl<std::string> &kernels) {
  return Describer(module, cpu, gpu, kernels).run();
}
} // namespace mlir::xf
