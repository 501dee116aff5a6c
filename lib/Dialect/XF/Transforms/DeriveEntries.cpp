//===- DeriveEntries.cpp - evaluation and prediction from the model -------===//
// Stage `input`, after Resolve. Everything but attention and positions works on rows alone, so the decoder for one new
// token is the decoder itself with its self-attention on a cache; and what depends on the source alone, where the model
// has one, is computed once a sentence.
//===----------------------------------------------------------------------===//
#include "Inline.h"
#include "mlir/IR/AsmState.h"
#include "xf/Dialect/XF/IR/Configuration.h"
#include "xf/Dialect/XF/IR/Score.h"
#include "xf/Dialect/XF/Transforms/Passes.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/xxhash.h"

namespace mlir::xf {
#define GEN_PASS_DEF_DERIVEENTRIESPASS
#include "xf/Dialect/XF/Transforms/Passes.h.inc"
namespace {

class Deriver {
public:
  explicit Deriver(ModuleOp module) : module(module), symbols(module), b(module.getContext()) {}

  LogicalResult run() {
    auto model = symbols.lookup<func::FuncOp>("model");
    if (!model)
      return success();
    func::FuncOp loss = model.clone();
    loss.setName("loss");
    insertAfter(model, loss);
    removeDropout(loss);
    auto name = module->getAttrOfType<StringAttr>("xf.kind");
    std::optional<ModelKind> kind = name ? parseModelKind(name.getValue()) : std::nullopt;
    if (kind == Pairs)
      derivePrediction(loss, "target_", /*hasSource=*/true);
    else if (kind == Language)
      derivePrediction(loss, "", /*hasSource=*/false);
    else if (kind == Classifier)
      deriveClassification(loss);
    return success();
  }

private:
  void insertAfter(func::FuncOp anchor, func::FuncOp function) {
    b.setInsertionPointAfter(anchor);
    b.insert(function);
    symbols.insert(function);
  }

  //===-- Without dropout ---------------------------------------------------===//
  /// Erases dropout in `function`, and its random arguments; calls go to layers treated likewise.
  void removeDropout(func::FuncOp function) {
    for (Operation &op : llvm::make_early_inc_range(function.getBody().front())) {
      if (auto dropout = dyn_cast<DropoutOp>(op)) {
        dropout.replaceAllUsesWith(dropout.getX());
        dropout.erase();
      } else if (auto attention = dyn_cast<AttentionOp>(op)) {
        attention.getRandomMutable().clear();
        attention.getSiteMutable().clear();
        attention.setRate(APFloat(0.0f));
      } else if (auto call = dyn_cast<func::CallOp>(op)) {
        redirect(call);
      }
    }
    // Scalars that numbered the sites, then the arguments themselves, now that nothing uses them.
    for (Operation &op : llvm::make_early_inc_range(llvm::reverse(function.getBody().front())))
      if (isOpTriviallyDead(&op))
        op.erase();
    for (int64_t i = function.getNumArguments() - 1; i >= 0; --i)
      if (isRandom(function.getArgument(i).getType()) && function.getArgument(i).use_empty())
        (void)function.eraseArgument(i);
  }

  static bool isRandom(Type type) {
    auto tensor = dyn_cast<RankedTensorType>(type);
    return type.isInteger(64) || (tensor && tensor.getElementType().isInteger(64));
  }

  void redirect(func::CallOp call) {
    if (llvm::none_of(call.getOperandTypes(), isRandom))
      return;
    std::string name = (call.getCallee() + ".evaluate").str();
    auto evaluate = symbols.lookup<func::FuncOp>(name);
    if (!evaluate) {
      auto layer = symbols.lookup<func::FuncOp>(call.getCallee());
      evaluate = layer.clone();
      evaluate.setName(name);
      insertAfter(layer, evaluate);
      removeDropout(evaluate);
    }
    SmallVector<Value> operands =
        llvm::filter_to_vector(call.getOperands(), [](Value operand) { return !isRandom(operand.getType()); });
    b.setInsertionPoint(call);
    auto replacement = func::CallOp::create(b, call.getLoc(), evaluate, operands);
    call.replaceAllUsesWith(replacement.getResults());
    call.erase();
  }

  //===-- Prediction --------------------------------------------------------===//
  struct Argument {
    std::string name, dim;
    Value value; // of whose type it is
  };
  func::FuncOp createEntry(func::FuncOp after, StringRef name, ArrayRef<Argument> arguments) {
    auto function = func::FuncOp::create(
        after.getLoc(), name,
        b.getFunctionType(llvm::map_to_vector(arguments, [](const Argument &a) { return a.value.getType(); }), {}));
    function->setAttr("xf.entry", b.getUnitAttr());
    function.addEntryBlock();
    for (auto [i, argument] : llvm::enumerate(arguments)) {
      function.setArgAttr(i, "xf.name", b.getStringAttr(argument.name));
      if (!argument.dim.empty())
        function.setArgAttr(i, "xf.dims", b.getStrArrayAttr({argument.dim}));
      if (isKept(argument.name))
        function.setArgAttr(i, "xf.kept", b.getUnitAttr());
    }
    insertAfter(after, function);
    b.setInsertionPointToEnd(&function.getBody().front());
    return function;
  }
  void finishEntry(func::FuncOp function, ArrayRef<std::pair<std::string, Value>> results) {
    SmallVector<Value> values = llvm::map_to_vector(results, [](auto &result) { return result.second; });
    func::ReturnOp::create(b, function.getLoc(), values);
    function.setFunctionType(b.getFunctionType(function.getArgumentTypes(), ValueRange(values).getTypes()));
    for (auto [i, result] : llvm::enumerate(results)) {
      function.setResultAttr(i, "xf.name", b.getStringAttr(result.first));
      if (isKept(result.first))
        function.setResultAttr(i, "xf.kept", b.getUnitAttr());
    }
  }
  /// What one call leaves for the next, and nobody else reads: `xf.kept` says so to the stages that follow.
  static bool isKept(StringRef name) { return name.starts_with("memory.") || name.starts_with("cache."); }

  static BlockArgument argumentOf(func::FuncOp function, StringRef name) {
    for (BlockArgument argument : function.getArguments())
      if (auto attribute = function.getArgAttrOfType<StringAttr>(argument.getArgNumber(), "xf.name");
          attribute && attribute.getValue() == name)
        return argument;
    return nullptr;
  }

  /// `target`: what the names of the arguments start with that hold the tokens to predict.
  void derivePrediction(func::FuncOp loss, const std::string &target, bool hasSource) {
    func::FuncOp flat = loss.clone();
    inlineCalls(flat, symbols);
    targetIds = argumentOf(flat, target + "ids"), targetOffsets = argumentOf(flat, target + "offsets");
    batch = {{target + "ids", target + "tokens", targetIds}, {target + "offsets", target + "offsets", targetOffsets}};
    if (hasSource) {
      sourceIds = argumentOf(flat, "source_ids"), sourceOffsets = argumentOf(flat, "source_offsets");
      batch.insert(batch.begin(),
                   {{"source_ids", "source_tokens", sourceIds}, {"source_offsets", "source_offsets", sourceOffsets}});
    }
    command = hasSource ? "translate" : "generate";
    if (!llvm::all_of(batch, [](const Argument &argument) { return argument.value; })) {
      explain(flat, "it has no arguments for the tokens and their offsets");
    } else if (findLogits(flat)) {
      findSides(flat);
      describeComputation(flat);
      if (needsBatchAlone(flat)) {
        deriveAttention(loss, flat);
        if (canDecode(flat))
          deriveDecoding(loss, flat);
      }
    }
    flat.erase();
  }

  Value logProbabilities(Value logits) { return LogSoftmaxOp::create(b, logits.getLoc(), logits.getType(), logits); }

  /// The log probabilities of classes, of whatever the logits are computed from; and beside the loss, for it is of
  /// texts whose classes are known that one asks how many are found.
  void deriveClassification(func::FuncOp loss) {
    entry = command = "classify";
    func::FuncOp flat = loss.clone();
    inlineCalls(flat, symbols);
    if (findLogits(flat)) {
      if (loss.getOps<CrossEntropyOp>().empty()) // it is in a function that is called
        inlineCalls(loss, symbols);
      Operation *end = loss.getBody().front().getTerminator();
      b.setInsertionPoint(end);
      end->insertOperands(end->getNumOperands(),
                          logProbabilities((*loss.getOps<CrossEntropyOp>().begin()).getLogits()));
      (void)loss.insertResult(loss.getNumResults(), logits.getType(),
                              b.getDictionaryAttr(b.getNamedAttr("xf.name", b.getStringAttr("log_probabilities"))));
      findNeeded();
      describeComputation(flat);
      for (BlockArgument argument : flat.getArguments())
        if (llvm::any_of(argument.getUsers(), [&](Operation *user) { return needed.contains(user); })) {
          unsigned number = argument.getArgNumber();
          auto name = flat.getArgAttrOfType<StringAttr>(number, "xf.name");
          auto dims = flat.getArgAttrOfType<ArrayAttr>(number, "xf.dims");
          batch.push_back({name ? name.str() : "",
                           dims && !dims.empty() ? cast<StringAttr>(dims[0]).str() : std::string(), argument});
        }
      func::FuncOp function = createEntry(loss, "classify", batch);
      IRMapping mapping;
      for (auto [i, argument] : llvm::enumerate(batch))
        mapping.map(argument.value, function.getArgument(i));
      for (Operation &op : flat.getBody().front())
        if (needed.contains(&op))
          b.clone(op, mapping);
      finishEntry(function, {{"log_probabilities", logProbabilities(mapping.lookup(logits))}});
    }
    flat.erase();
  }

  /// The one cross-entropy's, whose logits are the prediction; what only the loss needs is no part of it.
  bool findLogits(func::FuncOp flat) {
    auto entropies = flat.getOps<CrossEntropyOp>();
    int64_t count = llvm::range_size(entropies);
    if (count != 1)
      return explain(flat,
                     "it has " + Twine(count) + " xf.cross_entropy, and not one, whose logits would be the prediction");
    logits = (*entropies.begin()).getLogits();
    return true;
  }

  /// Says why a model does not predict; that is no mistake: it trains. Returns false.
  bool explain(Operation *op, const Twine &why) {
    op->emitWarning() << "'" << entry << "' can't be derived from 'model', so what is compiled of it has no command '"
                      << command << "': " << why;
    return false;
  }

  /// The values that are computed of those in `side`.
  static void findSide(func::FuncOp flat, DenseSet<Value> &side) {
    for (Operation &op : flat.getBody().front())
      if (llvm::any_of(op.getOperands(), [&](Value operand) { return side.contains(operand); }))
        side.insert_range(op.getResults());
  }
  void findSides(func::FuncOp flat) {
    targetSide = DenseSet<Value>{targetIds, targetOffsets};
    sourceSide = sourceIds ? DenseSet<Value>{sourceIds, sourceOffsets} : DenseSet<Value>();
    findSide(flat, targetSide);
    findSide(flat, sourceSide);
    findNeeded();
  }
  void findNeeded() {
    needed.clear();
    SmallVector<Value> work{logits};
    while (!work.empty())
      if (Operation *op = work.pop_back_val().getDefiningOp(); op && needed.insert(op).second)
        work.append(op->operand_begin(), op->operand_end());
  }
  /// What tells weights of this model from those of one whose operations are others, though its keys say the same: a
  /// key of the operations that the logits are computed by.
  void describeComputation(func::FuncOp flat) {
    std::string text;
    llvm::raw_string_ostream stream(text);
    AsmState state(flat);
    for (Operation &op : flat.getBody().front())
      if (needed.contains(&op)) {
        op.print(stream, state);
        stream << '\n';
      }
    NamedAttrList keys(module->getAttrOfType<DictionaryAttr>("xf.config"));
    keys.set("computes", b.getStringAttr(llvm::utohexstr(llvm::xxh3_64bits(text))));
    module->setAttr("xf.config", keys.getDictionary(module.getContext()));
  }

  /// Predictions are computed of `batch`; a model that is given more (valid lengths, say) makes none.
  bool needsBatchAlone(func::FuncOp flat) {
    for (BlockArgument argument : flat.getArguments()) {
      bool isKnown = llvm::any_of(batch, [&](const Argument &known) { return known.value == argument; });
      if (!isKnown && llvm::any_of(argument.getUsers(), [&](Operation *user) { return needed.contains(user); }))
        return explain(flat, "its logits depend on argument " + Twine(argument.getArgNumber()) +
                                 ", which is neither tokens nor their offsets");
    }
    return true;
  }
  bool isOfSource(Value value) { return sourceSide.contains(value) && !targetSide.contains(value); }
  bool onTargetSide(Operation *op) {
    return llvm::any_of(op->getOperands(), [&](Value operand) { return targetSide.contains(operand); });
  }

  /// Decoding token by token needs a target side that works on rows, but for attention: causal to itself, or to the
  /// whole source. A window to itself is one of the tokens so far; where a target of unknown length stands among its
  /// source, and how many keys a later token sees, is not known. What scores capture are parameters.
  bool canDecode(func::FuncOp flat) {
    for (Operation &op : flat.getBody().front()) {
      if (!needed.contains(&op) || !onTargetSide(&op))
        continue;
      if (auto attention = dyn_cast<AttentionOp>(op)) {
        if (StringRef why = hindrance(attention); !why.empty())
          return explain(attention, why);
        continue;
      }
      // A token that is predicted is read next.
      if (auto embedding = dyn_cast<EmbeddingOp>(op); embedding && embedding.getIds() == targetIds) {
        int64_t read = cast<RankedTensorType>(embedding.getTable().getType()).getDimSize(0),
                predicted = cast<RankedTensorType>(logits.getType()).getDimSize(1);
        if (read < predicted)
          return explain(embedding, "it predicts one of " + Twine(predicted) + " tokens, but reads " + Twine(read));
      }
      if (llvm::any_of(op.getOperands(), [&](Value operand) { return isOfSource(operand); }))
        return explain(&op, "'" + op.getName().getStringRef() +
                                "' takes tokens of the source beside those of the target: of a source decoding has "
                                "what attention reads");
      auto kernelOp = dyn_cast<KernelOpInterface>(op);
      bool rows = kernelOp && llvm::is_contained({KernelKind::Elementwise, KernelKind::Row, KernelKind::Matmul},
                                                 kernelOp.getKernelKind());
      if (!rows && !isa<PositionIdsOp, ReshapeOp>(op))
        return explain(&op, "'" + op.getName().getStringRef() + "' works on more than a token of the target");
    }
    return targetSide.contains(logits) || explain(flat, "its logits do not depend on the tokens of the target");
  }

  /// Why an attention on the target side can't be computed token by token; "" where it can.
  StringRef hindrance(AttentionOp attention) {
    if (attention.getQueryOffsets() != targetOffsets || !targetSide.contains(attention.getQuery()))
      return "this attention's queries are not in the sequences of the target";
    if (attention.getLengths())
      return "how many keys a later token sees ('lengths') is not known";
    if (!llvm::all_of(attention.getCaptures(), [](Value capture) { return capture.getDefiningOp<GetParamOp>(); }))
      return "this attention's scores capture what is no parameter";
    if (attention.getLogSumExp() == logits ||
        llvm::any_of(attention.getLogSumExp().getUsers(), [&](Operation *user) { return needed.contains(user); }))
      return "the logits depend on this attention's log_sum_exp";
    if (targetSide.contains(attention.getKey()) != targetSide.contains(attention.getValue()))
      return "of this attention's keys and values one is of the target";
    if (targetSide.contains(attention.getKey()))
      return !attention.getCausal() ? "tokens of the target attend to later ones"
             : attention.getKeyOffsets() != targetOffsets
                 ? "this attention's keys are not in the sequences of the target"
                 : "";
    if (attention.getKeyOffsets() != sourceOffsets)
      return "this attention's keys are neither the target's tokens nor the source's";
    if (attention.getCausal() || attention.getWindow() || readsQueryNumber(attention.getScore()))
      return "where a target of unknown length stands among the tokens of its source is not known";
    return "";
  }

  static bool readsQueryNumber(Region &score) {
    return !score.empty() && !score.front().getArgument(ScoreQuery).use_empty();
  }
  static void cloneScore(AttentionOp from, Region &to) {
    IRMapping mapping; // of its own: the op may have been cloned too
    from.getScore().cloneInto(&to, mapping);
  }
  static SmallVector<Value> capturesOf(AttentionOp attention, const IRMapping &mapping) {
    return llvm::map_to_vector(attention.getCaptures(), [&](Value capture) { return mapping.lookup(capture); });
  }

  void deriveAttention(func::FuncOp after, func::FuncOp flat) {
    func::FuncOp function = createEntry(after, "attention", batch);
    IRMapping mapping;
    for (auto [i, argument] : llvm::enumerate(batch))
      mapping.map(argument.value, function.getArgument(i));
    std::vector<std::pair<std::string, Value>> results;
    auto isTaken = [&](const std::string &name) {
      return llvm::any_of(results, [&](const auto &result) { return result.first == name; });
    };
    for (Operation &op : flat.getBody().front()) {
      if (!needed.contains(&op))
        continue;
      b.clone(op, mapping);
      if (auto attention = dyn_cast<AttentionOp>(op)) {
        auto query = cast<RankedTensorType>(attention.getQuery().getType()),
             key = cast<RankedTensorType>(attention.getKey().getType());
        auto type =
            RankedTensorType::get({static_cast<int64_t>(attention.getHeads()), query.getDimSize(0), key.getDimSize(0)},
                                  query.getElementType());
        std::string name = labelOf(op.getLoc());
        auto weights = AttentionWeightsOp::create(
            b, op.getLoc(), type, mapping.lookup(attention.getQuery()), mapping.lookup(attention.getKey()),
            mapping.lookupOrNull(attention.getLengths()), capturesOf(attention, mapping), attention.getHeadsAttr(),
            attention.getKeyValueHeadsAttr(), attention.getScaleAttr(), attention.getCausalAttr(),
            attention.getWindowAttr());
        cloneScore(attention, weights.getScore());
        if (name.empty())
          name = "attention." + std::to_string(results.size());
        std::string unique = name; // a layer may be applied several times, with the same parameters
        for (int64_t again = 1; isTaken(unique); ++again)
          unique = name + "." + std::to_string(again);
        results.push_back({unique, weights});
      }
    }
    finishEntry(function, results);
  }

  /// What depends on the source alone, up to `memory`.
  func::FuncOp deriveEncoding(func::FuncOp after, func::FuncOp flat, ArrayRef<Value> memory) {
    func::FuncOp encode = createEntry(after, "encode", ArrayRef(batch).take_front(2));
    IRMapping mapping;
    mapping.map(sourceIds, encode.getArgument(0));
    mapping.map(sourceOffsets, encode.getArgument(1));
    for (Operation &op : flat.getBody().front())
      if (needed.contains(&op) && !onTargetSide(&op))
        b.clone(op, mapping);
    std::vector<std::pair<std::string, Value>> encoded;
    for (auto [i, value] : llvm::enumerate(memory))
      encoded.push_back({"memory." + std::to_string(i), mapping.lookup(value)});
    finishEntry(encode, encoded);
    return encode;
  }

  /// What works on rows and leads to nothing but the logits, from the last layer's attention on: it need not be
  /// computed of rows whose logits nobody wants.
  DenseSet<Operation *> findLate(func::FuncOp flat) {
    DenseSet<Operation *> late;
    for (Operation &op : llvm::reverse(flat.getBody().front())) {
      auto isRows = [&](Value operand) {
        auto type = dyn_cast<RankedTensorType>(operand.getType());
        return !targetSide.contains(operand) || (type && type.getRank() == 2 && isa<FloatType>(type.getElementType()));
      };
      if (needed.contains(&op) && onTargetSide(&op) && !isa<AttentionOp, ReshapeOp>(op) &&
          llvm::all_of(op.getOperands(), isRows) &&
          llvm::all_of(op.getUsers(), [&](Operation *user) { return !needed.contains(user) || late.contains(user); }))
        late.insert(&op);
    }
    return late;
  }

  void deriveDecoding(func::FuncOp after, func::FuncOp flat) {
    // The source side, up to what the target side uses of it.
    SetVector<Value> memory;
    SmallVector<AttentionOp> selfAttentions;
    for (Operation &op : flat.getBody().front()) {
      if (!needed.contains(&op) || !onTargetSide(&op))
        continue;
      if (auto attention = dyn_cast<AttentionOp>(op); attention && targetSide.contains(attention.getKey()))
        selfAttentions.push_back(attention);
      for (Value operand : op.getOperands())
        if (Operation *source = operand.getDefiningOp();
            sourceIds && source && !targetSide.contains(operand) && !isa<GetParamOp, arith::ConstantOp>(source))
          memory.insert(operand);
    }
    if (sourceIds)
      after = deriveEncoding(after, flat, memory.getArrayRef());
    std::vector<Argument> arguments{{"ids", "rows", targetIds}, {"positions", "rows", targetIds}};
    for (auto [i, value] : llvm::enumerate(memory))
      arguments.push_back({"memory." + std::to_string(i), "memory_tokens", value});
    size_t memoryRows = arguments.size();
    if (sourceIds) {
      arguments.push_back({"memory_rows", "memory_rows", targetIds});
      arguments.push_back({"memory_offsets", "rows_plus_1", targetIds});
    }
    size_t firstCache = arguments.size();
    for (auto [i, attention] : llvm::enumerate(selfAttentions)) {
      arguments.push_back({"cache." + std::to_string(2 * i), "cache_tokens", attention.getKey()});
      arguments.push_back({"cache." + std::to_string(2 * i + 1), "cache_tokens", attention.getValue()});
    }
    size_t slots = arguments.size();
    arguments.push_back({"cache_slots", "rows", targetIds});
    arguments.push_back({"cache_rows", "cache_rows", targetIds});
    arguments.push_back({"cache_offsets", "rows_plus_1", targetIds});
    arguments.push_back({"logit_rows", "logit_rows", targetIds});
    arguments.push_back({"ranks", "ranks", targetIds});
    func::FuncOp decode = createEntry(after, "decode", arguments);
    auto argument = [&](size_t i) -> Value { return decode.getArgument(i); };
    Value ranks = argument(slots + 4);
    DenseSet<Operation *> late = findLate(flat);
    IRMapping mapping, ofLogits; // of all rows; of those whose logits are wanted
    auto pick = [&](Value value) {
      if (!ofLogits.contains(value)) {
        Value x = mapping.lookup(value);
        if (targetSide.contains(value))
          x = EmbeddingOp::create(b, logits.getLoc(), x.getType(), argument(slots + 3), x, APFloat(1.0f),
                                  IntegerAttr());
        ofLogits.map(value, x);
      }
      return ofLogits.lookup(value);
    };
    mapping.map(targetIds, argument(0));
    for (auto [i, value] : llvm::enumerate(memory))
      mapping.map(value, argument(2 + i));
    size_t cache = firstCache;
    for (Operation &op : flat.getBody().front()) {
      if (!needed.contains(&op))
        continue;
      if (isa<GetParamOp, arith::ConstantOp>(op) || (!sourceIds && !onTargetSide(&op))) {
        b.clone(op, mapping);
      } else if (!onTargetSide(&op)) {
        continue;
      } else if (isa<PositionIdsOp>(op)) {
        mapping.map(op.getResult(0), argument(1));
      } else if (auto attention = dyn_cast<AttentionOp>(op)) {
        Value key = mapping.lookup(attention.getKey()), value = mapping.lookup(attention.getValue());
        bool self = targetSide.contains(attention.getKey());
        if (self)
          for (Value *projected : {&key, &value}) {
            *projected = CacheWriteOp::create(b, op.getLoc(), argument(cache).getType(), argument(cache), *projected,
                                              argument(slots));
            ++cache;
          }
        size_t rows = self ? slots + 1 : memoryRows;
        auto cached = CachedAttentionOp::create(
            b, op.getLoc(), attention.getResult().getType(), mapping.lookup(attention.getQuery()), key, value,
            argument(rows), argument(rows + 1), capturesOf(attention, mapping), attention.getHeadsAttr(),
            attention.getKeyValueHeadsAttr(), attention.getScaleAttr(), attention.getWindowAttr());
        cloneScore(attention, cached.getScore());
        mapping.map(attention.getResult(), cached);
      } else if (late.contains(&op)) {
        llvm::for_each(op.getOperands(), pick);
        b.clone(op, ofLogits);
      } else {
        b.clone(op, mapping);
      }
    }
    // The likeliest tokens, as many as the search asks for, and the logits themselves for whoever wants another one's.
    Value predicted = pick(logits);
    Location loc = logits.getLoc();
    auto type = cast<RankedTensorType>(logits.getType());
    RankedTensorType statistics = BlockStatisticsOp::statisticsType(type),
                     each = RankedTensorType::get({type.getDimSize(0), ShapedType::kDynamic}, type.getElementType());
    auto blocks = BlockStatisticsOp::create(b, loc, statistics, statistics, predicted);
    auto top = TopKOp::create(b, loc, each, each.clone(b.getI32Type()),
                              RankedTensorType::get({type.getDimSize(0)}, type.getElementType()), predicted,
                              blocks.getMaxima(), blocks.getSums(), ranks);
    finishEntry(decode, {{"logits", predicted},
                         {"log_sum_exp", top.getLogSumExp()},
                         {"top_log_probabilities", top.getValues()},
                         {"top_tokens", top.getTokens()}});
  }

  ModuleOp module;
  SymbolTable symbols;
  OpBuilder b;
  StringRef entry = "decode", command;                              // what explain() tells of
  Value sourceIds, sourceOffsets, targetIds, targetOffsets, logits; // the first two where the model has a source
  std::vector<Argument> batch;                                      // what a prediction is computed from
  DenseSet<Value> targetSide, sourceSide;                           // a value may be of both
  DenseSet<Operation *> needed;
};

struct DeriveEntriesPass : impl::DeriveEntriesPassBase<DeriveEntriesPass> {
  void runOnOperation() override {
    if (failed(Deriver(getOperation()).run()))
      signalPassFailure();
  }
};
} // namespace
} // namespace mlir::xf
