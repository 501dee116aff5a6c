//===- Order.cpp - Which steps may run at the same time ------------------------------===//
// Memory as disjoint parts, each with who wrote it last and who has read it since.
//===--------------------------------------------------------------------------------===//
#include "xf/Runtime/Order.h"

#include <set>

using namespace xf::runtime;

namespace {
class Touched {
public:
  /// Adds to `after` whom `step` has to come after because it touches these bytes.
  void touch(std::span<char> bytes, bool writes, size_t step, std::set<size_t> &after) {
    char *begin = bytes.data(), *end = begin + bytes.size();
    split(begin);
    split(end);
    for (char *at = begin; at < end;) {
      auto it = parts.lower_bound(at);
      if (it == parts.end() || it->first > at)
        it = parts.emplace_hint(it, at, Part{it == parts.end() ? end : std::min(end, it->first)});
      Part &part = it->second;
      if (part.writer)
        after.insert(*part.writer);
      if (writes) {
        after.insert(part.readers.begin(), part.readers.end());
        part.readers.clear();
        part.writer = step;
      } else {
        part.readers.push_back(step);
      }
      at = part.end;
    }
  }

private:
  struct Part {
    char *end;
    std::optional<size_t> writer = std::nullopt;
    std::vector<size_t> readers = {}; // since
  };

  void split(char *at) {
    auto next = parts.upper_bound(at);
    if (next == parts.begin())
      return;
    auto part = std::prev(next);
    if (part->first == at || part->second.end <= at)
      return;
    Part rest = part->second;
    part->second.end = at;
    parts.emplace_hint(next, at, std::move(rest));
  }

  std::map<char *, Part> parts; // by where they begin
};
} // namespace

std::vector<std::vector<size_t>> xf::runtime::orderOf(const Walk &walk,
                                                      const std::function<bool(int64_t kernel)> &single) {
  size_t count = walk.steps.size();
  std::vector<std::vector<size_t>> order(count);
  std::vector<std::vector<uint64_t>> before(count); // bits of all that each comes after
  std::map<int64_t, size_t> last;                   // of each kernel that is single
  Touched touched;
  for (size_t index = 0; index < count; ++index) {
    const Walk::Step &step = walk.steps[index];
    const Dispatch &dispatch = *step.dispatch;
    std::set<size_t> after;
    for (size_t i = 0; i < dispatch.operands.size(); ++i) {
      bool writes = std::find(dispatch.writes.begin(), dispatch.writes.end(), int64_t(i)) != dispatch.writes.end();
      touched.touch({static_cast<char *>(walk.pointers[step.buffers + i]), walk.bytes[step.buffers + i]}, writes, index,
                    after);
    }
    if (single(dispatch.kernel)) {
      if (auto found = last.find(dispatch.kernel); found != last.end())
        after.insert(found->second);
      last[dispatch.kernel] = index;
    }
    after.erase(index); // it may touch bytes twice
    std::vector<uint64_t> &all = before[index];
    all.resize(index / 64 + 1);
    for (auto it = after.rbegin(); it != after.rend(); ++it) {
      uint64_t bit = uint64_t(1) << *it % 64;
      if (all[*it / 64] & bit)
        continue;
      order[index].push_back(*it);
      all[*it / 64] |= bit;
      for (size_t word = 0; word < before[*it].size(); ++word)
        all[word] |= before[*it][word];
    }
  }
  return order;
}
