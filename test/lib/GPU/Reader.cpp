//===- Reader.cpp - PTX as the emulator runs it -----------------------------===//
// A module of one entry, as LLVM writes it; what it does not know is an error.
//===--------------------------------------------------------------------------------===//
#include "Warp.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace xf::gpu {
namespace {
/// Sets where the ways of each branch meet: its immediate post-dominator, the end of the code where there is none.
/// Cooper, Harvey and Kennedy's algorithm on the operations, backwards.
void findMeetings(std::vector<Operation> &code) {
  size_t end = code.size();
  auto successors = [&](size_t i) -> std::vector<size_t> {
    const Operation &op = code[i];
    if (op.handler == finish && op.guard < 0)
      return {end};
    if (op.handler == finish)
      return {i + 1, end};
    if (op.handler != branch)
      return {i + 1};
    return op.guard < 0 ? std::vector<size_t>{size_t(op.offset)} : std::vector<size_t>{i + 1, size_t(op.offset)};
  };
  std::vector<std::vector<size_t>> predecessors(end + 1);
  for (size_t i = 0; i < end; ++i)
    for (size_t next : successors(i))
      predecessors[next].push_back(i);
  // An order in which what comes later is known first.
  constexpr size_t unknown = ~size_t(0);
  std::vector<size_t> number(end + 1, unknown), order;
  std::vector<std::pair<size_t, size_t>> stack{{end, 0}};
  std::vector<bool> seen(end + 1);
  seen[end] = true;
  while (!stack.empty()) {
    auto &[at, turn] = stack.back();
    if (turn < predecessors[at].size()) {
      size_t next = predecessors[at][turn++];
      if (!seen[next]) {
        seen[next] = true;
        stack.push_back({next, 0});
      }
    } else {
      number[at] = order.size();
      order.push_back(at);
      stack.pop_back();
    }
  }
  std::vector<size_t> meets(end + 1, unknown);
  meets[end] = end;
  for (bool changed = true; changed;) {
    changed = false;
    for (size_t i = order.size() - 1; i-- > 0;) { // but for the end
      size_t at = order[i], common = unknown;
      for (size_t next : successors(at)) {
        if (meets[next] == unknown)
          continue;
        if (common == unknown)
          common = next;
        for (size_t other = next; common != other;)
          if (number[common] < number[other])
            common = meets[common];
          else
            other = meets[other];
      }
      changed |= meets[at] != common;
      meets[at] = common;
    }
  }
  for (size_t i = 0; i < end; ++i)
    code[i].meets = meets[i] == unknown ? end : meets[i];
}

class Reader {
public:
  Reader(std::string_view text, Memory &memory) : text(text), memory(memory) {}

  Kernel read() {
    bool inBody = false, inParameters = false;
    std::string instruction;
    for (int number = 1; !text.empty(); ++number) {
      size_t end = text.find('\n');
      std::string line(text.substr(0, end));
      text = end == text.npos ? "" : text.substr(end + 1);
      if (size_t comment = line.find("//"); comment != line.npos)
        line.resize(comment);
      line.erase(0, std::min(line.find_first_not_of(" \t"), line.size()));
      while (!line.empty() && std::isspace(static_cast<unsigned char>(line.back())))
        line.pop_back();
      current = number;
      if (line.empty())
        continue;
      if (line.starts_with(".visible .entry")) {
        if (!kernel.name.empty())
          fail("expected one entry in a module");
        kernel.name = line.substr(16, line.find('(') - 16);
        inParameters = line.back() != ')';
      } else if (inParameters) {
        if (line == ")")
          inParameters = false;
        else if (line.starts_with(".param .u64"))
          kernel.parameters.push_back({line.substr(line.rfind(' ') + 1, line.find(',') - line.rfind(' ') - 1), false});
        else if (size_t size = line.find("[128]"); line.starts_with(".param .align 64 .b8 ") && size != line.npos) {
          kernel.parameters.push_back({line.substr(21, size - 21), true});
          symbols[kernel.parameters.back().name] = kernel.parameters.size(); // where tensor maps are looked for
        } else
          fail("unknown parameter '" + line + "'");
      } else if (line.starts_with(".reqntid")) {
        kernel.threads = std::stoul(line.substr(9));
      } else if (line == "{" || line == "}") {
        depth += line == "{" ? 1 : -1;
        inBody = depth > 0;
        scope += line == "{";
      } else if (line.starts_with(".shared") || line.starts_with(".global") || line.starts_with(".extern .shared")) {
        addData(line);
      } else if (line.starts_with(".reg") && depth > 1) { // of inline PTX; one whose name begins with rd has 64 bits
        std::string name = line.substr(line.rfind(' ') + 1, line.find(';') - line.rfind(' ') - 1);
        locals[name] = "%" + name + "." + std::to_string(scope);
      } else if (line.starts_with(".minnctapersm")) {
        kernel.blocks = std::stoul(line.substr(14));
      } else if (line.starts_with(".target sm_")) {
        kernel.architecture = std::stoul(line.substr(11));
        kernel.isForOneArchitecture = line.ends_with("a");
      } else if (line.starts_with(".version ")) {
        kernel.version = uint32_t(std::stod(line.substr(9)) * 10 + 0.5);
      } else if (line.starts_with(".reg") || line.starts_with(".address_size") || line.starts_with(".pragma")) {
      } else if (line.back() == ':') {
        labels[scoped(line.substr(0, line.size() - 1))] = kernel.code.size();
      } else if (inBody) { // of one or more lines
        instruction += (instruction.empty() ? "" : " ") + line;
        if (instruction.back() != ';')
          continue;
        instruction.pop_back();
        addInstruction(std::exchange(instruction, ""));
      } else {
        fail("unknown line '" + line + "'");
      }
    }
    if (kernel.name.empty())
      fail("expected an entry");
    if (!dynamicShared.empty() && kernel.sharedBytes > 0)
      fail("expected dynamic shared memory alone: no manual says how it is aligned after other memory");
    for (auto &[operation, label] : branches) {
      if (!labels.count(label))
        fail("unknown label '" + label + "'");
      kernel.code[operation].offset = labels[label];
    }
    findMeetings(kernel.code);
    // Lines of constants come first; the others follow them.
    kernel.constants.resize(constants.size() * lineBytes);
    for (size_t i = 0; i < constants.size(); ++i)
      for (int lane = 0; lane < width; ++lane)
        if (constants[i].second)
          reinterpret_cast<uint64_t *>(kernel.constants.data() + i * lineBytes)[lane] = constants[i].first;
        else
          reinterpret_cast<uint32_t *>(kernel.constants.data() + i * lineBytes)[lane] = uint32_t(constants[i].first);
    kernel.lines = constants.size() + registers.size();
    auto place = [&](int &line) {
      if (line >= 0)
        line = line % 2 ? int(constants.size()) + line / 2 : line / 2;
    };
    for (Operation &op : kernel.code) {
      place(op.guard);
      std::ranges::for_each(op.to, place);
      std::ranges::for_each(op.from, place);
      for (Operation::Operand &operand : op.operands)
        place(operand.line);
    }
    return std::move(kernel);
  }

private:
  [[noreturn]] void fail(const std::string &what) { throw Fault("PTX, line " + std::to_string(current) + ": " + what); }

  // ".shared .align 16 .b8 NAME[BYTES];", ".global .align 64 .b8 NAME[BYTES] = {...};", and of one number, which is
  // zero,
  // ".global .align 16 .u32 NAME;"
  void addData(const std::string &line) {
    size_t type = line.find(".b8 "), open = line.find('['), close = line.find(']'), number = line.find("32 ");
    bool isNumber = number != line.npos && open == line.npos && line.find('=') == line.npos;
    if (!isNumber && (type == line.npos || open == line.npos))
      fail("unknown data '" + line.substr(0, 80) + "'");
    size_t begin = isNumber ? number + 3 : type + 4;
    std::string name = line.substr(begin, std::min(open, line.find(';')) - begin);
    if (line.starts_with(".extern")) { // what the launch adds
      dynamicShared = name;
      symbols[name] = sharedBegin;
      return;
    }
    uint64_t bytes = isNumber ? 4 : std::stoull(line.substr(open + 1));
    if (line.starts_with(".shared")) {
      size_t align = line.find(".align ");
      uint64_t to = align == line.npos ? 4 : std::stoull(line.substr(align + 7));
      kernel.sharedBytes = (kernel.sharedBytes + to - 1) / to * to;
      symbols[name] = sharedBegin + kernel.sharedBytes;
      kernel.sharedBytes += bytes;
      if (kernel.sharedBytes > 48 << 10)
        fail("more than 48 KiB of shared memory that is not the launch's");
      return;
    }
    uint64_t address = symbols[name] = memory.allocate(bytes);
    kernel.data.push_back(address);
    Region &region = memory.find(address, bytes, "data");
    region.setWritten(address, bytes);
    const char *next = line.c_str() + close + 1;
    uint64_t i = 0;
    for (; *next && *next != '{'; ++next)
      ;
    while (*next && i < bytes && *next != '}') {
      char *after;
      region.bytes[i++] = uint8_t(std::strtoul(next + 1, &after, 0));
      next = after;
    }
  }

  /// Lines are numbered twice: even for constants, odd for registers, until all are known.
  int constant(uint64_t value, bool wide) {
    auto [it, isNew] = constantNumbers.try_emplace({value, wide}, constants.size());
    if (isNew)
      constants.push_back({value, wide});
    return it->second * 2;
  }
  int line(const std::string &operand, bool wide) {
    if (operand.starts_with("%"))
      return registers.try_emplace(operand, registers.size()).first->second * 2 + 1;
    if (operand.starts_with("0f"))
      return constant(std::stoul(operand.substr(2), nullptr, 16), false);
    if (operand.starts_with("0d"))
      return constant(std::stoull(operand.substr(2), nullptr, 16), true);
    if (auto symbol = symbols.find(operand); symbol != symbols.end())
      return constant(symbol->second, wide);
    if (auto local = locals.find(operand); local != locals.end())
      return line(local->second, wide);
    if (operand.empty() || (!std::isdigit(static_cast<unsigned char>(operand[0])) && operand[0] != '-'))
      fail("unknown operand '" + operand + "'");
    return constant(operand[0] == '-' ? uint64_t(std::stoll(operand, nullptr, 0)) : std::stoull(operand, nullptr, 0),
                    wide);
  }
  static bool isWide(const std::string &name) { return name.starts_with("%rd") || name.starts_with("%fd"); }

  void addInstruction(std::string line) {
    Operation op;
    op.line = current;
    if (line[0] == '@') {
      op.guardIsNot = line[1] == '!';
      size_t space = line.find(' ');
      op.guard = this->line(line.substr(op.guardIsNot ? 2 : 1, space - (op.guardIsNot ? 2 : 1)), false);
      line.erase(0, line.find_first_not_of(" \t", space));
    }
    size_t space = line.find_first_of(" \t");
    std::string name = line.substr(0, space);
    std::vector<std::string> operands;
    std::string word;
    for (char c : space == line.npos ? "" : line.substr(space)) {
      if (c == ',' || c == '|') {
        operands.push_back(std::move(word));
        word.clear();
      } else if (!std::strchr(" \t{}", c)) {
        word += c;
      }
    }
    if (!word.empty())
      operands.push_back(word);

    op.handler = findHandler(name); // what is named otherwise sets its own
    if (name == "bra" || name == "bra.uni") {
      branches.push_back({kernel.code.size(), scoped(operands.at(0))});
    } else if (name == "ret") {
    } else if (name == "bar.sync" || name == "barrier.sync" || name == "bar.arrive") {
      op.isSigned = name == "bar.arrive";
      if (operands.empty() || operands.size() > 2)
        fail("unknown barrier '" + line + "'");
      for (size_t i = 0; i < operands.size(); ++i)
        op.from[i] = this->line(operands[i], false);
    } else if (name == "bar.warp.sync") {
      if (operands != std::vector<std::string>{"-1"})
        fail("unknown barrier '" + line + "'");
    } else if (name == "shfl.sync.idx.b32" || name == "shfl.sync.bfly.b32") {
      op.isSigned = name == "shfl.sync.idx.b32";
      if (operands.size() != 5 || operands[3] != "31" || operands[4] != "-1")
        fail("unknown shuffle '" + line + "'");
      op.to[0] = this->line(operands[0], false);
      op.from[0] = this->line(operands[1], false);
      op.from[1] = this->line(operands[2], false);
    } else if (name == "vote.sync.ballot.b32" || name == "match.any.sync.b32") {
      if (operands.size() != 3 || operands[2] != "-1")
        fail("unknown vote or match '" + line + "'");
      op.to[0] = this->line(operands[0], false);
      op.from[0] = this->line(operands[1], false);
    } else if (name == "ld.acquire.gpu.global.u32") {
      op.to[0] = this->line(operands.at(0), false);
      op.from[0] = this->line(operands.at(1).substr(1, operands[1].size() - 2), true);
    } else if (name == "st.release.gpu.global.u32" || name == "red.release.gpu.global.add.u32") {
      op.from[0] = this->line(operands.at(0).substr(1, operands[0].size() - 2), true);
      op.from[1] = this->line(operands.at(1), false);
    } else if (name == "atom.acq_rel.gpu.inc.u32" && operands.size() == 3) {
      op.to[0] = this->line(operands[0], false);
      op.from[0] = this->line(operands[1].substr(1, operands[1].size() - 2), true);
      op.from[1] = this->line(operands[2], false);
    } else if ((name == "mov.b32" && operands.size() == 3) || (name == "mov.b64" && operands.size() == 5)) {
      bool isSplit = line.find('{') < line.find(','), wide = name == "mov.b64";
      op.handler = findHandler(name + (isSplit ? " to halves" : " of halves"));
      int parts = wide ? 4 : 2;
      for (int part = 0; part < parts; ++part) {
        const std::string &operand = operands[part + (isSplit ? 0 : 1)];
        (isSplit ? op.to : op.from)[part] = operand == "_" ? -1 : this->line(operand, false);
      }
      (isSplit ? op.from : op.to)[0] = this->line(operands[isSplit ? parts : 0], wide);
    } else if (name == "mov.b64" && operands.size() == 3 && line.find('{') > line.find(',')) {
      op.handler = findHandler("mov.b64 of words");
      op.to[0] = this->line(operands[0], true);
      for (int half : {0, 1})
        op.from[half] = this->line(operands[1 + half], false);
    } else if (name == "mov.b64" && operands.size() == 3) {
      op.handler = findHandler("mov.b64 to words");
      for (int half : {0, 1})
        op.to[half] = operands[half] == "_" ? -1 : this->line(operands[half], false);
      op.from[0] = this->line(operands[2], true);
    } else if (name.starts_with("ld.") || name.starts_with("st.")) {
      addAccess(op, name, operands);
    } else if (name == "mov.u32" && operands.size() == 2 && !operands[1].empty() &&
               operands[1].find('.') != line.npos) {
      op.handler = findHandler(name + " of " + operands[1]);
      op.to[0] = this->line(operands[0], false);
      if (!op.handler)
        fail("unknown register '" + operands[1] + "'");
    } else if (Handler handler = findHopperHandler(name)) {
      op.handler = handler;
      op.isGroupProduct = name.starts_with("wgmma.mma_async");
      kernel.hasGroupProducts |= op.isGroupProduct;
      addHopperOperands(op, operands);
    } else if (Handler handler = findMatrixHandler(name, op)) {
      op.handler = handler;
      addMatrixOperands(op, operands);
    } else {
      std::string type = name.substr(name.rfind('.') + 1);
      bool wide = type.ends_with("64");
      if (!wide && name.starts_with("cvt") && isWide(operands.at(1))) // of a part of a register
        wide = true, name += " of 64 bits";
      op.handler = findHandler(name);
      if (!op.handler)
        fail("unknown instruction '" + name + "'");
      op.isSigned = name.starts_with("shl"); // the way of a shift
      op.to[0] = this->line(operands.at(0), wide);
      for (size_t i = 1; i < operands.size(); ++i) {
        bool isAmount =
            (i == 2 && (name.starts_with("shl") || name.starts_with("shr"))) || (i > 1 && name.starts_with("bfe"));
        bool isSum = i == 3 && name.starts_with("mad.wide");
        op.from[i - 1] = this->line(operands[i], isAmount ? false : isSum || wide);
      }
    }
    kernel.code.push_back(op);
  }

  /// All in their order; an address is a register, or a symbol, and an offset.
  void addHopperOperands(Operation &op, const std::vector<std::string> &operands) {
    for (std::string operand : operands) {
      std::erase_if(operand, [](char c) { return c == '[' || c == ']'; });
      size_t plus = operand.find('+');
      int64_t offset = plus == operand.npos ? 0 : std::stoll(operand.substr(plus + 1));
      operand.resize(std::min(plus, operand.size()));
      if (auto local = locals.find(operand); local != locals.end())
        operand = local->second;
      bool wide = isWide(operand) || symbols.count(operand);
      op.operands.push_back({operand == "_" ? -1 : line(operand, wide), wide, offset});
    }
  }

  /// A label of inline PTX, which every piece of it may have again.
  std::string scoped(const std::string &label) const { return depth > 1 ? label + "." + std::to_string(scope) : label; }

  /// Registers of 32 bits and addresses in their order: results first, of which `op.count` says how many.
  void addMatrixOperands(Operation &op, const std::vector<std::string> &operands) {
    if (operands.size() < op.count || operands.size() > op.count + std::size(op.from))
      fail("unknown operands of an instruction for matrices");
    for (size_t i = 0; i < operands.size(); ++i) {
      int &place = i < op.count ? op.to[i] : op.from[i - op.count];
      if (operands[i][0] != '[') {
        place = operands[i] == "_" ? -1 : line(operands[i], false); // a result that is not wanted
        continue;
      }
      std::string address = operands[i].substr(1, operands[i].size() - 2);
      size_t plus = address.find('+');
      int64_t offset = plus == address.npos ? 0 : std::stoll(address.substr(plus + 1));
      (i == op.count ? op.offset : op.sourceOffset) = offset;
      place = line(address.substr(0, plus), true);
    }
  }

  void addAccess(Operation &op, const std::string &name, std::vector<std::string> operands) {
    bool isLoad = name[0] == 'l';
    std::string type = name.substr(name.rfind('.') + 1);
    std::string rest = name.substr(3, name.rfind('.') - 3); // space, and what else
    op.bytes = type.ends_with("64")   ? 8
               : type.ends_with("32") ? 4
               : type.ends_with("16") ? 2
               : type.ends_with("8")  ? 1
                                      : 0;
    op.isSigned = type[0] == 's';
    for (auto [text, count] : {std::pair(".v2", 2), {".v4", 4}})
      if (rest.ends_with(text)) {
        op.count = count;
        rest.resize(rest.size() - 3);
      }
    op.isConstant = rest.ends_with(".nc") && isLoad;
    if (op.isConstant)
      rest.resize(rest.size() - 3);
    op.shared = rest == "shared";
    if (op.bytes == 0 || operands.size() != size_t(op.count) + 1 ||
        (rest != "global" && rest != "shared" && !(rest == "param" && isLoad)))
      fail("unknown instruction '" + name + "'");
    if (!isLoad)
      std::rotate(operands.begin(), operands.begin() + 1, operands.end());
    std::string address = operands.back();
    address = address.substr(1, address.size() - 2);
    for (int i = 0; i < op.count; ++i)
      op.to[i] = line(operands[i], op.bytes == 8);
    op.isWide = operands[0][0] == '%' ? isWide(operands[0]) : op.bytes == 8;
    op.handler = findHandler(isLoad ? "ld" : "st");
    if (rest == "param") {
      auto it = std::ranges::find(kernel.parameters, address, &Kernel::Parameter::name);
      if (it == kernel.parameters.end() || it->isMap || op.bytes < 4)
        fail("unknown parameter '" + address + "'");
      op.handler = findHandler(op.bytes == 8 ? "ld.param.b64" : "ld.param.b32"); // all of it, or its lower half
      op.offset = it - kernel.parameters.begin();
      return;
    }
    size_t plus = address.find('+');
    if (plus != address.npos)
      op.offset = std::stoll(address.substr(plus + 1));
    op.from[0] = line(address.substr(0, plus), true);
  }

  std::string_view text;
  Memory &memory;
  Kernel kernel;
  int current = 0, depth = 0, scope = 0; // of the line, its braces, and how many were opened before
  std::map<std::string, std::string> locals;
  std::map<std::string, uint64_t> symbols;
  std::string dynamicShared; // its symbol
  std::map<std::string, size_t> labels;
  std::map<std::string, int> registers;
  std::map<std::pair<uint64_t, bool>, int> constantNumbers;
  std::vector<std::pair<uint64_t, bool>> constants;
  std::vector<std::pair<size_t, std::string>> branches;
};
} // namespace

Kernel parse(std::string_view ptx, Memory &memory) { return Reader(ptx, memory).read(); }
} // namespace xf::gpu
