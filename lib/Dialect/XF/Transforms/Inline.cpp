//===- Inline.cpp - a function without calls ------------------------------===//
#include "Inline.h"
#include "mlir/IR/IRMapping.h"

namespace mlir::xf {
void inlineCalls(func::FuncOp function, SymbolTable &symbols) {
  OpBuilder b(function.getContext());
  while (true) {
    auto calls = function.getOps<func::CallOp>();
    if (calls.empty())
      return;
    func::CallOp call = *calls.begin();
    auto callee = symbols.lookup<func::FuncOp>(call.getCallee());
    IRMapping mapping;
    mapping.map(callee.getArguments(), call.getOperands());
    b.setInsertionPoint(call);
    for (Operation &op : callee.getBody().front().without_terminator())
      b.clone(op, mapping)->setLoc(CallSiteLoc::get(op.getLoc(), call.getLoc()));
    for (auto [result, value] : llvm::zip(call.getResults(), callee.getBody().front().getTerminator()->getOperands()))
      result.replaceAllUsesWith(mapping.lookup(value));
    call.erase();
  }
}
} // namespace mlir::xf
