//===- XFOps.td - every op of the dialect ----------------------*- tablegen -*-===//
#ifndef XF_OPS_TD
#define XF_OPS_TD
include "xf/Dialect/XF/IR/Schedules.td"
include "xf/Dialect/XF/IR/Structure.td"
include "xf/Dialect/XF/IR/Composite.td"
include "xf/Dialect/XF/IR/Embedding.td"
include "xf/Dialect/XF/IR/Linear.td"
include "xf/Dialect/XF/IR/Elementwise.td"
include "xf/Dialect/XF/IR/Norm.td"
include "xf/Dialect/XF/IR/Attention.td"
include "xf/Dialect/XF/IR/Loss.td"
include "xf/Dialect/XF/IR/Optimizer.td"
#endif
