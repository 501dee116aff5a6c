#!/usr/bin/env bash
# build-sentencepiece.sh PREFIX: fetches SentencePiece's source package, pinned by version and hash, and installs its static
# libraries and headers under PREFIX. 0.2.1 is the newest release whose package holds all of its C++ dependencies.
set -euo pipefail
readonly VERSION=0.2.1 SHA256=8138cec27c2f2282f4a34d9a016e3374cd40e5c6e9cb335063db66a0a3b71fad
[ $# -eq 1 ] || { echo "usage: $0 PREFIX" >&2; exit 1; }
prefix=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

package=$("$(dirname "$0")/fetch-package.sh" "sentencepiece==$VERSION" $SHA256 "$work/fetched" --no-binary sentencepiece)
tar -xzf "$package" -C "$work"

launcher=()
if command -v ccache >/dev/null; then
  export CCACHE_BASEDIR=$work CCACHE_NOHASHDIR=1 # so that another temporary folder hits
  launcher=(-DCMAKE_CXX_COMPILER_LAUNCHER=ccache)
fi
cmake -G Ninja -S "$work/sentencepiece-$VERSION/sentencepiece" -B "$work/build" "${launcher[@]}" \
  -DCMAKE_BUILD_TYPE=Release -DCMAKE_C_COMPILER=clang-22 -DCMAKE_CXX_COMPILER=clang++-22 \
  -DCMAKE_POSITION_INDEPENDENT_CODE=ON -DCMAKE_CXX_FLAGS='-w -ffunction-sections -fdata-sections' \
  -DSPM_ENABLE_SHARED=OFF -DSPM_ENABLE_TCMALLOC=OFF >"$work/log" 2>&1 || { cat "$work/log" >&2; exit 1; }
ninja -C "$work/build" sentencepiece-static sentencepiece_train-static

mkdir -p "$prefix/include" "$prefix/lib"
cp "$work/sentencepiece-$VERSION/sentencepiece/src/"sentencepiece_{processor,trainer}.h "$prefix/include/"
cp "$work/build/src/libsentencepiece_train.a" "$prefix/lib/"
cp "$work/build/src/libsentencepiece.a" "$prefix/lib/" # last: its presence says that the prefix is whole
