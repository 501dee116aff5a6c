//===- xf-reduce.cpp - a small module that fails like a large one ---------===//
// mlir-reduce for xf's reproducers: runs the passes that a reproducer names on ever smaller modules, as long as xf-opt
// goes on failing with the same message, or crashing.
//===----------------------------------------------------------------------===//
#include "mlir/IR/DialectRegistry.h"
#include "mlir/Parser/Parser.h"
#include "mlir/Pass/PassManager.h"
#include "mlir/Tools/mlir-reduce/MlirReduceMain.h"
#include "xf/InitAll.h"
#include "xf/Pipelines/Stages.h"
#include "llvm/ADT/ScopeExit.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/Program.h"
#include "llvm/Support/raw_ostream.h"

/// Defined in test/lib, which is not on the include path of the tools.
namespace mlir::xf::test {
void registerTestPasses();
}

using namespace mlir;

static int fail(const llvm::Twine &message) {
  llvm::errs() << "xf-reduce: error: " << message << "\n";
  return 1;
}

/// What tells this failure from others: the first error's message, or of a crash that it is one.
static std::string symptomOf(StringRef output) {
  StringRef message = output.split(" error: ").second.split('\n').first;
  return message.empty() ? "Stack dump" : message.str();
}

static std::string quoted(StringRef text) {
  std::string result = "'";
  for (char c : text)
    result += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return result + "'";
}

int main(int argc, char **argv) {
  if (argc != 2 && !(argc == 4 && StringRef(argv[2]) == "-o")) {
    llvm::errs() << "usage: xf-reduce REPRODUCER.mlir [-o SMALLER.mlir]\n";
    return 1;
  }
  std::string input = argv[1], output = argc == 4 ? argv[3] : "-";
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
  if (passes.empty())
    return fail("'" + input + "' names no passes: it is no reproducer");
  std::string pipeline;
  llvm::raw_string_ostream stream(pipeline);
  passes.printAsTextualPipeline(stream);

  llvm::SmallString<128> folder;
  if (std::error_code code = llvm::sys::fs::createUniqueDirectory("xf-reduce", folder))
    return fail("can't write a temporary folder: " + code.message());
  llvm::scope_exit remover([&] { llvm::sys::fs::remove_directories(folder); });
  std::string whole = (folder + "/whole.mlir").str(), log = (folder + "/log").str(),
              script = (folder + "/test.sh").str();
  std::error_code code;
  llvm::raw_fd_ostream(whole, code) << *module; // without the passes, which the reduced one can't carry
  std::string tool =
      (llvm::sys::path::parent_path(llvm::sys::fs::getMainExecutable(argv[0], reinterpret_cast<void *>(&fail))) +
       "/xf-opt")
          .str();
  SmallVector<StringRef> arguments{tool, whole, "-o", "/dev/null"};
  std::string passOption = "--pass-pipeline=" + pipeline;
  arguments.push_back(passOption);
  std::optional<StringRef> redirects[] = {std::nullopt, StringRef(log), StringRef(log)};
  if (llvm::sys::ExecuteAndWait(tool, arguments, std::nullopt, redirects) == 0)
    return fail("the passes of '" + input + "' do not fail: " + pipeline);
  auto said = llvm::MemoryBuffer::getFile(log);
  std::string symptom = symptomOf(said ? (*said)->getBuffer() : "");

  // Of a module that is of interest the test fails.
  llvm::raw_fd_ostream(script, code) << "#!/bin/sh\n! " << quoted(tool) << " \"$1\" -o /dev/null " << quoted(passOption)
                                     << " 2>&1 | grep -qF -- " << quoted(symptom) << "\n";
  llvm::sys::fs::setPermissions(script, llvm::sys::fs::perms::owner_all);
  std::string reduction = "--reduction-tree=traversal-mode=0 test=" + script;
  const char *reducer[] = {argv[0], whole.c_str(), reduction.c_str(), "-o", output.c_str()};
  llvm::errs() << "xf-reduce: '" << symptom << "' of " << pipeline << "\n";
  // Most of what it tries is no module, which it would say of each.
  context.getDiagEngine().registerHandler([](Diagnostic &) { return success(); });
  if (failed(mlirReduceMain(std::size(reducer), const_cast<char **>(reducer), context)))
    return fail("'" + input + "' can't be made smaller");
  return 0;
}
