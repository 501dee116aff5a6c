//===- EmitProgram.cpp - the object's symbols -----------------------------===//
// Stage `target`, second half: description, kernel entry functions and kernel table as the runtime expects them
// (docs/Program.md).
//===----------------------------------------------------------------------===//
#include "mlir/Conversion/Passes.h"
#include "xf/Dialect/XF/IR/XF.h"
#include "xf/Target/Target.h"

namespace mlir::xf {
#define GEN_PASS_DEF_EMITENTRIESPASS
#define GEN_PASS_DEF_EMITGPUENTRIESPASS
#define GEN_PASS_DEF_EMITPROGRAMPASS
#include "xf/Target/Passes.h.inc"
namespace {

/// The descriptor of memory, row-major and with gaps where its type says so; `nextDim` gives its dynamic extents in
/// order.
Value makeMemref(OpBuilder &builder, Location loc, MemRefType memref, Value pointer, function_ref<Value()> nextDim) {
  MLIRContext *context = builder.getContext();
  auto ptr = LLVM::LLVMPointerType::get(context);
  auto i64 = builder.getI64Type();
  auto constant = [&](int64_t value) -> Value { return LLVM::ConstantOp::create(builder, loc, i64, value); };
  int64_t rank = memref.getRank();
  SmallVector<Type> fields{ptr, ptr, i64};
  if (rank > 0)
    fields.append(2, LLVM::LLVMArrayType::get(i64, rank));
  Value descriptor = LLVM::PoisonOp::create(builder, loc, LLVM::LLVMStructType::getLiteral(context, fields));
  auto insert = [&](Value value, ArrayRef<int64_t> position) {
    descriptor = LLVM::InsertValueOp::create(builder, loc, descriptor, value, position);
  };
  insert(pointer, {0});
  insert(pointer, {1});
  insert(constant(0), {2});
  SmallVector<Value> sizes;
  for (int64_t dim = 0; dim < rank; ++dim)
    sizes.push_back(memref.isDynamicDim(dim) ? nextDim() : constant(memref.getDimSize(dim)));
  Value stride = constant(1);
  for (int64_t dim = rank - 1; dim >= 0; --dim) {
    insert(sizes[dim], {3, dim});
    insert(stride, {4, dim});
    if (dim > 0 && dim == rank - 1 && !memref.isDynamicDim(dim))
      stride = constant(pitchOf(memref));
    else if (dim > 0)
      stride = LLVM::MulOp::create(builder, loc, stride, sizes[dim]);
  }
  return UnrealizedConversionCastOp::create(builder, loc, memref, descriptor).getResult(0);
}

/// Creates `NAME.entry(buffers, dims, scalars, first tile, end of tiles, scratch)`, which makes memrefs of pointers and
/// calls the kernel; of a kernel that is only declared, the entry function is only declared too.
LLVM::LLVMFuncOp createEntry(OpBuilder &builder, func::FuncOp kernel) {
  MLIRContext *context = builder.getContext();
  Location loc = kernel.getLoc();
  auto ptr = LLVM::LLVMPointerType::get(context);
  auto i64 = builder.getI64Type();
  auto type = LLVM::LLVMFunctionType::get(LLVM::LLVMVoidType::get(context), {ptr, ptr, ptr, i64, i64, ptr});
  auto entry = LLVM::LLVMFuncOp::create(builder, loc, (kernel.getName() + ".entry").str(), type);
  entry.setVisibility_(LLVM::Visibility::Hidden);
  if (kernel.isExternal())
    return entry;
  OpBuilder::InsertionGuard guard(builder);
  Block *body = entry.addEntryBlock(builder);
  builder.setInsertionPointToEnd(body);
  auto constant = [&](int64_t value) -> Value { return LLVM::ConstantOp::create(builder, loc, i64, value); };
  auto element = [&](Value base, Type elementType, int64_t index) -> Value {
    Value address =
        LLVM::GEPOp::create(builder, loc, ptr, elementType, base, ArrayRef<LLVM::GEPArg>{static_cast<int32_t>(index)});
    return LLVM::LoadOp::create(builder, loc, elementType, address);
  };
  SmallVector<Value> operands;
  int64_t buffers = 0, dims = 0, scalars = 0;
  unsigned count = kernel.getNumArguments();
  for (Type argument : kernel.getArgumentTypes().drop_back(3)) {
    if (auto memref = dyn_cast<MemRefType>(argument))
      operands.push_back(makeMemref(builder, loc, memref, element(body->getArgument(0), ptr, buffers++),
                                    [&] { return element(body->getArgument(1), i64, dims++); }));
    else
      operands.push_back(element(body->getArgument(2), i64, scalars++));
  }
  for (unsigned tile : {3, 4})
    operands.push_back(
        UnrealizedConversionCastOp::create(builder, loc, builder.getIndexType(), body->getArgument(tile)).getResult(0));
  auto scratch = cast<MemRefType>(kernel.getArgumentTypes()[count - 1]);
  operands.push_back(makeMemref(builder, loc, scratch, body->getArgument(5),
                                [&] { return constant(kernel->getAttrOfType<IntegerAttr>("xf.scratch").getInt()); }));
  func::CallOp::create(builder, loc, kernel, operands);
  LLVM::ReturnOp::create(builder, loc, ValueRange());
  return entry;
}

/// Creates the function that a GPU is asked to run: its parameters are the pointers, then the dynamic extents, then the
/// scalars, then the tensor maps, 128 bytes each that lie among the parameters. It is the only one of its module, so
/// its name need only be one that PTX allows.
void createGPUEntry(OpBuilder &builder, func::FuncOp kernel) {
  MLIRContext *context = builder.getContext();
  Location loc = kernel.getLoc();
  Type ptr = LLVM::LLVMPointerType::get(context), i64 = builder.getI64Type();
  SmallVector<Type> buffers, dims, scalars, maps;
  for (Type argument : kernel.getArgumentTypes()) {
    auto memref = dyn_cast<MemRefType>(argument);
    if (isa<LLVM::LLVMPointerType>(argument))
      maps.push_back(ptr);
    else
      (memref ? buffers : scalars).push_back(memref ? ptr : i64);
    if (memref)
      dims.append(memref.getNumDynamicDims(), i64);
  }
  SmallVector<Type> types = buffers;
  llvm::append_range(types, dims);
  llvm::append_range(types, scalars);
  unsigned map = types.size();
  llvm::append_range(types, maps);
  auto entry = LLVM::LLVMFuncOp::create(builder, loc, gpuEntryName,
                                        LLVM::LLVMFunctionType::get(LLVM::LLVMVoidType::get(context), types));
  entry->setAttr("nvvm.kernel", builder.getUnitAttr());
  auto threads = static_cast<int32_t>(kernel->getAttrOfType<IntegerAttr>("xf.threads").getInt());
  entry->setAttr("nvvm.reqntid", builder.getDenseI32ArrayAttr({threads, 1, 1}));
  // Warpgroups give registers to each other, of as many as the blocks of a processor may have; and ptxas would spill a
  // few registers so that one more block fits.
  auto blocks = kernel->getAttrOfType<IntegerAttr>("xf.blocks_per_processor");
  if (!blocks)
    blocks = kernel->getAttrOfType<IntegerAttr>(leastBlocks);
  entry->setAttr("nvvm.minctasm", builder.getI32IntegerAttr(blocks ? static_cast<int32_t>(blocks.getInt()) : 1));
  for (unsigned number = map; number < types.size(); ++number) {
    entry.setArgAttr(number, "llvm.byval", TypeAttr::get(LLVM::LLVMArrayType::get(builder.getI8Type(), 128)));
    entry.setArgAttr(number, "llvm.align", builder.getI64IntegerAttr(64));
    entry.setArgAttr(number, "nvvm.grid_constant", builder.getUnitAttr());
  }
  OpBuilder::InsertionGuard guard(builder);
  Block *body = entry.addEntryBlock(builder);
  builder.setInsertionPointToEnd(body);
  unsigned buffer = 0, dim = buffers.size(), scalar = buffers.size() + dims.size();
  SmallVector<Value> operands;
  for (Type argument : kernel.getArgumentTypes())
    if (auto memref = dyn_cast<MemRefType>(argument))
      operands.push_back(
          makeMemref(builder, loc, memref, body->getArgument(buffer++), [&] { return body->getArgument(dim++); }));
    else
      operands.push_back(body->getArgument(isa<LLVM::LLVMPointerType>(argument) ? map++ : scalar++));
  func::CallOp::create(builder, loc, kernel, operands);
  LLVM::ReturnOp::create(builder, loc, ValueRange());
}

LLVM::GlobalOp createGlobal(OpBuilder &builder, Location loc, StringRef name, Type type, Attribute value) {
  return LLVM::GlobalOp::create(builder, loc, type, /*isConstant=*/true, LLVM::Linkage::External, name, value);
}

/// What the description has said and LLVM has no use for. A kernel may be named as the C library's functions are.
void finishKernel(func::FuncOp kernel) {
  kernel->removeAttr("xf.kernel");
  for (StringRef name : launchFacts)
    kernel->removeAttr(name);
  kernel->setAttr("llvm.linkage", LLVM::LinkageAttr::get(kernel.getContext(), LLVM::Linkage::Internal));
}

/// Kernels of a GPU take other arguments than the processor's. One that is only declared says nothing of them.
LogicalResult checkTarget(func::FuncOp kernel, bool isGPU) {
  if (kernel.isExternal() || kernel->hasAttr("xf.threads") == isGPU)
    return success();
  return kernel.emitError() << "expected kernel '" << kernel.getName() << "' to be scheduled for "
                            << (isGPU ? "a GPU, but it is for the processor" : "the processor, but it is for a GPU");
}

struct EmitEntriesPass : impl::EmitEntriesPassBase<EmitEntriesPass> {
  void runOnOperation() override {
    OpBuilder builder = OpBuilder::atBlockEnd(getOperation().getBody());
    for (auto kernel : llvm::to_vector(getOperation().getOps<func::FuncOp>()))
      if (kernel->hasAttr("xf.kernel")) {
        if (failed(checkScheduled(kernel)) || failed(checkTarget(kernel, /*isGPU=*/false)))
          return signalPassFailure();
        createEntry(builder, kernel);
        finishKernel(kernel);
      }
  }
};

struct EmitGPUEntriesPass : impl::EmitGPUEntriesPassBase<EmitGPUEntriesPass> {
  void runOnOperation() override {
    OpBuilder builder = OpBuilder::atBlockEnd(getOperation().getBody());
    for (auto kernel : llvm::to_vector(getOperation().getOps<func::FuncOp>()))
      if (kernel->hasAttr("xf.kernel")) {
        if (failed(checkScheduled(kernel)) || failed(checkTarget(kernel, /*isGPU=*/true)))
          return signalPassFailure();
        createGPUEntry(builder, kernel);
        finishKernel(kernel);
        // A call would keep arguments and sums in local memory.
        kernel->setAttr("passthrough", builder.getStrArrayAttr({"alwaysinline"}));
      }
  }
};

struct EmitProgramPass : impl::EmitProgramPassBase<EmitProgramPass> {
  using EmitProgramPassBase::EmitProgramPassBase;
  void runOnOperation() override {
    ModuleOp module = getOperation();
    llvm::Expected<CPU> processor = resolveCPU(cpu);
    if (!processor) {
      module.emitError() << llvm::toString(processor.takeError());
      return signalPassFailure();
    }
    if (failed(checkScheduled(module)))
      return signalPassFailure();
    for (auto kernel : module.getOps<func::FuncOp>())
      if (kernel->hasAttr("xf.kernel") && failed(checkTarget(kernel, !gpu.empty())))
        return signalPassFailure();
    SmallVector<std::string> kernels;
    FailureOr<std::string> json = describeProgram(module, *processor, gpu, kernels);
    if (failed(json))
      return signalPassFailure();

    SymbolTable symbols(module);
    Location loc = module.getLoc();
    OpBuilder builder = OpBuilder::atBlockEnd(module.getBody());
    auto i8 = builder.getI8Type();
    // An executable may hold the program for GPUs beside the one for the processor.
    std::string prefix = gpu.empty() ? "xf_" : "xf_gpu_";
    createGlobal(builder, loc, prefix + "program_json", LLVM::LLVMArrayType::get(i8, json->size()),
                 builder.getStringAttr(*json));
    for (auto [name, value] : {std::pair("program_json_size", json->size()), {"kernel_count", kernels.size()}})
      createGlobal(builder, loc, prefix + name, builder.getI64Type(),
                   builder.getI64IntegerAttr(static_cast<int64_t>(value)));
    auto ptr = LLVM::LLVMPointerType::get(builder.getContext());
    auto addTable = [&](StringRef name, function_ref<Value(StringRef kernel)> entryOf) {
      auto tableType = LLVM::LLVMArrayType::get(ptr, kernels.size());
      LLVM::GlobalOp table = createGlobal(builder, loc, name, tableType, Attribute());
      OpBuilder::InsertionGuard guard(builder);
      builder.createBlock(&table.getInitializerRegion());
      Value value = LLVM::UndefOp::create(builder, loc, tableType);
      for (auto [index, kernel] : llvm::enumerate(kernels))
        value = LLVM::InsertValueOp::create(builder, loc, value, entryOf(kernel),
                                            ArrayRef<int64_t>{static_cast<int64_t>(index)});
      LLVM::ReturnOp::create(builder, loc, value);
    };
    if (gpu.empty()) {
      llvm::StringMap<LLVM::LLVMFuncOp> entries;
      for (const std::string &name : kernels)
        entries[name] = createEntry(builder, symbols.lookup<func::FuncOp>(name));
      addTable("xf_kernels",
               [&](StringRef name) { return LLVM::AddressOfOp::create(builder, loc, entries.lookup(name)); });
    } else {
      llvm::StringMap<LLVM::GlobalOp> images;
      for (const std::string &name : kernels) {
        LLVM::GlobalOp image = createGlobal(builder, loc, imageName(name), i8, Attribute());
        image.setVisibility_(LLVM::Visibility::Hidden);
        images[name] = image;
      }
      addTable("xf_gpu_images",
               [&](StringRef name) { return LLVM::AddressOfOp::create(builder, loc, images.lookup(name)); });
    }

    for (Operation &op : llvm::make_early_inc_range(*module.getBody())) {
      bool isKernel = op.hasAttr("xf.kernel");
      if (isa<ParamOp>(op) || op.hasAttr("xf.entry") || (isKernel && cast<func::FuncOp>(op).isExternal()))
        op.erase();
      else if (isKernel)
        finishKernel(cast<func::FuncOp>(op));
    }
    for (StringRef name : {"xf.kind", "xf.config", "xf.options"})
      module->removeAttr(name);
  }
};
} // namespace

void buildLowerToLLVM(OpPassManager &pm) {
  // Schedules write a constant and an address wherever they need one.
  pm.addNestedPass<func::FuncOp>(createCSEPass());
  pm.addNestedPass<func::FuncOp>(createSCFToControlFlowPass());
  // All dialects in one conversion: each walks the kernels once, and no casts are left between two.
  ConvertToLLVMPassOptions conversion;
  conversion.allowPatternRollback = false;
  pm.addPass(createConvertToLLVMPass(conversion));
  pm.addPass(createReconcileUnrealizedCastsPass());
}

void registerLowerToLLVMPipeline() {
  PassPipelineRegistration<>("xf-lower-to-llvm", "scheduled kernels and their entry functions to the LLVM dialect",
                             [](OpPassManager &pm) { buildLowerToLLVM(pm); });
}
} // namespace mlir::xf
