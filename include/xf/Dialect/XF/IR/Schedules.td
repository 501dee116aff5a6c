//===- Schedules.td - how kernels are cut ----------------------*- tablegen -*-===//
// What stage `schedule` chooses for a kernel, its attribute `xf.schedule`. No choice changes a bit of the results but
// those of attention: its `keys`, and its forms on GPUs.
//===----------------------------------------------------------------------===//
#ifndef XF_SCHEDULES_TD
#define XF_SCHEDULES_TD
include "xf/Dialect/XF/IR/XFBase.td"

/// Numbers are at least 1.
class XF_Schedule<string name, string attrMnemonic> : AttrDef<XF_Dialect, name> {
  let mnemonic = attrMnemonic;
  let assemblyFormat = "`<` struct(params) `>`";
  let genVerifyDecl = 1;
}

def XF_MatmulScheduleAttr : XF_Schedule<"MatmulSchedule", "matmul_schedule"> {
  let summary = "tiles of a matrix product";
  let description = [{
    A tile of work is `rows` x `columns` of the result. A worker takes its rows in blocks of `block_rows`, each through blocks of B of `depth` x `columns`, which it has packed; in registers are `register_rows` x 2 vectors. With `copy_a` a block of A is copied first: a transposed one in the order in which tiles of registers read it.

    ```mlir
    #xf.matmul_schedule<register_rows = 6, rows = 48, columns = 256, block_rows = 96, depth = 512, copy_a = false>
    ```
  }];
  let parameters = (ins "int64_t":$register_rows, "int64_t":$rows, "int64_t":$columns, "int64_t":$block_rows, "int64_t":$depth, "bool":$copy_a);
}

def XF_AttentionScheduleAttr : XF_Schedule<"AttentionSchedule", "attention_schedule"> {
  let summary = "blocks of attention, forward or backward";
  let description = [{
    Scores are computed for `queries` x `keys` at a time; forward, a block of keys is packed once for `turn` queries.

    ```mlir
    #xf.attention_schedule<queries = 48, keys = 128, turn = 512>
    ```
  }];
  let parameters = (ins "int64_t":$queries, "int64_t":$keys, "int64_t":$turn);
}

def XF_RowScheduleAttr : XF_Schedule<"RowSchedule", "row_schedule"> {
  let summary = "tiles of a kernel on rows";
  let description = [{
    A tile of work is `rows` rows.

    ```mlir
    #xf.row_schedule<rows = 16>
    ```
  }];
  let parameters = (ins "int64_t":$rows);
}

def XF_BlockScheduleAttr : XF_Schedule<"BlockSchedule", "block_schedule"> {
  let summary = "tiles of a matrix product on a GPU's plain cores";
  let description = [{
    A block of threads computes `side` x `side` of the result, 64 or 128 each way.

    ```mlir
    #xf.block_schedule<side = 128>
    ```
  }];
  let parameters = (ins "int64_t":$side);
}

def XF_WarpgroupScheduleAttr : XF_Schedule<"WarpgroupSchedule", "warpgroup_schedule"> {
  let summary = "tiles of a matrix product on Hopper's tensor cores";
  let description = [{
    A block of threads takes tiles of 128 x `columns` of the result, through a ring of `stages` blocks of 64 of k; `blocks` of them, one or two, share a processor. The sums of a tile are computed in `parts` parts, by blocks of their own, and added in order.

    ```mlir
    #xf.warpgroup_schedule<columns = 256, stages = 4, blocks = 1, parts = 1>
    ```
  }];
  let parameters = (ins "int64_t":$columns, "int64_t":$stages, "int64_t":$blocks, "int64_t":$parts);
}

def XF_TensorCoreScheduleAttr : XF_Schedule<"TensorCoreSchedule", "tensor_core_schedule"> {
  let summary = "tiles of a matrix product on tensor cores";
  let description = [{
    A block of threads computes a tile of `rows` x `columns` of the result, 64 or 128 each, by `mma.sync`, through a ring of `stages` blocks of 64 bytes of k. Factors are bf16; or f32, which are rounded to tf32.

    ```mlir
    #xf.tensor_core_schedule<rows = 128, columns = 128, stages = 3>
    ```
  }];
  let parameters = (ins "int64_t":$rows, "int64_t":$columns, "int64_t":$stages);
}

def XF_WarpgroupAttentionScheduleAttr : XF_Schedule<"WarpgroupAttentionSchedule", "warpgroup_attention_schedule"> {
  let summary = "steps of attention on Hopper's tensor cores";
  let description = [{
    A block of threads has 128 rows of scores of a head, and goes through their columns by steps of `columns`, through rings of `stages` steps. Forward, rows are queries and columns keys; backward, first this and then the reverse, which sums the gradients of keys and values at once, or `in_turn`. Where it is `ordered`, rows are keys alone backward, and blocks add to the gradients of queries one after another.

    ```mlir
    #xf.warpgroup_attention_schedule<columns = 128, stages = 2>
    ```
  }];
  let parameters = (ins "int64_t":$columns, "int64_t":$stages, DefaultValuedParameter<"bool", "false">:$in_turn, DefaultValuedParameter<"bool", "false">:$ordered);
}

def XF_TensorCoreAttentionScheduleAttr : XF_Schedule<"TensorCoreAttentionSchedule", "tensor_core_attention_schedule"> {
  let summary = "rows of attention on tensor cores";
  let description = [{
    By `mma.sync`, a warp has `rows` rows of scores of a head, 16 or, forward, 32. Where it is `tight`, what follows from a thread's number is computed where it is used; backward, the gradients of keys and values are summed at once, or `in_turn`. Both are for kernels that leave few registers.

    ```mlir
    #xf.tensor_core_attention_schedule<rows = 16, tight = true>
    ```
  }];
  let parameters = (ins "int64_t":$rows, DefaultValuedParameter<"bool", "false">:$tight, DefaultValuedParameter<"bool", "false">:$in_turn);
}

def XF_PlainAttentionScheduleAttr : XF_Schedule<"PlainAttentionSchedule", "plain_attention_schedule"> {
  let summary = "rows of attention on a GPU's plain cores";
  let description = [{
    A block of threads has a head of a sequence, `rows` of its rows at a time: a warp each. Where it is `tight`, loops over features stay loops.

    ```mlir
    #xf.plain_attention_schedule<rows = 8>
    ```
  }];
  let parameters = (ins "int64_t":$rows, DefaultValuedParameter<"bool", "false">:$tight);
}
#endif
