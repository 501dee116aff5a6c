//===- Structure.td - parameters, layers, groups, dispatches ---*- tablegen -*-===//
// What holds a model together: named parameters, layers applied under a name, and the forms that fused groups take on
// their way to kernels (xf.group in `fuse`, xf.dispatch from `outline`, xf.buffer from `plan`).
//===----------------------------------------------------------------------===//
#ifndef XF_STRUCTURE_TD
#define XF_STRUCTURE_TD
include "xf/Dialect/XF/IR/XFBase.td"

def XF_ParamOp : XF_Op<"param", [Symbol]> {
  let summary = "a parameter of the model: a key of its safetensors file";
  let description = [{
    Declares a parameter; tying is using one parameter twice. `value` is the gain of xavier_uniform, the standard deviation of normal,
    the bound of uniform. Xavier: uniform in +-gain * sqrt(6 / (fan_in + fan_out)), shape (out, in) (Glorot & Bengio 2010).

    - C1: the type is a static tensor of f32. C2: extents are at most 2^31 - 1, with at most 2^40 elements. C3: `value` is finite, and not negative where the distribution depends on it.

    ```mlir
    xf.param @encoder.0.attention.query.weight : tensor<512x512xf32> xavier_uniform(1.0)
    ```
  }];
  let arguments = (ins SymbolNameAttr:$sym_name, TypeAttrOf<AnyRankedTensor>:$type, XF_InitKindAttr:$init, DefaultValuedAttr<F32Attr, "1.0f">:$value);
  let assemblyFormat = "$sym_name `:` $type $init `(` $value `)` attr-dict";
  let hasVerifier = 1;
}

def XF_GetParamOp : XF_Op<"get_param", [Pure, DeclareOpInterfaceMethods<SymbolUserOpInterface>]> {
  let summary = "the value of a parameter";
  let description = [{
    - C1: `name` is an xf.param of the result's type.

    ```mlir
    %w = xf.get_param @embedding.weight : tensor<37000x512xf32>
    ```
  }];
  let arguments = (ins FlatSymbolRefAttr:$name);
  let results = (outs AnyRankedTensor:$result);
  let assemblyFormat = "$name `:` type($result) attr-dict";
}

def XF_GetGradientOp : XF_Op<"get_gradient", [MemoryEffects<[MemRead]>, DeclareOpInterfaceMethods<SymbolUserOpInterface>]> {
  let summary = "the gradient of a parameter, as the call before left it";
  let description = [{
    What an entry point returns as `grad.NAME` stays in the model's array of gradients; so a step can add to the gradients of earlier batches, or take those that others computed.

    - C1: `name` is an xf.param of the result's type.

    ```mlir
    %g = xf.get_gradient @embedding.weight : tensor<37000x512xf32>
    ```
  }];
  let arguments = (ins FlatSymbolRefAttr:$name);
  let results = (outs AnyRankedTensor:$result);
  let assemblyFormat = "$name `:` type($result) attr-dict";
}

def XF_SetPreparedOp : XF_Op<"set_prepared", [DeclareOpInterfaceMethods<SymbolUserOpInterface>]> {
  let summary = "keeps what is made of a parameter before anything is predicted";
  let description = [{
    The entry point `prepare` computes the form in which products read weights; the runtime calls it when parameters have been loaded, and what it keeps is there for the calls that follow.

    - C1: `name` is an xf.param, and `value` has its shape, or that of its packed form.

    ```mlir
    xf.set_prepared @embedding.weight, %p : tensor<1157x512x32xf32>
    ```
  }];
  let arguments = (ins FlatSymbolRefAttr:$name, XF_Weight:$value);
  let assemblyFormat = "$name `,` $value `:` type($value) attr-dict";
}

def XF_GetPreparedOp : XF_Op<"get_prepared", [Pure, DeclareOpInterfaceMethods<SymbolUserOpInterface>]> {
  let summary = "a weight as `prepare` left it";
  let description = [{
    - C1: `name` is an xf.param, and the result has its shape, or that of its packed form.

    ```mlir
    %p = xf.get_prepared @embedding.weight : tensor<1157x512x32xf32>
    ```
  }];
  let arguments = (ins FlatSymbolRefAttr:$name);
  let results = (outs XF_Weight:$result);
  let assemblyFormat = "$name `:` type($result) attr-dict";
}

def XF_ApplyOp : XF_Op<"apply", [DeclareOpInterfaceMethods<SymbolUserOpInterface>]> {
  let summary = "applies a layer function under a name";
  let description = [{
    Calls `layer`, whose composite ops declare parameters; they get the prefix `name.`. The stage `input` turns it into a func.call that passes
    them, so that a layer is compiled once however often it is applied.

    - C1: `layer` is a function of these operand and result types.

    ```mlir
    %y = xf.apply @encoder_layer as "encoder.0" (%x, %starts) : (tensor<?x512xf32>, tensor<?xi32>) -> tensor<?x512xf32>
    ```
  }];
  let arguments = (ins FlatSymbolRefAttr:$layer, StrAttr:$name, Variadic<AnyRankedTensor>:$operands);
  let results = (outs Variadic<AnyRankedTensor>:$results);
  let assemblyFormat = "$layer `as` $name `(` $operands `)` `:` functional-type($operands, $results) attr-dict";
}

def XF_YieldOp : XF_Op<"yield", [Pure, Terminator, ReturnLike, ParentOneOf<["GroupOp", "ChunkedOp", "AttentionOp", "AttentionBackwardOp", "AttentionWeightsOp", "CachedAttentionOp", "MultiHeadAttentionOp"]>]> {
  let summary = "the results of an xf.group, of a chunk, or of a score region";
  let arguments = (ins Variadic<AnyType>:$operands);
  let assemblyFormat = "($operands^ `:` type($operands))? attr-dict";
}

def XF_GroupOp : XF_Op<"group", [SingleBlock, RecursiveMemoryEffects]> {
  let summary = "primitive ops that one kernel computes";
  let description = [{
    The stage `fuse` wraps every primitive op into a group with those that share its kernel; `kind` is that of the group's root. Its body
    uses values from outside freely; `outline` turns it into a function and an xf.dispatch.

    ```mlir
    %y = xf.group matmul "feed_forward.in" {
      %0 = xf.linear %x, %w bias %b : (tensor<?x512xf32>, tensor<2048x512xf32>, tensor<2048xf32>) -> tensor<?x2048xf32>
      %1 = xf.relu %0 : tensor<?x2048xf32>
      xf.yield %1 : tensor<?x2048xf32>
    } : tensor<?x2048xf32>
    ```
  }];
  let arguments = (ins XF_KernelKindAttr:$kind, StrAttr:$label);
  let results = (outs Variadic<AnyRankedTensor>:$results);
  let regions = (region SizedRegion<1>:$body);
  let assemblyFormat = "$kind $label attr-dict-with-keyword $body (`:` type($results)^)?";
}

def XF_ChunkedOp : XF_Op<"chunked", [SingleBlock, RecursiveMemoryEffects, AttrSizedOperandSegments]> {
  let summary = "computes some rows at a time";
  let description = [{
    Runs its body on chunks of at most `rows` rows of the tensors `of`, in order, so that what lies between them needs memory for one chunk
    alone: the logits of a large vocabulary. The body's arguments are the rows at hand, then the sums so far of `into`; it yields the rows of the results, and
    the sums for the next chunk, whose last ones are the last results. Chunks are of nearly equal sizes; how rows are cut depends on their number alone.

    - C1: `rows` is a multiple of 16 and at least that.
    - C2: at least one tensor in `of`; each has a dynamic number of rows and all other extents static.
    - C3: the body's arguments have the types of `of`, then those of `into`.
    - C4: the body yields the types of the results. Those that come before the last, which are as many as `into` and of its types, are like `of`.

    ```mlir
    %y:2 = xf.chunked rows(512) of(%x : tensor<?x8xf32>) into(%zero : tensor<8x8xf32>) {
    ^bb0(%rows: tensor<?x8xf32>, %sum: tensor<8x8xf32>):
      %0 = xf.relu %rows : tensor<?x8xf32>
      %1 = xf.matmul %0, %0 into %sum transpose_a : (tensor<?x8xf32>, tensor<?x8xf32>, tensor<8x8xf32>) -> tensor<8x8xf32>
      xf.yield %0, %1 : tensor<?x8xf32>, tensor<8x8xf32>
    } : tensor<?x8xf32>, tensor<8x8xf32>
    ```
  }];
  let arguments = (ins I64Attr:$rows, Variadic<AnyRankedTensor>:$tensors, Variadic<AnyRankedTensor>:$into);
  let results = (outs Variadic<AnyRankedTensor>:$results);
  let regions = (region SizedRegion<1>:$body);
  let assemblyFormat = "`rows` `(` $rows `)` `of` `(` $tensors `:` type($tensors) `)` (`into` `(` $into^ `:` type($into) `)`)? attr-dict-with-keyword $body `:` type($results)";
  let hasRegionVerifier = 1;
  let extraClassDeclaration = [{
    /// The results that are the rows of all chunks; the others are sums.
    ::mlir::ResultRange getRowResults() { return getResults().drop_back(getInto().size()); }
    ::mlir::ResultRange getSums() { return getResults().take_back(getInto().size()); }
  }];
}

def XF_DispatchOp : XF_Op<"dispatch", [DeclareOpInterfaceMethods<SymbolUserOpInterface>, DeclareOpInterfaceMethods<MemoryEffectsOpInterface>]> {
  let summary = "runs a kernel over all its tiles";
  let description = [{
    From `outline` on tensors; from `plan` on buffers, where the results have become operands (the last `writes` of them) and i64
    scalars are constants. `cost` gives its floating-point operations and the bytes that it reads and writes, as expressions in the
    function's dimensions; attention counts sequences of equal lengths. Where an affine form of them, `[constant, coefficient of
    dimension 0, ...]`, is above 0, another kernel with the same definition does the work: which is faster depends on the batch.

    - C1: `kernel` is a function with attribute xf.kernel whose types agree, and so is `otherwise`. C2: `writes` are operands. C3: memory comes from xf.buffer.
      C4: `otherwise` and `where` come together, on buffers, and `where` has as many numbers as the function has dimensions and one.

    ```mlir
    %y = xf.dispatch @linear_512x64 "projection" (%x, %w) : (tensor<?x512xf32>, tensor<64x512xf32>) -> tensor<?x64xf32>
    ```
  }];
  let arguments = (ins FlatSymbolRefAttr:$kernel, StrAttr:$label, Variadic<AnyType>:$operands, OptionalAttr<DenseI32ArrayAttr>:$writes,
                       OptionalAttr<AffineMapAttr>:$cost, OptionalAttr<FlatSymbolRefAttr>:$otherwise, OptionalAttr<DenseI64ArrayAttr>:$where);
  let results = (outs Variadic<AnyRankedTensor>:$results);
  let builders = [OpBuilder<(ins "::mlir::TypeRange":$results, "::llvm::StringRef":$kernel, "::llvm::StringRef":$label, "::mlir::ValueRange":$operands,
                                 "::mlir::DenseI32ArrayAttr":$writes, "::mlir::AffineMapAttr":$cost), [{
    build($_builder, $_state, results, kernel, label, operands, writes, cost, ::mlir::FlatSymbolRefAttr(), ::mlir::DenseI64ArrayAttr());
  }]>];
  let hasVerifier = 1;
  let assemblyFormat = [{
    $kernel $label `(` $operands `)` (`writes` $writes^)? (`cost` $cost^)? (`or` $otherwise^ `where` $where)?
    `:` functional-type($operands, $results) attr-dict
  }];
}

def XF_BufferOp : XF_Op<"buffer", [Pure]> {
  let summary = "memory that the plan assigned";
  let description = [{
    A slot of the arena (`index` is its number), an input or output of the function (its number), or a place in one of the flat
    arenas (an element offset). `extents` gives every dynamic extent as an affine form in the function's dimensions,
    `[constant, coefficient of dimension 0, ...]`; `live` are the first and the last dispatch that touch a slot. With `chunk` it is the rows
    of it that the chunk at hand is about, where dispatches are repeated; with `at` a part of the slot, so many bytes from its beginning; a `view` is all of it once more, in rows of another width.

    - C1: `index` is at least 0. C2: an affine form for every dynamic extent, of as many numbers as the function has dimensions and one. C3: slots have their two dispatches.

    ```mlir
    %s = xf.buffer slot(0) extents [array<i64: 0, 1>] live [0, 3] "attention.query" : memref<?x512xf32>
    ```
  }];
  let arguments = (ins XF_BufferKindAttr:$kind, I64Attr:$index, OptionalAttr<TypedArrayAttrBase<DenseI64ArrayAttr, "affine extents">>:$extents,
                       OptionalAttr<DenseI64ArrayAttr>:$live, OptionalAttr<StrAttr>:$label, UnitAttr:$chunk,
                       OptionalAttr<I64Attr>:$offset, UnitAttr:$view);
  let results = (outs AnyMemRef:$result);
  let extraClassDeclaration = [{
    /// Whether this is all of a slot.
    bool isSlot() { return getKind() == BufferKind::Slot && !getChunk() && !getOffset() && !getView(); }
    /// The affine form of a dynamic extent.
    ::llvm::ArrayRef<int64_t> getExtentForm(unsigned dim) {
      unsigned number = ::llvm::cast<::mlir::MemRefType>(getType()).getDynamicDimIndex(dim);
      return ::llvm::cast<::mlir::DenseI64ArrayAttr>((*getExtents())[number]).asArrayRef();
    }
  }];
  let hasVerifier = 1;
  let assemblyFormat = "$kind `(` $index `)` (`at` $offset^)? (`chunk` $chunk^)? (`view` $view^)? (`extents` $extents^)? (`live` $live^)? ($label^)? `:` type($result) attr-dict";
}
#endif
