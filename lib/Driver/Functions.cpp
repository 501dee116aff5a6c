//===- Functions.cpp - what of a model is compiled ------------------------===//
// A table of the commands, and the entry points that each is made of.
//===----------------------------------------------------------------------===//
#include "xf/Driver/Functions.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include <map>
#include <set>

using namespace mlir;

llvm::Error mlir::xf::selectFunctions(ModuleOp module, ArrayRef<std::string> functions) {
  if (functions.empty())
    return llvm::Error::success();
  // What a command can't do without, and what else it is good to have for it.
  struct Command {
    std::vector<std::string> needs, uses;
    std::string kind; // of the models that have it; empty: more than one
  };
  static const std::map<std::string, Command> commands = {
      {"train", {{"train_step"}, {"accumulate", "update", "gradients", "loss"}, ""}},
      {"evaluate", {{"loss"}, {"quantized_loss", "encode", "decode"}, ""}},
      {"translate", {{"encode", "decode"}, {}, "sequence_to_sequence"}},
      {"attention", {{"encode", "decode", "attention"}, {}, "sequence_to_sequence"}},
      {"generate", {{"decode"}, {}, "language_model"}},
      {"embed", {{"encode"}, {}, "encoder"}},
      {"classify", {{"classify"}, {}, "classifier"}}};
  auto mistake = [](const llvm::Twine &message) {
    return llvm::createStringError(llvm::inconvertibleErrorCode(), message);
  };
  auto kind = module->getAttrOfType<StringAttr>("xf.kind");
  std::set<std::string> wanted, available;
  for (auto entry : module.getOps<func::FuncOp>())
    if (entry->hasAttr("xf.entry") && entry.getName() != "prepare")
      available.insert(entry.getName().str());
  for (const std::string &function : functions) {
    auto it = commands.find(function);
    Command command = it == commands.end() ? Command{{function}, {}, ""} : it->second;
    if (!command.kind.empty() && kind && kind.getValue() != command.kind)
      return mistake("--functions=" + function + " is for a model of kind '" + command.kind +
                     "', but this one is of kind '" + kind.getValue() + "'");
    for (const std::string &name : command.needs)
      if (!available.count(name))
        return mistake("the model has no function '" + name + "'" +
                       (it == commands.end() ? "" : ", which '" + function + "' needs") + "; it has " +
                       llvm::join(available, ", ") +
                       ", and commands are train, evaluate, translate, attention, generate, embed, classify");
    wanted.insert(command.needs.begin(), command.needs.end());
    wanted.insert(command.uses.begin(), command.uses.end());
  }
  for (const char *reader : {"encode", "decode", "classify", "quantized_loss"})
    if (wanted.count(reader))
      wanted.insert("prepare");
  for (auto entry : llvm::make_early_inc_range(module.getOps<func::FuncOp>()))
    if (entry->hasAttr("xf.entry") && !wanted.count(entry.getName().str()))
      entry.erase();
  return llvm::Error::success();
}
