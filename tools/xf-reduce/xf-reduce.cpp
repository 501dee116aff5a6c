//===- xf-reduce.cpp - a small module that fails like a large one ---------===//
// For xf's reproducers: runs the passes that a reproducer names on ever smaller modules, as long as xf-opt goes on
// failing with the same message, or crashing. mlir-reduce erases halves of a block; in a model nearly every result is
// used and every layer called, so here an op leaves values of nothing behind, or an operand, and a function takes its
// calls along.
//===----------------------------------------------------------------------===//
#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/DialectRegistry.h"
#include "mlir/IR/Verifier.h"
#include "mlir/Parser/Parser.h"
#include "mlir/Pass/PassManager.h"
#include "mlir/Pass/PassRegistry.h"
#include "xf/InitAll.h"
#include "llvm/Support/CommandLine.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/ToolOutputFile.h"
#include "llvm/Support/raw_ostream.h"
#include <climits>
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

/// Defined in test/lib, which is not on the include path of the tools.
namespace mlir::xf::test {
void registerTestPasses();
}

using namespace mlir;

static int fail(const llvm::Twine &message) {
  llvm::errs() << "xf-reduce: error: " << message << "\n";
  return 1;
}

namespace {
class Reducer {
public:
  Reducer(OwningOpRef<ModuleOp> module, PassManager &passes) : module(std::move(module)), passes(passes) {}

  /// What is wrong with the whole module: the first error's message, or of a crash that it is one; nothing where the
  /// passes do not fail.
  std::optional<std::string> findSymptom() {
    std::optional<std::string> found = symptomOf(*module);
    return found ? symptom = *found, found : found;
  }

  ModuleOp reduce() {
    for (bool isSmaller = true; isSmaller;) {
      isSmaller = removeSome([](ModuleOp module) {
        SmallVector<Operation *> symbols;
        for (Operation &op : module.getOps())
          symbols.push_back(&op);
        return symbols;
      });
      isSmaller |= removeSome([](ModuleOp module) {
        SmallVector<Operation *> ops;
        module.walk<WalkOrder::PreOrder>([&](Operation *op) {
          bool isNothing = isa<UnrealizedConversionCastOp>(op) && !op->use_empty();
          if (op->getParentOp() && op->getParentOp() != module && !op->hasTrait<OpTrait::IsTerminator>() && !isNothing)
            ops.push_back(op);
        });
        return ops;
      });
      isSmaller |= removeSome(
          [](ModuleOp module) {
            SmallVector<Operation *> ops;
            module.walk([&](Operation *op) {
              if (op->getNumResults() == 1 && operandLike(op->getResult(0)))
                ops.push_back(op);
            });
            return ops;
          },
          /*passesOn=*/true);
    }
    return *module;
  }

private:
  using Candidates = function_ref<SmallVector<Operation *>(ModuleOp)>;

  /// The first operand that could be in the result's place; null where there is none.
  static Value operandLike(Value result) {
    for (Value operand : result.getDefiningOp()->getOperands())
      if (operand.getType() == result.getType())
        return operand;
    return {};
  }

  /// Tries to go without halves of the candidates, then quarters, and so on down to each of them.
  bool removeSome(Candidates candidates, bool passesOn = false) {
    bool hasRemoved = false;
    for (size_t size = std::max<size_t>(candidates(*module).size() / 2, 1);; size /= 2) {
      for (size_t end = candidates(*module).size(); end > 0;) {
        size_t begin = end > size ? end - size : 0;
        hasRemoved |= goesWithout(candidates, begin, end, passesOn);
        end = begin;
      }
      if (size <= 1)
        return hasRemoved;
    }
  }

  bool goesWithout(Candidates candidates, size_t begin, size_t end, bool passesOn) {
    OwningOpRef<ModuleOp> smaller = module->clone();
    SmallVector<Operation *> ops = candidates(*smaller);
    for (Operation *op : llvm::reverse(ArrayRef(ops).slice(begin, end - begin)))
      remove(op, *smaller, passesOn);
    if (failed(verify(*smaller)) || symptomOf(*smaller) != symptom)
      return false;
    module = std::move(smaller);
    return true;
  }

  /// Who used its results goes on with casts of nothing, or with an operand; who names it goes too.
  static void remove(Operation *op, ModuleOp module, bool passesOn = false) {
    if (passesOn)
      op->getResult(0).replaceAllUsesWith(operandLike(op->getResult(0)));
    if (isa<SymbolOpInterface>(op))
      if (std::optional<SymbolTable::UseRange> uses = SymbolTable::getSymbolUses(op, module)) {
        llvm::SetVector<Operation *> users;
        for (SymbolTable::SymbolUse use : *uses)
          if (!op->isAncestor(use.getUser()) && use.getUser() != module)
            users.insert(use.getUser());
        for (Operation *user : users)
          if (!user->hasTrait<OpTrait::IsTerminator>())
            remove(user, module);
      }
    OpBuilder builder(op);
    for (Value result : op->getResults())
      if (!result.use_empty())
        result.replaceAllUsesWith(
            UnrealizedConversionCastOp::create(builder, op->getLoc(), result.getType(), ValueRange()).getResult(0));
    op->erase();
  }

  /// In a process of its own, for that may crash; nothing of it is seen here.
  std::optional<std::string> symptomOf(ModuleOp candidate) {
    int ends[2];
    if (pipe(ends) != 0)
      llvm::report_fatal_error("no pipe");
    pid_t child = fork();
    if (child == 0) {
      for (int stream : {STDOUT_FILENO, STDERR_FILENO})
        dup2(open("/dev/null", O_WRONLY), stream);
      bool isFirst = true;
      candidate.getContext()->getDiagEngine().registerHandler([&](Diagnostic &diagnostic) {
        if (diagnostic.getSeverity() == DiagnosticSeverity::Error && std::exchange(isFirst, false)) {
          std::string message = diagnostic.str();
          (void)!write(ends[1], message.data(), std::min<size_t>(message.size(), PIPE_BUF));
        }
      });
      _exit(failed(passes.run(candidate)));
    }
    close(ends[1]);
    std::string message;
    char buffer[PIPE_BUF];
    for (ssize_t count; (count = read(ends[0], buffer, sizeof(buffer))) > 0;)
      message.append(buffer, count);
    close(ends[0]);
    int status = 0;
    waitpid(child, &status, 0);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
      return std::nullopt;
    return WIFEXITED(status) && !message.empty() ? StringRef(message).split('\n').first.str() : "a crash";
  }

  OwningOpRef<ModuleOp> module;
  PassManager &passes;
  std::string symptom;
};
} // namespace

int main(int argc, char **argv) {
  llvm::cl::OptionCategory category("xf-reduce");
  llvm::cl::opt<std::string> input(llvm::cl::Positional, llvm::cl::desc("REPRODUCER.mlir"), llvm::cl::Required,
                                   llvm::cl::cat(category));
  llvm::cl::opt<std::string> output("o", llvm::cl::desc("where the smaller module goes (standard output)"),
                                    llvm::cl::value_desc("SMALLER.mlir"), llvm::cl::init("-"), llvm::cl::cat(category));
  llvm::cl::HideUnrelatedOptions(category);
  llvm::cl::ParseCommandLineOptions(argc, argv, "Makes the module of a reproducer as small as fails alike.\n");
  DialectRegistry registry;
  xf::registerAllDialects(registry);
  xf::registerAllPasses();
  xf::test::registerTestPasses();
  MLIRContext context(registry);

  PassReproducerOptions reproducer;
  ParserConfig config(&context);
  reproducer.attachResourceParser(config);
  OwningOpRef<ModuleOp> module = parseSourceFile<ModuleOp>(input, config);
  if (!module)
    return 1;
  PassManager passes(&context);
  if (failed(reproducer.apply(passes)))
    return 1;
  context.disableMultithreading(); // whatever the reproducer says: processes are forked
  if (passes.empty())
    return fail("'" + input + "' names no passes: it is no reproducer");
  std::string pipeline;
  llvm::raw_string_ostream stream(pipeline);
  passes.printAsTextualPipeline(stream);

  std::error_code code;
  llvm::ToolOutputFile file(output, code, llvm::sys::fs::OF_Text);
  if (code)
    return fail("can't write '" + output + "': " + code.message());
  Reducer reducer(std::move(module), passes);
  std::optional<std::string> symptom = reducer.findSymptom();
  if (!symptom)
    return fail("the passes of '" + input + "' do not fail: " + pipeline);
  llvm::errs() << "xf-reduce: '" << *symptom << "' of " << pipeline << "\n";
  // Much of what it tries is no module, which it would say of each.
  context.getDiagEngine().registerHandler([](Diagnostic &) { return success(); });
  file.os() << reducer.reduce() << "\n";
  file.keep();
  return 0;
}
