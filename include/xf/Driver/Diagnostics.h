//===- Diagnostics.h - what the compiler has to say -------------*- C++ -*-===//
// Messages of a context, as tools write them: with the line of the file they are about, where there is one.
//===----------------------------------------------------------------------===//
#ifndef XF_DRIVER_DIAGNOSTICS_H
#define XF_DRIVER_DIAGNOSTICS_H

#include "mlir/IR/Diagnostics.h"
#include "mlir/IR/Location.h"
#include "llvm/Support/SourceMgr.h"

namespace mlir::xf {
class DiagnosticPrinter {
public:
  DiagnosticPrinter(MLIRContext &context, raw_ostream &stream, StringRef tool = "xf-compile")
      : located(sources, &context, stream), placeless(&context, [this, &stream, tool](Diagnostic &diagnostic) {
          // Of reproducers, and of crashes that MLIR has survived, the driver tells itself.
          std::string text = diagnostic.str();
          if (StringRef(text).starts_with("Failures have been detected while processing"))
            return success();
          if (StringRef(text).starts_with("A signal was caught while processing")) {
            hasCrashed = true;
            return success();
          }
          bool isError = diagnostic.getSeverity() == DiagnosticSeverity::Error;
          numErrors += isError;
          if (!isa<UnknownLoc>(diagnostic.getLocation()) || !isError)
            return failure();
          stream << tool << ": error: " << diagnostic.str() << "\n";
          return success();
        }) {}

  unsigned errors() const { return numErrors; }
  /// Whether a pass has crashed: its module is half rewritten, and may not even be destroyed.
  bool crashed() const { return hasCrashed; }

private:
  unsigned numErrors = 0;
  bool hasCrashed = false;
  llvm::SourceMgr sources;
  SourceMgrDiagnosticHandler located;
  ScopedDiagnosticHandler placeless;
};
} // namespace mlir::xf

#endif
