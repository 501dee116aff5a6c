//===- Decoder.h - Encoding once, decoding token by token ------------------------------===//
// Runs `encode` on sources, where the model has them, and `decode` on the hypotheses over them, and keeps what the one
// gives and the keys and values of the other. Sentences come and go; hypotheses name their parents of the step before.
// Nothing that is kept moves: each hypothesis has the list of its rows.
//===----------------------------------------------------------------------------------===//
#ifndef XF_RUNTIME_DECODER_H
#define XF_RUNTIME_DECODER_H

#include "xf/Runtime/Session.h"
#include "xf/Runtime/Tensor.h"
#include "xf/Runtime/Text/Search.h"

namespace xf::runtime {

class Decoder final : public Stepper {
public:
  Decoder(Session &session, const ModelState &model);

  /// Asked before a call that may take more than those before it; an error refuses it.
  std::function<Expected<void>(const Call &)> admit;

  /// Encodes sources, all at once. Each gets a number, by which hypotheses name it until it is released.
  Expected<std::vector<int32_t>> encode(std::span<const std::vector<int32_t>> sources);
  void release(int32_t sentence) { sentences[sentence] = {}; }

  /// Forgets all hypotheses: the next step's continue none.
  void restart() { cached.clear(); }

  Expected<Predictions> step(std::span<const Hypothesis> hypotheses, int64_t count) override;
  Expected<float> logit(int64_t row, int32_t token) override;
  /// All of a row's.
  Expected<void> logits(int64_t row, std::span<float> to);

  int64_t vocabulary() const override { return vocabularySize; }

private:
  /// Tensors of as many rows, which keep what they hold where more are asked for. On a GPU they stay there.
  struct Rows {
    explicit Rows(std::string_view prefix) : prefix(prefix) {}
    /// `kept`: behind them nothing is in use.
    Expected<void> grow(const Function &decode, int64_t rows, int64_t kept);

    struct Tensor {
      std::string_view name;
      ElementType type;
      std::vector<int64_t> shape;
      Arena arena;
      TensorView view() const { return {name, type, shape, arena.here(), &arena}; }
    };
    std::string_view prefix; // of the tensors' names
    std::vector<Tensor> tensors;
    int64_t capacity = 0;
  };
  struct Range {
    int32_t begin = 0, end = 0; // of a sentence's rows of the memory; none where the number is free
  };

  /// Asks `admit`.
  Expected<void> enter(const Function &function, std::span<const TensorView> inputs);
  Expected<int32_t> placeInMemory(int64_t rows);
  int32_t freeCacheRow();

  Session &session;
  const ModelState &model;
  const Function &decodeFunction;
  int64_t vocabularySize = 0;
  std::map<const Function *, std::vector<int64_t>> largest; // dims that were
  Rows memory{"memory."}, caches{"cache."};
  std::vector<Range> sentences;             // by number
  std::vector<std::vector<int32_t>> cached; // cache rows of each hypothesis of the last step
  std::vector<bool> used;                   // cache rows that one of them holds
  int32_t nextFree = 0;
  std::vector<float> logSumExp, values;
  std::vector<int32_t> tokens;
};

} // namespace xf::runtime

#endif // XF_RUNTIME_DECODER_H
