//===- Diagnostics.h - what the compiler has to say -------------*- C++ -*-===//
// Messages of a context, as xf-compile writes them: with the line of the file they are about, where there is one.
//===----------------------------------------------------------------------===//
#ifndef XF_DRIVER_DIAGNOSTICS_H
#define XF_DRIVER_DIAGNOSTICS_H

#include "mlir/IR/Diagnostics.h"
#include "mlir/IR/Location.h"
#include "llvm/Support/SourceMgr.h"

namespace mlir::xf {
class DiagnosticPrinter {
public:
  DiagnosticPrinter(MLIRContext &context, raw_ostream &stream)
      : located(sources, &context, stream), placeless(&context, [this, &stream](Diagnostic &diagnostic) {
          // Of a reproducer the driver tells itself.
          if (StringRef(diagnostic.str()).starts_with("Failures have been detected while processing"))
            return success();
          bool isError = diagnostic.getSeverity() == DiagnosticSeverity::Error;
          numErrors += isError;
          if (!isa<UnknownLoc>(diagnostic.getLocation()) || !isError)
            return failure();
          stream << "xf-compile: error: " << diagnostic.str() << "\n";
          return success();
        }) {}

  unsigned errors() const { return numErrors; }

private:
  unsigned numErrors = 0;
  llvm::SourceMgr sources;
  SourceMgrDiagnosticHandler located;
  ScopedDiagnosticHandler placeless;
};
} // namespace mlir::xf

#endif
