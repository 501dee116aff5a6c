#!/usr/bin/env bash
# Writes the generated pages of docs/: Dialect.md from the ops, Passes.md from the passes, both from TableGen.
# generate-docs.sh --check writes nothing, and fails where a page is not what would be written.
set -euo pipefail
cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/../.."
tblgen=/usr/lib/llvm-22/bin/mlir-tblgen
into=docs
if [ "${1:-}" = --check ]; then
  into=$(mktemp -d)
  trap 'rm -rf "$into"' EXIT
elif [ $# -gt 0 ]; then
  printf "generate-docs.sh: expected no option or --check, but got '%s'\n" "$1" >&2
  exit 1
fi
run() { "$tblgen" -Iinclude -I/usr/lib/llvm-22/include "$@"; }

{
  printf '<!-- Generated from include/xf/Dialect/XF/IR/*.td by `tools/dev docs`. -->\n'
  run -gen-dialect-doc -dialect=xf include/xf/Dialect/XF/IR/XFOps.td
} | sed 's/[[:space:]]*$//' >"$into/Dialect.md"

{
  printf '<!-- Generated from include/xf/**/Passes.td by `tools/dev docs`. -->\n# Passes\n'
  for file in $(find include/xf -name Passes.td | LC_ALL=C sort); do
    printf '\n## %s\n\n' "${file#include/xf/}"
    run -gen-pass-doc "$file"
  done
} | sed 's/[[:space:]]*$//' >"$into/Passes.md"

if [ "$into" != docs ]; then
  for page in Dialect.md Passes.md; do
    diff -u "docs/$page" "$into/$page" || { printf 'docs/%s is out of date: tools/dev docs writes it anew\n' "$page" >&2; exit 1; }
  done
fi
