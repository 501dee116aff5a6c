//===- Program.h - The description of a compiled model, parsed ----------------------===//
// docs/Program.md in structs. Parsed and checked once at start-up: everything after may rely on
// every index being in range and every interval holding its uses.
//===--------------------------------------------------------------------------------===//
#ifndef XF_RUNTIME_PROGRAM_H
#define XF_RUNTIME_PROGRAM_H

#include "xf/Runtime/Error.h"

#include <algorithm>
#include <cstdint>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace xf::runtime {

using KernelFunction = void (*)(void *const *buffers, const int64_t *dims, const int64_t *scalars, int64_t begin,
                                int64_t end, void *scratch);

/// Programs compute on the first three; files may hold any.
enum class ElementType { F32, I32, I64, F64, Bool, BF16, F16, I8 };
int64_t byteWidth(ElementType type);
std::string_view name(ElementType type);

/// constant + sum of coefficient * dim, over the dims of a function.
struct Affine {
  std::vector<int64_t> terms; // the constant first
  int64_t at(std::span<const int64_t> dims) const {
    int64_t value = terms[0];
    for (size_t i = 0; i < dims.size(); ++i)
      value += terms[i + 1] * dims[i];
    return value;
  }
};

/// A number that follows from the dims of a function: a sum, product or quotient of others. 0 unless it is known.
struct Formula {
  enum Kind { Constant, Dim, Sum, Product, Quotient } kind = Constant;
  int64_t value = 0; // a constant, or the number of a dim
  std::vector<Formula> operands;
  double at(std::span<const int64_t> dims) const;
};

/// One extent of a tensor: a number, or one of the function's dims.
struct Extent {
  int64_t size = 0;
  int dim = -1;
  int64_t at(std::span<const int64_t> dims) const { return dim < 0 ? size : dims[dim]; }
};

struct Initializer {
  enum Kind { XavierUniform, Normal, Uniform, Zeros, Ones } kind = Zeros;
  double value = 0; // gain, stddev or bound
};

struct Parameter {
  std::string name;
  std::vector<int64_t> shape;
  int64_t offset = 0;
  Initializer init;
  int64_t elements() const;
};

/// A matrix, of bf16 or f32, that a kernel's copy engine reads or writes by boxes. An extent below 0 is that of the
/// dispatch's dim -1 - extent.
struct BoxedMatrix {
  int64_t operand = 0, rows = 0, columns = 0, rowBytes = 0, boxRows = 0, boxColumns = 0, // rowBytes: from row to row
      elementBytes = 0;
};

/// How a GPU is asked to run a kernel.
struct Launch {
  int64_t threads = 0;            // of a block
  int64_t shared = 0;             // bytes of a block's dynamic shared memory
  int64_t blocksPerProcessor = 0; // blocks go on to further tiles, so that no more are launched; 0: one tile each
  std::vector<BoxedMatrix> maps;  // of each a further parameter
  int64_t ownBytes = 0;           // of the GPU's memory that the kernel brings with it: not to be run twice at once
};

struct Kernel {
  std::string name;
  std::string shape;    // of its operands, dynamic extents as '?'
  std::string schedule; // what was chosen for it
  int64_t scratch = 0;
  std::string form; // of a GPU's tensor cores, that it uses: "wgmma", "mma.sync"; empty: none
  Launch launch;
};

struct TensorType {
  std::string name;
  ElementType type = ElementType::F32;
  std::vector<Extent> shape;
  std::vector<int64_t> shapeAt(std::span<const int64_t> dims) const;
  int64_t bytesAt(std::span<const int64_t> dims) const;
};

struct Slot {
  std::string name;
  ElementType type = ElementType::F32;
  Affine bytes;
  int64_t first = 0, last = 0;
};

enum class Space { Slot, Parameter, Input, Output, Gradient, FirstMoment, SecondMoment, Prepared };

struct Operand {
  Space space = Space::Slot;
  int64_t index = 0;             // of a slot, input or output; elements into the other arenas
  int64_t elements = 0;          // of those arenas
  int64_t offset = 0, bytes = 0; // of a part of a slot; 0 bytes: all of it
};

struct GridAxis {
  Affine extent;
  int64_t tile = 1;
};

/// Dispatches that are repeated for chunks of rows.
struct Loop {
  int dim = 0, of = 0;        // which of the function's dims are the rows of the chunk, and of all
  int64_t rows = 0;           // at most, in a chunk
  int64_t begin = 0, end = 0; // dispatches
  /// How many rows chunks have, but for the last one: nearly equal shares, in sixteens.
  int64_t chunk(int64_t total) const {
    int64_t count = (total + rows - 1) / rows, share = count ? (total + count - 1) / count : 0;
    return std::min((share + 15) / 16 * 16, total);
  }
};

struct Dispatch {
  int64_t kernel = 0;
  std::string label;
  std::vector<Operand> operands;
  std::vector<int64_t> chunkBytes; // an operand: of a row, where the dispatch sees those of the chunk at hand; else 0
  std::vector<int64_t> writes;     // indices into operands
  std::vector<Affine> dims;
  std::vector<int64_t> scalars;
  std::vector<GridAxis> grid;
  std::shared_ptr<const Formula> flops, bytes; // null where unknown; many dispatches have one
  std::shared_ptr<const Dispatch> otherwise;   // what runs in its place where `where` is above 0; null: nothing does
  Affine where;

  const Dispatch &at(std::span<const int64_t> dims) const {
    return otherwise && where.at(dims) > 0 ? otherwise->at(dims) : *this;
  }
};

/// What kernels take to be so of an input: nothing looks at it again.
struct Requirement {
  enum Kind {
    Rows,   // it has `size` of them
    Starts, // it holds those of sequences that `size` rows are cut into, and where the last one ends
    Below,  // its numbers are from 0 on and below `size`
    Longest // it holds starts of sequences none of which has more than `size` rows
  } kind = Rows;
  size_t input = 0;
  Affine size;
  std::string of; // what has that size
};

struct Function {
  std::string name;
  std::vector<std::string> dims;
  std::vector<TensorType> inputs, outputs;
  std::vector<Slot> slots;
  std::vector<Dispatch> dispatches;
  std::vector<Loop> loops; // in order; none in another
  std::vector<Requirement> requirements;
  bool usesGradients = false, usesMoments = false, usesParameters = false, usesPrepared = false;

  /// Sets the dims that are rows of chunks.
  void setChunks(std::span<int64_t> values) const {
    for (const Loop &loop : loops)
      values[loop.dim] = loop.chunk(values[loop.of]);
  }

  std::optional<size_t> input(std::string_view name) const;
  std::optional<size_t> output(std::string_view name) const;
  bool writesInput(size_t index) const;
};

struct Program {
  std::string name, kind;
  std::string triple, cpu;
  std::string gpu;        // that kernels are for, as "sm_80"; empty: they are for `cpu`
  bool hasTwin = false;   // the executable or library has the model for a GPU and for the processor
  bool isLibrary = false; // and which of the two it is
  std::string_view form() const { return isLibrary ? "library" : "executable"; }
  std::vector<std::string> features;
  nlohmann::json model, options; // the preset's keys and how it was compiled: printed, and read by name where needed
  std::vector<Parameter> parameters;
  int64_t parameterElements = 0, preparedElements = 0;
  std::vector<Kernel> kernels;
  std::vector<Function> functions;
  int64_t descriptionBytes = 0; // of the text that all of this was read from

  const Function *function(std::string_view name) const;
};

/// Parses and checks; any failure is ours (exit code 2): the compiler wrote the text.
Expected<Program> parseProgram(std::string_view json, int64_t kernelCount);

} // namespace xf::runtime

#endif // XF_RUNTIME_PROGRAM_H
