//===- XFBase.td - dialect, enums, interfaces and base classes -*- tablegen -*-===//
// Shared by the op families beside this file. An op's differentiation rule is the `backward` code of its definition.
//===----------------------------------------------------------------------===//
#ifndef XF_BASE_TD
#define XF_BASE_TD

include "mlir/IR/OpBase.td"
include "mlir/IR/AttrTypeBase.td"
include "mlir/IR/EnumAttr.td"
include "mlir/IR/BuiltinAttributeInterfaces.td"
include "mlir/IR/SymbolInterfaces.td"
include "mlir/IR/OpAsmInterface.td"
include "mlir/Interfaces/SideEffectInterfaces.td"
include "mlir/Interfaces/ControlFlowInterfaces.td"
include "mlir/Interfaces/InferTypeOpInterface.td"

def XF_Dialect : Dialect {
  let name = "xf";
  let cppNamespace = "::mlir::xf";
  let summary = "Transformers as a dataflow graph";
  let description = [{
    The operations of "Attention Is All You Need" on packed batches: a batch of B sequences is a tensor of tokens x features,
    `tensor<?x512xf32>`, with `offsets : tensor<?xi32>` of B+1 sequence starts. Composite ops carry the paper's and d2l's names and
    declare their parameters; the primitive ones, into which they decompose, are what every later stage works on.
  }];
  let useDefaultAttributePrinterParser = 1;
  let hasConstantMaterializer = 1;
  let hasOperationAttrVerify = 1;
  let hasRegionArgAttrVerify = 1;
  let hasRegionResultAttrVerify = 1;
}

//===-- Types ----------------------------------------------------------------===//
def XF_Float : AnyTypeOf<[F32, BF16], "f32 or bf16">;
def XF_Activations : RankedTensorOf<[XF_Float]>;     // tokens x features
def XF_Rows : 1DTensorOf<[XF_Float]>;                // one number a token
def XF_Matrix : 2DTensorOf<[XF_Float]>;
def XF_PackedWeight : 3DTensorOf<[F32, BF16, I8]>;   // as xf.pack gives it
def XF_Weight : AnyTypeOf<[XF_Matrix, XF_PackedWeight], "a matrix, or a packed weight">;
def XF_Vector : 1DTensorOf<[XF_Float]>;
def XF_Scalar : 0DTensorOf<[XF_Float]>;
def XF_Ids : 1DTensorOf<[I32]>;                      // token ids, labels, positions, row lists
def XF_Offsets : 1DTensorOf<[I32]>;                  // B+1 starts of packed sequences
def XF_Random : 1DTensorOf<[I64]>;                   // (seed, step)
def XF_Hyper : 1DTensorOf<[XF_Float]>;               // see docs/Program.md, `hyper`

//===-- Enums ----------------------------------------------------------------===//
class XF_Enum<string name, list<I32EnumAttrCase> cases> : I32EnumAttr<name, "", cases> {
  let cppNamespace = "::mlir::xf";
  let genSpecializedAttr = 0;
}
/// A word. The parser that TableGen would write says "::mlir::xf::ActivationKind" where one is wrong.
class XF_EnumAttr<I32EnumAttr info, string word> : EnumAttr<XF_Dialect, info, word> {
  let assemblyFormat = ?;
  let hasCustomAssemblyFormat = 1;
  let extraClassDefinition = [{
    ::mlir::Attribute $cppClass::parse(::mlir::AsmParser &parser, ::mlir::Type) {
      std::string word;
      ::llvm::SMLoc place = parser.getCurrentLocation();
      (void)parser.parseOptionalKeywordOrString(&word);
      if (auto value = }] # info.cppNamespace # "::" # info.stringToSymbolFnName # [{(word))
        return get(parser.getContext(), *value);
      parser.emitError(place) << "expected '}] # word # [{' to be one of }] # !interleave(!foreach(value, info.enumerants, value.str), ", ") #
                              [{, but got " << (word.empty() ? "none" : "'" + word + "'");
      return {};
    }
    void $cppClass::print(::mlir::AsmPrinter &printer) const { printer << ' ' << }] # info.symbolToStringFnName # [{(getValue()); }
  }];
}

def XF_InitKind : XF_Enum<"InitKind", [
  I32EnumAttrCase<"XavierUniform", 0, "xavier_uniform">, I32EnumAttrCase<"Normal", 1, "normal">,
  I32EnumAttrCase<"Uniform", 2, "uniform">, I32EnumAttrCase<"Zeros", 3, "zeros">, I32EnumAttrCase<"Ones", 4, "ones">]>;
def XF_InitKindAttr : XF_EnumAttr<XF_InitKind, "init">;
def XF_PositionKind : XF_Enum<"PositionKind", [
  I32EnumAttrCase<"None", 0, "none">, I32EnumAttrCase<"Sinusoidal", 1, "sinusoidal">,
  I32EnumAttrCase<"SinusoidalHalves", 2, "sinusoidal_halves">, I32EnumAttrCase<"Learned", 3, "learned">]>;
def XF_PositionKindAttr : XF_EnumAttr<XF_PositionKind, "positions">;
def XF_ActivationKind : XF_Enum<"ActivationKind", [
  I32EnumAttrCase<"Relu", 0, "relu">, I32EnumAttrCase<"Gelu", 1, "gelu">, I32EnumAttrCase<"GeluTanh", 2, "gelu_tanh">,
  I32EnumAttrCase<"Silu", 3, "silu">]>;
def XF_ActivationKindAttr : XF_EnumAttr<XF_ActivationKind, "activation">;
def XF_KernelKind : XF_Enum<"KernelKind", [
  I32EnumAttrCase<"Elementwise", 0, "elementwise">, // each element of a row from the same element of the operands
  I32EnumAttrCase<"Row", 1, "row">,                 // reductions along the row; rows are independent
  I32EnumAttrCase<"Column", 2, "column">,           // reductions over all rows; columns are independent
  I32EnumAttrCase<"Matmul", 3, "matmul">, I32EnumAttrCase<"Attention", 4, "attention">,
  I32EnumAttrCase<"AttentionBackward", 5, "attention_backward">,
  I32EnumAttrCase<"Scatter", 6, "scatter">,         // rows written where another tensor says
  I32EnumAttrCase<"Scalar", 7, "scalar">,           // one tile
  I32EnumAttrCase<"Optimizer", 8, "optimizer">,     // over the flat arenas
  I32EnumAttrCase<"Pack", 9, "pack">,               // a weight into the order in which products read it
  I32EnumAttrCase<"TopK", 10, "top_k">]>;           // the largest of each row
def XF_KernelKindAttr : XF_EnumAttr<XF_KernelKind, "kernel">;
def XF_BufferKind : XF_Enum<"BufferKind", [
  I32EnumAttrCase<"Slot", 0, "slot">, I32EnumAttrCase<"Input", 1, "input">, I32EnumAttrCase<"Output", 2, "output">,
  I32EnumAttrCase<"Parameter", 3, "parameter">, I32EnumAttrCase<"Gradient", 4, "gradient">,
  I32EnumAttrCase<"FirstMoment", 5, "first_moment">, I32EnumAttrCase<"SecondMoment", 6, "second_moment">,
  I32EnumAttrCase<"Prepared", 7, "prepared">]>;
def XF_BufferKindAttr : XF_EnumAttr<XF_BufferKind, "buffer">;
def XF_RequirementKind : XF_Enum<"RequirementKind", [
  I32EnumAttrCase<"Rows", 0, "rows">,         // it has `size` of them
  I32EnumAttrCase<"Starts", 1, "starts">,     // of sequences that `size` rows are cut into, and where the last one ends
  I32EnumAttrCase<"Below", 2, "below">,       // each is from 0 on and below `size`
  I32EnumAttrCase<"Longest", 3, "longest">]>; // starts of sequences none of which has more than `size` rows

def XF_RequirementAttr : AttrDef<XF_Dialect, "Requirement"> {
  let mnemonic = "requirement";
  let summary = "what an entry point takes to be so of an input";
  let description = [{
    Stands in a list, an entry point's `xf.requirements`, from stage `plan` on. `kind` says what is required of `input`, by its number: `rows`, that it has `size` of them; `starts`, that it holds the starts of sequences that `size`
    rows are cut into and where the last one ends; `below`, that its numbers are from 0 on and below `size`; `longest`, that it holds starts of sequences none of which has more than `size` rows. `size` is an affine form in the
    function's dimensions, as in xf.buffer, and `of` what has that size, in the model's words.

    ```mlir
    #xf.requirement<below, input = 0, size = [37000, 0], of = "rows of 'embedding.weight'">
    ```
  }];
  let parameters = (ins EnumParameter<XF_RequirementKind>:$kind, "int64_t":$input, "DenseI64ArrayAttr":$size, "StringAttr":$of);
  let assemblyFormat = "`<` $kind `,` struct($input, $size, $of) `>`";
}

//===-- Interfaces -----------------------------------------------------------===//
def XF_DifferentiableOpInterface : OpInterface<"DifferentiableOpInterface"> {
  let cppNamespace = "::mlir::xf";
  let description = [{ An op whose derivative is known: reverse mode, one rule an op, written beside it. }];
  let methods = [InterfaceMethod<[{
      Builds the cotangents of the operands from those of the results. `cotangents[i]` is null where result i does not reach the loss
      (at least one is not); `active[i]` says whether operand i's cotangent is wanted. Returns a value for each operand, null
      where it is not wanted or zero.
    }], "::llvm::SmallVector<::mlir::Value>", "buildBackward",
    (ins "::mlir::OpBuilder &":$builder, "::mlir::ValueRange":$cotangents, "::llvm::ArrayRef<bool>":$active)>];
}
def XF_KernelOpInterface : OpInterface<"KernelOpInterface"> {
  let cppNamespace = "::mlir::xf";
  let description = [{ A primitive op: what kind of kernel computes it, where its dynamic extents come from, what it takes to be so, and what it costs. }];
  let methods = [
    InterfaceMethod<"The kind of kernel that computes this op", "::mlir::xf::KernelKind", "getKernelKind">,
    InterfaceMethod<[{Which (operand, dimension) gives the dynamic extent `dim` of result `result`}],
      "::std::pair<unsigned, unsigned>", "getExtentSource", (ins "unsigned":$result, "unsigned":$dim), "",
      [{ return {0, dim}; }]>,
    InterfaceMethod<"What is taken to be so of operands, for nothing looks at it again", "::llvm::SmallVector<::mlir::xf::Requirement>", "getRequirements",
      (ins), "", [{ return ::mlir::xf::requireEqualRows($_op); }]>,
    InterfaceMethod<"The starts of the sequences whose rows the result numbers from 0 on, if it does", "::mlir::Value", "getNumberedSequences", (ins), "",
      [{ return {}; }]>,
    InterfaceMethod<"Whether operand `operand` is a factor of matrix products, or a weight that is packed for them", "bool", "isFactor", (ins "unsigned":$operand), "", [{ return false; }]>,
    InterfaceMethod<"Whether result `result` is of numbers about rows, or of sums for a parameter: f32 at any precision", "bool", "isStatistic",
      (ins "unsigned":$result), "", [{ return false; }]>,
    InterfaceMethod<"The operand whose buffer result `result` updates in place, or -1", "int", "getInPlaceOperand",
      (ins "unsigned":$result), "", [{ return -1; }]>,
    InterfaceMethod<"Floating-point operations of the op's formula: a multiply-add is two, a function such as exp one",
      "::mlir::AffineExpr", "getFlops", (ins "const ::mlir::xf::Extents &":$extent)>,
    InterfaceMethod<"How many elements of operand `operand` are read", "::mlir::AffineExpr", "getElementsRead",
      (ins "unsigned":$operand, "const ::mlir::xf::Extents &":$extent), "", [{ return extent.elements($_op->getOperand(operand)); }]>,
    InterfaceMethod<"How many elements of result `result` are written", "::mlir::AffineExpr", "getElementsWritten",
      (ins "unsigned":$result, "const ::mlir::xf::Extents &":$extent), "", [{ return extent.elements($_op->getResult(result)); }]>];
}

def XF_CompositeOpInterface : OpInterface<"CompositeOpInterface"> {
  let cppNamespace = "::mlir::xf";
  let description = [{ A sublayer in the paper's words: it names its parameters, and the stage `input` decomposes it into primitive ops. }];
  let methods = [InterfaceMethod<"The rate of its dropout", "::llvm::APFloat", "getDropout", (ins), "", [{ return ::llvm::APFloat(0.0f); }]>];
}

//===-- Base classes ---------------------------------------------------------===//
class XF_Op<string mnemonic, list<Trait> traits = []> : Op<XF_Dialect, mnemonic, traits>;

/// A primitive op: value semantics, a kernel kind, `flops` (an expression in `extent(tensor, dim)` and `extent.elements(tensor)`), and
/// optionally a differentiation rule (`backward`, the body of buildBackward with `builder`, `cotangents`, `active`, and `loc` in scope).
class XF_Primitive<string mnemonic, string kind, list<Trait> traits = []>
    : XF_Op<mnemonic, !listconcat([Pure, DeclareOpInterfaceMethods<XF_KernelOpInterface>], traits)> {
  code kernelKind = "::mlir::xf::KernelKind::" # kind;
  code flops = ?;
  code backward = [{}];
  code extraDeclaration = [{}];
  code extraDefinition = [{}];
  let extraClassDeclaration = extraDeclaration;
  let extraClassDefinition = [{
    ::mlir::xf::KernelKind $cppClass::getKernelKind() { return }] # kernelKind # [{; }
    ::mlir::AffineExpr $cppClass::getFlops(const ::mlir::xf::Extents &extent) { return }] # flops # [{; }
  }] # extraDefinition # !if(!eq(backward, [{}]), "", [{
    ::llvm::SmallVector<::mlir::Value> $cppClass::buildBackward(::mlir::OpBuilder &builder, ::mlir::ValueRange cotangents,
                                                                ::llvm::ArrayRef<bool> active) {
      ::mlir::Location loc = getLoc(); (void)loc;
      }] # backward # [{
    }
  }]);
}
defvar XF_Differentiable = DeclareOpInterfaceMethods<XF_DifferentiableOpInterface>;
defvar XF_OwnReads = DeclareOpInterfaceMethods<XF_KernelOpInterface, ["getElementsRead"]>;
defvar XF_OwnFactors = DeclareOpInterfaceMethods<XF_KernelOpInterface, ["isFactor"]>;
defvar XF_OwnStatistics = DeclareOpInterfaceMethods<XF_KernelOpInterface, ["isStatistic"]>;
defvar XF_OwnRequirements = DeclareOpInterfaceMethods<XF_KernelOpInterface, ["getRequirements"]>;
defvar XF_OwnExtents = DeclareOpInterfaceMethods<XF_KernelOpInterface, ["getExtentSource"]>;

#endif
