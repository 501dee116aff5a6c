//===- Mma.cpp - matrices in registers, and copies that arrive later ----------------===//
// mma.sync, ldmatrix and cp.async by the PTX manual's words. What a cp.async writes is there once its thread has waited
// for it, and for the others at the barrier after; who reads or writes there earlier is at fault.
//===--------------------------------------------------------------------------------===//
#include "Warp.h"

#include <bit>
#include <cmath>
#include <cstring>

namespace xf::gpu {
namespace {
void needWholeWarp(Warp &w, const Operation &op, uint32_t mask) {
  if (mask != all)
    w.fault(op, "an instruction of the warp that only some of its threads reach");
}

float ofBfloat(uint32_t bits) {
  bits <<= 16;
  float value;
  std::memcpy(&value, &bits, 4);
  return value;
}
uint32_t toBfloat(float value) { // to the nearest, to even ones where two are
  uint32_t bits;
  std::memcpy(&bits, &value, 4);
  if (value != value)
    return 0x7fff;
  return (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
}

/// cvt.rn.bf16x2.f32 to, high, low
void pack(Warp &w, const Operation &op, uint32_t mask) {
  forLanes(mask, [&](int i) {
    w.line<uint32_t>(op.to[0])[i] =
        toBfloat(w.line<float>(op.from[0])[i]) << 16 | toBfloat(w.line<float>(op.from[1])[i]);
  });
}

/// cvt.rna.tf32.f32: to the nearest, away from zero where two are
void roundToTF32(Warp &w, const Operation &op, uint32_t mask) {
  forLanes(mask, [&](int i) {
    uint32_t bits = w.line<uint32_t>(op.from[0])[i];
    bool isFinite = (bits >> 23 & 0xff) != 0xff;
    w.line<uint32_t>(op.to[0])[i] = (isFinite ? bits + 0x1000 : bits | (bits & 0x1fff ? 0x400000 : 0)) & ~0x1fffu;
  });
}

/// cvt.rn.bf16.f32
void round(Warp &w, const Operation &op, uint32_t mask) {
  forLanes(mask, [&](int i) { w.line<uint32_t>(op.to[0])[i] = toBfloat(w.line<float>(op.from[0])[i]); });
}

/// add, mul, fma .rn.bf16 to, a, b, c; or of two numbers each
constexpr auto sum = [](auto operand) -> double { return operand(0) + operand(1); };
constexpr auto product = [](auto operand) -> double { return operand(0) * operand(1); };
constexpr auto productAndSum = [](auto operand) -> double { return operand(0) * operand(1) + operand(2); };
template <int numbers, auto function> void inBfloat(Warp &w, const Operation &op, uint32_t mask) {
  forLanes(mask, [&](int i) {
    uint32_t result = 0;
    for (int number = 0; number < numbers; ++number) {
      double exact = function(
          [&](int from) -> double { return ofBfloat(w.line<uint32_t>(op.from[from])[i] >> 16 * number & 0xffff); });
      // Rounded once: what float can't hold of it is the last bit, which lies below all of bf16's.
      float near = float(exact);
      if (near != exact && std::isfinite(near))
        near = std::bit_cast<float>(
            std::bit_cast<uint32_t>(std::abs(near) > std::abs(exact) ? std::nextafter(near, 0.f) : near) | 1);
      result |= uint32_t(toBfloat(near)) << 16 * number;
    }
    w.line<uint32_t>(op.to[0])[i] = result;
  });
}

/// Thread t has of each 8 x 8 matrix, whose rows eight threads give, row t / 4 from column t % 4 * 2: two elements.
template <bool transposed> void loadMatrices(Warp &w, const Operation &op, uint32_t mask) {
  needWholeWarp(w, op, mask);
  Operation row = op;
  row.bytes = 16, row.count = 1;
  for (int m = 0; m < op.count; ++m) {
    uint16_t elements[8][8];
    for (int i = 0; i < 8; ++i) {
      int lane = m * 8 + i;
      std::memcpy(elements[i], w.access(row, lane, w.line<uint64_t>(op.from[0])[lane] + op.offset, false), 16);
    }
    for (int t = 0; t < width && op.to[m] >= 0; ++t) {
      int i = t / 4, j = t % 4 * 2;
      w.line<uint32_t>(op.to[m])[t] = transposed ? elements[j][i] | uint32_t(elements[j + 1][i]) << 16
                                                 : elements[i][j] | uint32_t(elements[i][j + 1]) << 16;
    }
  }
}

/// 16 x 8 += (16 x 16) (16 x 8) of bf16, two in a register; or (16 x 8) (8 x 8) of tf32, one in each.
template <int perRegister> void multiply(Warp &w, const Operation &op, uint32_t mask) {
  needWholeWarp(w, op, mask);
  constexpr int depth = 8 * perRegister;
  float a[16][depth], b[depth][8], c[16][8];
  for (int t = 0; t < width; ++t) {
    auto number = [&](int from, int half) {
      uint32_t bits = w.line<uint32_t>(op.from[from])[t];
      if (perRegister == 2)
        return ofBfloat(bits >> 16 * half & 0xffff);
      if (bits & 0x1fff)
        w.fault(op, "a number that is not rounded to tf32", t);
      return std::bit_cast<float>(bits);
    };
    int group = t / 4, first = t % 4 * perRegister, pair = t % 4 * 2;
    for (int half = 0; half < perRegister; ++half) {
      for (int part = 0; part < 4; ++part)
        a[group + part % 2 * 8][first + part / 2 * 4 * perRegister + half] = number(part, half);
      for (int part = 0; part < 2; ++part)
        b[first + part * 4 * perRegister + half][group] = number(4 + part, half);
    }
    for (int part = 0; part < 4; ++part)
      c[group + part / 2 * 8][pair + part % 2] = w.line<float>(op.from[6 + part])[t];
  }
  for (int i = 0; i < 16; ++i)
    for (int j = 0; j < 8; ++j)
      for (int k = 0; k < depth; ++k)
        c[i][j] += a[i][k] * b[k][j];
  for (int part = 0; part < 4; ++part)
    for (int t = 0; t < width && op.to[part] >= 0; ++t)
      w.line<float>(op.to[part])[t] = c[t / 4 + part / 2 * 8][t % 4 * 2 + part % 2];
}

//===-- Asynchronous copies ---------------------------------------------------------===//
Region::Word *wordsOf(Warp &w, uint64_t address) {
  return &w.block.shared.words[(address - w.block.shared.address) / Region::unit];
}

/// cp.async to, from, bytes, how many of them there are: the rest is zeros. isSigned: .cg, of 16 bytes alone.
void copy(Warp &w, const Operation &op, uint32_t mask) {
  forLanes(mask, [&](int lane) {
    Operation access = op;
    access.bytes = w.line<uint32_t>(op.from[2])[lane], access.count = 1, access.shared = true;
    uint32_t size = op.from[3] < 0 ? access.bytes : w.line<uint32_t>(op.from[3])[lane];
    Copy copy{lane, w.line<uint64_t>(op.from[0])[lane] + op.offset, access.bytes, {}, &op};
    if (size > access.bytes || (access.bytes != 16 && (op.isSigned || (access.bytes != 4 && access.bytes != 8))))
      w.fault(op, "a copy of " + std::to_string(size) + " of " + std::to_string(access.bytes) + " bytes", lane);
    w.access(access, lane, copy.to, true);
    for (uint32_t i = 0; i < access.bytes / Region::unit; ++i)
      wordsOf(w, copy.to)[i].isArriving = true;
    uint64_t from = w.line<uint64_t>(op.from[1])[lane] + op.sourceOffset;
    if (from % access.bytes)
      w.fault(op, "misaligned copy of " + std::to_string(access.bytes) + " bytes at " + std::to_string(from), lane);
    if (size > 0) {
      Operation source = access;
      source.shared = false, source.bytes = 1;
      for (uint32_t i = 0; i < size; ++i)
        copy.bytes[i] = *w.access(source, lane, from + i, false);
    }
    w.copies.back().push_back(copy);
  });
}
void commit(Warp &w, const Operation &op, uint32_t mask) {
  needWholeWarp(w, op, mask);
  w.copies.emplace_back();
}
void wait(Warp &w, const Operation &op, uint32_t mask) {
  needWholeWarp(w, op, mask);
  for (uint32_t most = *w.line<uint32_t>(op.from[0]); w.copies.size() - 1 > most; w.copies.erase(w.copies.begin()))
    for (const Copy &copy : w.copies.front()) {
      for (uint32_t i = 0; i < copy.size / Region::unit; ++i)
        wordsOf(w, copy.to)[i].isArriving = false;
      Operation access = *copy.op;
      access.bytes = copy.size, access.count = 1, access.shared = true;
      std::memcpy(w.access(access, copy.lane, copy.to, true), copy.bytes.data(), copy.size);
    }
}
} // namespace

Handler findMatrixHandler(const std::string &name, Operation &op) {
  auto found = [&](Handler handler, int results) {
    op.count = results;
    return handler;
  };
  if (name.starts_with("ldmatrix.sync.aligned.m8n8.x") && name.ends_with(".shared.b16")) {
    op.shared = true;
    return found(name.find(".trans.") == name.npos ? loadMatrices<false> : loadMatrices<true>, name[28] - '0');
  }
  if (name == "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32")
    return found(multiply<2>, 4);
  if (name == "mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32")
    return found(multiply<1>, 4);
  if (name == "cvt.rna.tf32.f32")
    return found(roundToTF32, 1);
  if (name == "cvt.rn.bf16x2.f32")
    return found(pack, 1);
  if (name == "cvt.rn.bf16.f32")
    return found(round, 1);
  if (name == "add.rn.bf16")
    return found(inBfloat<1, sum>, 1);
  if (name == "add.rn.bf16x2")
    return found(inBfloat<2, sum>, 1);
  if (name == "mul.rn.bf16")
    return found(inBfloat<1, product>, 1);
  if (name == "mul.rn.bf16x2")
    return found(inBfloat<2, product>, 1);
  if (name == "fma.rn.bf16")
    return found(inBfloat<1, productAndSum>, 1);
  if (name == "fma.rn.bf16x2")
    return found(inBfloat<2, productAndSum>, 1);
  op.isSigned = name == "cp.async.cg.shared.global";
  if (op.isSigned || name == "cp.async.ca.shared.global")
    return found(copy, 0);
  if (name == "cp.async.commit_group")
    return found(commit, 0);
  if (name == "cp.async.wait_group")
    return found(wait, 0);
  return nullptr;
}
} // namespace xf::gpu
