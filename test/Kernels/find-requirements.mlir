// What entry points take to be so of their inputs follows from the kernels that read them, whatever inputs are called.
// RUN: xf-opt %s -split-input-file --xf-stage-input --xf-stage-fuse --xf-stage-outline --xf-stage-plan -verify-diagnostics | FileCheck %s

// Numbers of a table's rows; starts of sequences; a table of positions, which makes sequences no longer than it; labels, some rows at a time, that do not say that they are as many as tokens.
// CHECK-LABEL: func.func @first
// CHECK-SAME: xf.dims = ["tokens", "starts", "others", "tokens.chunk0"]
// CHECK-SAME: xf.requirements = [#xf.requirement<rows, input = 2, size = [0, 1, 0, 0, 0], of = "as 'words' has">,
// CHECK-SAME: #xf.requirement<starts, input = 1, size = [0, 1, 0, 0, 0], of = "'words'">,
// CHECK-SAME: #xf.requirement<below, input = 0, size = [30, 0, 0, 0, 0], of = "rows of 'table'">,
// CHECK-SAME: #xf.requirement<below, input = 2, size = [50000, 0, 0, 0, 0], of = "the vocabulary">,
// CHECK-SAME: #xf.requirement<longest, input = 1, size = [7, 0, 0, 0, 0], of = "rows of 'places'">]
xf.param @table : tensor<30x8xf32> xavier_uniform(1.0)
xf.param @places : tensor<7x8xf32> normal(1.0)
xf.param @out : tensor<50000x8xf32> xavier_uniform(1.0)
func.func @first(%words: tensor<?xi32> {xf.name = "words", xf.dims = ["tokens"]}, %documents: tensor<?xi32> {xf.name = "documents", xf.dims = ["starts"]},
                 %classes: tensor<?xi32> {xf.name = "classes", xf.dims = ["others"]}) -> (tensor<?xf32> {xf.name = "nll"}) attributes {xf.entry} {
  %table = xf.get_param @table : tensor<30x8xf32>
  %places = xf.get_param @places : tensor<7x8xf32>
  %out = xf.get_param @out : tensor<50000x8xf32>
  %x = xf.embedding %words, %table : (tensor<?xi32>, tensor<30x8xf32>) -> tensor<?x8xf32>
  %numbers = xf.position_ids %words, %documents : (tensor<?xi32>, tensor<?xi32>) -> tensor<?xi32>
  %p = xf.embedding %numbers, %places : (tensor<?xi32>, tensor<7x8xf32>) -> tensor<?x8xf32>
  %y = xf.add %x, %p : tensor<?x8xf32>
  %logits = xf.linear %y, %out : (tensor<?x8xf32>, tensor<50000x8xf32>) -> tensor<?x50000xf32>
  %loss, %nll, %lse = xf.cross_entropy %logits, %classes : (tensor<?x50000xf32>, tensor<?xi32>) -> (tensor<?xf32>, tensor<?xf32>, tensor<?xf32>)
  return %nll : tensor<?xf32>
}

// Rows of another input, as a step of decoding has them: of a cache it writes to, and of one it reads through a list; one start more than queries.
// CHECK-LABEL: func.func @second
// CHECK-SAME: xf.requirements = [#xf.requirement<rows, input = 2, size = [0, 1, 0, 0, 0, 0], of = "as 'x' has">,
// CHECK-SAME: #xf.requirement<rows, input = 4, size = [1, 1, 0, 0, 0, 0], of = "one more than 'x'">,
// CHECK-SAME: #xf.requirement<starts, input = 4, size = [0, 0, 0, 0, 1, 0], of = "'list'">,
// CHECK-SAME: #xf.requirement<below, input = 2, size = [0, 0, 1, 0, 0, 0], of = "rows of 'cache'">,
// CHECK-SAME: #xf.requirement<below, input = 3, size = [0, 0, 1, 0, 0, 0], of = "rows of 'cache'">]
func.func @second(%x: tensor<?x8xf32> {xf.name = "x", xf.dims = ["a"]}, %cache: tensor<?x8xf32> {xf.name = "cache", xf.dims = ["b"]}, %slots: tensor<?xi32> {xf.name = "slots"},
                  %list: tensor<?xi32> {xf.name = "list", xf.dims = ["c"]}, %starts: tensor<?xi32> {xf.name = "starts", xf.dims = ["d"]}) -> (tensor<?x8xf32> {xf.name = "y"}) attributes {xf.entry} {
  %k = xf.cache_write %cache, %x slots(%slots) : (tensor<?x8xf32>, tensor<?x8xf32>, tensor<?xi32>) -> tensor<?x8xf32>
  %y = xf.cached_attention %x, %k, %k rows(%list, %starts) heads(2) scale(0.5) : (tensor<?x8xf32>, tensor<?x8xf32>, tensor<?x8xf32>, tensor<?xi32>, tensor<?xi32>) -> tensor<?x8xf32>
  return %y : tensor<?x8xf32>
}

// Of a packed table, numbers of the rows that it has, not of those that fill its panels up.
// CHECK-LABEL: func.func @packed
// CHECK-SAME: xf.requirements = [#xf.requirement<below, input = 0, size = [30, 0], of = "rows of 'table'">]
func.func @packed(%words: tensor<?xi32> {xf.name = "words", xf.dims = ["tokens"]}) -> (tensor<?x8xf32> {xf.name = "y"}) attributes {xf.entry} {
  %table = xf.get_prepared @table : tensor<1x8x32xf32>
  %y = xf.embedding %words, %table rows(30) : (tensor<?xi32>, tensor<1x8x32xf32>) -> tensor<?x8xf32>
  return %y : tensor<?x8xf32>
}

// Two inputs that are added, of which none says so; and one that the model's own number is.
// CHECK-LABEL: func.func @third
// CHECK-SAME: xf.requirements = [#xf.requirement<rows, input = 1, size = [0, 1, 0, 0], of = "as 'a' has">,
// CHECK-SAME: #xf.requirement<rows, input = 2, size = [4, 0, 0, 0], of = "as the model has">]
func.func @third(%a: tensor<?x8xf32> {xf.name = "a"}, %b: tensor<?x8xf32> {xf.name = "b"}, %c: tensor<?x8xf32> {xf.name = "c"}, %d: tensor<4x8xf32> {xf.name = "d"})
    -> (tensor<?x8xf32> {xf.name = "sum"}, tensor<8x8xf32> {xf.name = "product"}) attributes {xf.entry} {
  %sum = xf.add %a, %b : tensor<?x8xf32>
  %product = xf.matmul %c, %d transpose_a : (tensor<?x8xf32>, tensor<4x8xf32>) -> tensor<8x8xf32>
  return %sum, %product : tensor<?x8xf32>, tensor<8x8xf32>
}

// What takes anything requires nothing.
// CHECK-LABEL: func.func @fourth
// CHECK-NOT: xf.requirements
func.func @fourth(%a: tensor<?x8xf32> {xf.name = "a"}) -> (tensor<?x8xf32> {xf.name = "b"}) attributes {xf.entry} {
  %b = xf.relu %a : tensor<?x8xf32>
  return %b : tensor<?x8xf32>
}

// The rows that a product contracts, and those of what it is added to; of a sum for the rows of a table, the table's.
// CHECK-LABEL: func.func @fifth
// CHECK-SAME: xf.requirements = [#xf.requirement<rows, input = 1, size = [4, 0, 0, 0, 0, 0], of = "as the model has">,
// CHECK-SAME: #xf.requirement<rows, input = 3, size = [0, 0, 1, 0, 0, 0], of = "as 'a' has">,
// CHECK-SAME: #xf.requirement<rows, input = 4, size = [0, 0, 1, 0, 0, 0], of = "as 'a' has">,
// CHECK-SAME: #xf.requirement<below, input = 4, size = [0, 0, 0, 0, 0, 1], of = "rows of 'table'">]
func.func @fifth(%w: tensor<5x4xf32> {xf.name = "w"}, %x: tensor<?x8xf32> {xf.name = "x"}, %a: tensor<?x5xf32> {xf.name = "a"}, %b: tensor<?x4xf32> {xf.name = "b"},
                 %ids: tensor<?xi32> {xf.name = "ids"}, %table: tensor<?x5xf32> {xf.name = "table"})
    -> (tensor<5x8xf32> {xf.name = "first"}, tensor<?x4xf32> {xf.name = "second"}, tensor<?x5xf32> {xf.name = "third"}) attributes {xf.entry} {
  %first = xf.matmul %w, %x : (tensor<5x4xf32>, tensor<?x8xf32>) -> tensor<5x8xf32>
  %second = xf.matmul %a, %w into %b : (tensor<?x5xf32>, tensor<5x4xf32>, tensor<?x4xf32>) -> tensor<?x4xf32>
  %third = xf.embedding_backward %a, %ids into %table : (tensor<?x5xf32>, tensor<?xi32>, tensor<?x5xf32>) -> tensor<?x5xf32>
  return %first, %second, %third : tensor<5x8xf32>, tensor<?x4xf32>, tensor<?x5xf32>
}
