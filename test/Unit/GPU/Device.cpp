//===- Device.cpp - the GPU that tests of kernels run on ----------------------------------===//
#include "Device.h"
#include "Compile.h"
#include "xf/Runtime/Device.h"

#include <algorithm>

using namespace xf;
using namespace xf::gpu;

namespace {
/// An error is a Fault.
template <typename T> T take(runtime::Expected<T> expected) {
  if (!expected)
    throw Fault(expected.error().message);
  if constexpr (!std::is_void_v<T>)
    return std::move(*expected);
}

std::string wordAfter(const std::string &text, const std::string &before) {
  size_t at = text.find(before);
  if (at == text.npos)
    throw Fault("PTX has no " + before);
  at = text.find_first_not_of(' ', at + before.size());
  return text.substr(at, text.find_first_of(" (,\n", at) - at);
}

/// The GPU's memory holds each allocation of `memory` in turn, with room between them. All bits are set where nothing
/// was written, which is no number: a result that a kernel leaves out is seen, and so is what it writes beside one.
class Copies {
public:
  explicit Copies(Memory &memory) : memory(memory) {
    int64_t place = room;
    for (auto &[address, region] : memory.allocations()) {
      placeOf[address] = place;
      place += (int64_t(region->bytes.size()) + 255) / 256 * 256 + room;
    }
    bytes.assign(place, unwritten);
    for (auto &[address, region] : memory.allocations())
      for (uint64_t at = 0; at < region->bytes.size(); ++at)
        if (region->words[at / Region::unit].written)
          bytes[placeOf[address] + at] = region->bytes[at];
  }

  /// Where an address is; what is none of an allocation's is a number.
  uint64_t translate(uint64_t value, const char *begin) const {
    auto after = placeOf.upper_bound(value);
    if (after == placeOf.begin())
      return value;
    auto [address, place] = *std::prev(after);
    return reinterpret_cast<uint64_t>(begin) + place + (value - address);
  }

  /// Takes home what the GPU has left.
  void takeHome() {
    size_t seen = 0;
    auto expectUnwritten = [&](size_t end, const std::string &where) {
      for (; seen < end; ++seen)
        if (bytes[seen] != unwritten)
          throw Fault("out of bounds: something is written " + where);
    };
    for (auto &[address, region] : memory.allocations()) {
      size_t place = placeOf[address];
      expectUnwritten(place, "before an allocation of " + std::to_string(region->bytes.size()) + " bytes");
      seen = place + region->bytes.size();
      std::copy(bytes.begin() + place, bytes.begin() + seen, region->bytes.begin());
      // By four bytes: half of a number may have all bits set, and a half that was left out is no number then.
      for (size_t word = 0; word < region->words.size(); ++word) {
        size_t at = place + word * Region::unit / 4 * 4;
        region->words[word].written |= std::any_of(bytes.begin() + at, bytes.begin() + std::min(at + 4, seen),
                                                   [](uint8_t byte) { return byte != unwritten; });
      }
    }
    expectUnwritten(bytes.size(), "behind all allocations");
  }

  std::vector<uint8_t> bytes;

private:
  static constexpr int64_t room = 4096;
  static constexpr uint8_t unwritten = 0xff;
  Memory &memory;
  std::map<uint64_t, int64_t> placeOf;
};

void runOnGPU(const std::string &ptx, int64_t blocks, std::vector<uint64_t> parameters,
              const std::vector<TensorMap> &maps, int64_t shared, Memory &memory) {
  // The first of a process makes what all of them share; between runs it stays.
  static runtime::Program nothing;
  static std::unique_ptr<runtime::Device> keeper = [] {
    nothing.gpu = "sm_80";
    return take(runtime::Device::open(nothing, {}));
  }();
  runtime::Program program;
  program.gpu = wordAfter(ptx, ".target");
  runtime::Kernel &kernel = program.kernels.emplace_back();
  kernel.name = wordAfter(ptx, ".entry");
  kernel.launch.threads = std::stol(wordAfter(ptx, ".reqntid"));
  kernel.launch.shared = shared;
  for (const TensorMap &map : maps)
    kernel.launch.maps.push_back({int64_t(kernel.launch.maps.size()), int64_t(map.rows), int64_t(map.columns),
                                  int64_t(map.pitch), map.boxRows, map.boxColumns, map.elementBytes});
  XfImage image{ptx.c_str(), int64_t(ptx.size()), nullptr, 0};
  const XfImage *images[] = {&image};
  std::unique_ptr<runtime::Device> device = take(runtime::Device::open(program, images));

  Copies copies(memory);
  take(device->reserve(int64_t(copies.bytes.size()), "a test"));
  std::vector<void *> matrices, arguments;
  for (const TensorMap &map : maps)
    matrices.push_back(reinterpret_cast<void *>(copies.translate(map.address, device->data())));
  for (uint64_t &parameter : parameters) {
    parameter = copies.translate(parameter, device->data());
    arguments.push_back(&parameter);
  }
  std::vector<runtime::Device::TensorMap> encoded = take(device->makeMaps(0, matrices.data(), nullptr));
  for (runtime::Device::TensorMap &map : encoded)
    arguments.push_back(&map);
  take(device->copyIn(device->data(), copies.bytes.data(), int64_t(copies.bytes.size())));
  if (blocks > 0)
    take(device->launch(0, blocks, arguments.data()));
  take(device->wait());
  take(device->copyOut(copies.bytes.data(), device->data(), int64_t(copies.bytes.size()))); // waited for
  copies.takeHome();
}
} // namespace

void gpu::Device::run(const std::string &ptx, int64_t blocks, std::vector<uint64_t> parameters,
                      const std::vector<TensorMap> &maps, int64_t shared) {
  if (!isEmulated())
    return runOnGPU(ptx, blocks, std::move(parameters), maps, shared, memory);
  for (const TensorMap &map : maps)
    parameters.push_back(reinterpret_cast<uint64_t>(&map));
  Kernel kernel = parse(ptx, memory);
  static uint32_t runs = 0; // in turn from the first block and warp on, and from the last
  launch(kernel, uint32_t(blocks), kernel.threads, parameters, memory, uint64_t(shared), /*isBackwards=*/runs++ % 2);
}
