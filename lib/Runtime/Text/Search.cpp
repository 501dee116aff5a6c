//===- Search.cpp - Greedy and beam search --------------------------------------------===//
// Each sentence has a beam of hypotheses that it extends on its own; only the model's step is shared.
//===----------------------------------------------------------------------------------===//
#include "xf/Runtime/Text/Search.h"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>
#include <tuple>

using namespace xf::runtime;

static constexpr int64_t maxBeam = 1024;

namespace {
/// A token of a hypothesis; the tokens before it are reached by `parent`.
struct Node {
  int32_t token;
  int32_t parent; // index of a node, -1 at the first token
};

/// A hypothesis that may grow.
struct Alive {
  int32_t node; // its last token, -1 where there is none
  int32_t row;  // in the step that read its last token's predecessor
  double logProbability;
};

struct Candidate {
  double logProbability;
  int32_t hypothesis; // index into the alive ones
  int32_t token;

  bool operator<(const Candidate &other) const { // the better first
    return std::tuple(-logProbability, hypothesis, token) <
           std::tuple(-other.logProbability, other.hypothesis, other.token);
  }
};

struct Finished {
  double score, logProbability;
  int32_t node;
};

} // namespace

/// One sentence's search.
class Search::Beam {
public:
  Beam(int32_t sentence, const SearchOptions &options, int64_t maxLength, std::span<const int32_t> prefix)
      : sentence(sentence), options(options), prefix(prefix.begin(), prefix.end()),
        maxLength(std::max<int64_t>(maxLength, int64_t(prefix.size()))) {}

  const int32_t sentence;

  bool isDone() const { return alive.empty(); }

  /// Appends a row for each alive hypothesis.
  void addRows(std::vector<Hypothesis> &rows) {
    for (Alive &hypothesis : alive) {
      rows.push_back({sentence, hypothesis.row, hypothesis.node < 0 ? options.bos : nodes[hypothesis.node].token});
      hypothesis.row = int32_t(rows.size()) - 1;
    }
  }

  /// Extends the alive hypotheses by what the model says of their rows; where that is not numbers there are none more,
  /// and no results.
  Expected<void> advance(const Predictions &predictions, Stepper &stepper) {
    Expected<bool> areNumbers = collectCandidates(predictions, stepper);
    if (!areNumbers)
      return areNumbers.error();
    if (!*areNumbers) {
      alive.clear();
      best.clear();
      return {};
    }
    std::vector<Alive> next;
    for (int64_t rank = 0; const Candidate &candidate : candidates) {
      if (int64_t(next.size()) == options.beam)
        break;
      bool mayEnd = !options.isTransformers || rank++ < options.beam;
      const Alive &from = alive[candidate.hypothesis];
      if (candidate.token != options.eos || isForced()) {
        nodes.push_back({candidate.token, from.node});
        next.push_back({int32_t(nodes.size()) - 1, from.row, candidate.logProbability});
      } else if (mayEnd) {
        finish(candidate.logProbability, from.node);
      }
    }
    ++length;
    alive = std::move(next);
    if (isSettled())
      alive.clear();
    return {};
  }

  std::vector<SearchResult> results() const {
    std::vector<SearchResult> results;
    for (const Finished &finished : std::span(best).first(std::min(best.size(), size_t(options.nBest)))) {
      SearchResult result;
      for (int32_t node = finished.node; node >= 0; node = nodes[node].parent)
        result.ids.push_back(nodes[node].token);
      std::reverse(result.ids.begin(), result.ids.end());
      result.logProbability = finished.logProbability;
      result.score = finished.score;
      results.push_back(std::move(result));
    }
    return results;
  }

private:
  bool isSuppressed(int32_t token) const {
    return std::find(options.suppressed.begin(), options.suppressed.end(), token) != options.suppressed.end();
  }
  bool isForced() const { return length < int64_t(prefix.size()); }
  double penalty(int64_t tokens) const {
    return std::pow(options.isTransformers ? double(tokens) : (5.0 + double(tokens)) / 6.0, options.lengthPenalty);
  }
  /// Outputs that are compared.
  int64_t kept() const { return options.isTransformers ? options.beam : options.nBest; }

  /// The logarithm of what probability the tokens have that may be taken.
  Expected<double> logAllowed(int64_t row, float logSumExp, Stepper &stepper) const {
    double mass = 0;
    for (int32_t token : options.suppressed) {
      Expected<float> logit = stepper.logit(row, token);
      if (!logit)
        return logit.error();
      mass += std::exp(double(*logit) - double(logSumExp));
    }
    return std::log1p(-std::min(mass, 1 - 1e-9));
  }

  /// The best 2 * beam continuations: however many of them end, `beam` go on. False where something is no number.
  Expected<bool> collectCandidates(const Predictions &predictions, Stepper &stepper) {
    candidates.clear();
    for (int32_t i = 0; i < int32_t(alive.size()); ++i) {
      int64_t row = alive[i].row;
      double allowed = 0;
      auto offer = [&](int32_t token, float logProbability) {
        candidates.push_back({alive[i].logProbability + (double(logProbability) - allowed), i, token});
      };
      if (!std::isfinite(predictions.logSumExp[row]))
        return false;
      if (options.isTransformers && !isForced() && length == maxLength) {
        offer(options.eos, 0);
        continue;
      }
      if (options.renormalizes && !options.suppressed.empty()) {
        Expected<double> log = logAllowed(row, predictions.logSumExp[row], stepper);
        if (!log)
          return log.error();
        allowed = *log;
      }
      if (isForced() || length == maxLength) {
        int32_t token = isForced() ? prefix[length] : options.eos;
        Expected<float> logit = stepper.logit(row, token);
        if (!logit)
          return logit.error();
        offer(token, *logit - predictions.logSumExp[row]);
      } else {
        for (int64_t rank = row * predictions.count; rank < (row + 1) * predictions.count; ++rank)
          if (int32_t token = predictions.tokens[rank];
              token >= 0 && (token != options.eos || length >= options.minLength) && !isSuppressed(token))
            offer(token, predictions.values[rank]);
      }
    }
    std::sort(candidates.begin(), candidates.end());
    candidates.resize(std::min(candidates.size(), size_t(2 * options.beam)));
    return true;
  }

  void finish(double logProbability, int32_t node) {
    Finished finished{logProbability / penalty(length + 1), logProbability, node};
    // Behind its equals, which were first.
    auto place = std::upper_bound(best.begin(), best.end(), finished,
                                  [](const Finished &a, const Finished &b) { return a.score > b.score; });
    best.insert(place, finished);
    if (int64_t(best.size()) > kept())
      best.pop_back();
  }

  /// Whether no alive hypothesis can come in among the best that are asked for.
  bool isSettled() const {
    if (int64_t(best.size()) < kept() || alive.empty())
      return false;
    if (options.beam == 1) // greedy takes the first end
      return true;
    if (options.isTransformers)
      return alive.front().logProbability / penalty(length) <= best.back().score;
    // Log probabilities only fall; the divisor that makes most of one is that of the greatest or the least length.
    double divisor = std::max(penalty(maxLength + 1), penalty(length + 1));
    return alive.front().logProbability / divisor <= best.back().score;
  }

  const SearchOptions &options;
  std::vector<int32_t> prefix;
  int64_t maxLength;
  int64_t length = 0; // tokens of every alive hypothesis
  std::vector<Node> nodes;
  std::vector<Alive> alive{{-1, -1, 0.0}};
  std::vector<Finished> best; // best first, at most `nBest`
  std::vector<Candidate> candidates;
};

Search::Search(Stepper &stepper, const SearchOptions &options) : stepper(stepper), options(options) {}
Search::~Search() = default;

int64_t Search::sentences() const { return int64_t(beams.size()); }

Expected<void> Search::enter(int32_t sentence, int64_t sourceLength, std::span<const int32_t> prefix) {
  if (options.beam < 1 || options.beam > maxBeam)
    return userError(fmt::format("expected a beam from 1 to {}, but got {}", maxBeam, options.beam));
  if (options.nBest < 1 || options.nBest > options.beam)
    return userError(fmt::format("expected at least 1 and at most as many outputs as the beam ({}), but got {}",
                                 options.beam, options.nBest));
  if (options.maxLength > 0 && options.minLength > options.maxLength)
    return userError(fmt::format("expected the least length to be at most the greatest ({}), but got {}",
                                 options.maxLength, options.minLength));
  for (int32_t token : options.suppressed)
    if (token < 0 || token >= stepper.vocabulary())
      return userError(
          fmt::format("expected tokens that are never taken below {}, but got {}", stepper.vocabulary(), token));
  for (int32_t token : prefix)
    if (token < 0 || token >= stepper.vocabulary())
      return userError(fmt::format("expected tokens of a prefix below {}, but got {}", stepper.vocabulary(), token));
  int64_t most = options.maxLength > 0 ? options.maxLength : sourceLength + options.extraLength;
  if (options.positions > 0) {
    int64_t room = options.positions - 1; // the begin mark takes the first
    if (int64_t(prefix.size()) > room)
      return userError(
          fmt::format("expected a prefix of at most {} tokens, for which the model has positions, but got {}", room,
                      prefix.size()));
    most = std::min(most, room);
  }
  beams.push_back(std::make_unique<Beam>(sentence, options, most, prefix));
  return {};
}

Expected<std::vector<Search::Done>> Search::step() {
  rows.clear();
  for (std::unique_ptr<Beam> &beam : beams)
    beam->addRows(rows);
  std::vector<Done> done;
  if (rows.empty())
    return done;
  // More than are followed where the end mark is likely and must not be taken yet, or other tokens never.
  int64_t count = 2 * options.beam + (options.minLength > 0) + int64_t(options.suppressed.size());
  Expected<Predictions> predictions = stepper.step(rows, count);
  if (!predictions)
    return predictions.error();
  for (std::unique_ptr<Beam> &beam : beams) {
    if (Expected<void> advanced = beam->advance(*predictions, stepper); !advanced)
      return advanced.error();
    if (beam->isDone())
      done.push_back({beam->sentence, beam->results()});
  }
  std::erase_if(beams, [](const std::unique_ptr<Beam> &beam) { return beam->isDone(); });
  return done;
}
