//===- Emulator.h - PTX, run on the CPU ---------------------------------------------===//
// Runs the kernels that xf compiles, by the PTX manual's words, where there is no GPU. It knows the instructions that
// they use and refuses all others, and it looks for what hardware would not say: accesses out of bounds, misaligned or
// of memory never written, barriers that not all threads meet, and races between threads.
//===--------------------------------------------------------------------------------===//
#ifndef XF_TEST_GPU_EMULATOR_H
#define XF_TEST_GPU_EMULATOR_H

#include <cstdint>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace xf::gpu {

/// What is wrong with a kernel, and where.
struct Fault : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// Who touched a word last: a launch, a block of it, a thread of that, and the time by its warp's own count.
struct Access {
  uint32_t launch = 0, block = 0, time = 0, thread = 0;
};

/// A matrix in memory, and the boxes that are copied of it: what a tensor map holds.
struct TensorMap {
  static constexpr uint32_t known = 0x7e4501a9;
  uint32_t mark = known, boxColumns = 0, boxRows = 0, elementBytes = 0;
  uint64_t address = 0, columns = 0, rows = 0, pitch = 0;
};

/// Memory with a note of every word.
class Region {
public:
  static constexpr uint64_t unit = 2; // bytes of a word: neighbours of bf16 may be those of two threads
  Region(uint64_t address, uint64_t bytes) : address(address), bytes(bytes), words((bytes + unit - 1) / unit) {}
  bool holds(uint64_t at, uint64_t size) const { return at >= address && at + size <= address + bytes.size(); }
  uint8_t *at(uint64_t place) { return bytes.data() + (place - address); }
  void setWritten(uint64_t place, uint64_t size);

  struct Word {
    bool written = false, isArriving = false, isLeaving = false; // by asynchronous copies
    bool isBarrier = false;
    uint32_t constantIn = 0; // the launch that relies on nobody's writing it
    // Which of its writer's fences comes after, for the copy engine, and of its readers'; 0: it was itself.
    uint32_t fences = 0, readerFences = 0, otherReaderFences = 0;
    Access writer, reader, otherReader;
  };
  uint64_t address;
  std::vector<uint8_t> bytes;
  std::vector<Word> words;
};

/// Allocations, at addresses that the host can't use by accident. Those that are freed are remembered.
class Memory {
public:
  uint64_t allocate(uint64_t bytes);
  void release(uint64_t address);
  /// The allocation that holds these bytes, or a Fault that says what is there.
  Region &find(uint64_t address, uint64_t size, const std::string &what);
  uint64_t inUse() const;
  const std::map<uint64_t, std::unique_ptr<Region>> &allocations() const { return live; }

private:
  std::map<uint64_t, std::unique_ptr<Region>> live;
  std::map<uint64_t, uint64_t> freed; // begin, bytes
  uint64_t next = uint64_t(0x7) << 44;
};

struct Operation;
/// One `.entry` of a PTX module.
struct Kernel {
  std::string name;
  struct Parameter {
    std::string name;
    bool isMap; // a tensor map, or a number of 64 bits
  };
  std::vector<Parameter> parameters;
  uint32_t architecture = 0, version = 0; // 90 and 80 of sm_90 and 8.0
  bool isForOneArchitecture = false;      // sm_90a
  uint32_t threads = 0, blocks = 0;       // .reqntid; .minnctapersm, 0 where it does not say
  bool hasGroupProducts = false;
  std::vector<Operation> code;
  std::vector<uint8_t> constants; // register lines
  size_t lines = 0;               // registers in all, those of constants first
  uint64_t sharedBytes = 0;       // but for those that the launch adds
  std::vector<uint64_t> data;     // addresses of its global data
};

/// Where a block's shared memory begins, after what the system keeps, and how many bytes of it a block may have.
constexpr uint64_t sharedBegin = 1024;
constexpr uint64_t mostShared(uint32_t architecture) {
  return (architecture == 80 ? 163 : architecture == 86 || architecture == 89 || architecture == 120 ? 99 : 227) << 10;
}

/// Reads a module with one entry; its global data goes into `memory`.
Kernel parse(std::string_view ptx, Memory &memory);

/// Runs blocks of `threads` threads with `sharedBytes` of dynamic shared memory. A parameter that is a tensor map is
/// the address here of a TensorMap. `isBackwards`: last blocks and warps first, and what was copied last arrives first.
void launch(const Kernel &kernel, uint32_t blocks, uint32_t threads, const std::vector<uint64_t> &parameters,
            Memory &memory, uint64_t sharedBytes = 0, bool isBackwards = false);

using Handler = void (*)(struct Warp &, const Operation &, uint32_t mask);
struct Operation {
  Handler handler = nullptr;
  int guard = -1; // line of the predicate
  bool guardIsNot = false;
  int to[4] = {-1, -1, -1, -1}, from[10] = {-1, -1, -1, -1, -1, -1, -1, -1, -1, -1}; // lines
  int64_t offset = 0, sourceOffset = 0;                                              // of addresses; a branch's target
  size_t meets = 0;                                      // where the ways of a branch do, at the latest
  uint8_t bytes = 0, count = 1;                          // of an access
  bool shared = false, isSigned = false, isWide = false; // isWide: into registers of 64 bits
  bool isGroupProduct = false, isConstant = false;       // isConstant: of a load
  int line = 0;                                          // of the text
  struct Operand {                                       // of the instructions of Hopper.cpp
    int line;
    bool isWide; // of 64 bits
    int64_t offset;
  };
  std::vector<Operand> operands = {};
};
} // namespace xf::gpu

#endif // XF_TEST_GPU_EMULATOR_H
