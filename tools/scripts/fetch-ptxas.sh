#!/usr/bin/env bash
# fetch-ptxas.sh PREFIX: fetches NVIDIA's assembler for GPUs from PyPI, pinned by version and hash, into PREFIX/bin. It is for
# machines without the CUDA toolkit: the tests hold kernels to what it says of their registers. NVIDIA's licence lies beside it.
set -euo pipefail
readonly VERSION=13.0.88 SHA256=56fe502eb77625a12f25172caa3cdddb4e4c8ba2c8c17dba44b164761b380f03
[ $# -eq 1 ] || { echo "usage: $0 PREFIX" >&2; exit 1; }
prefix=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

wheel=$("$(dirname "$0")/fetch-package.sh" "nvidia-cuda-nvcc==$VERSION" $SHA256 "$work/fetched" \
  --only-binary :all: --platform manylinux2014_x86_64)
python3 -m zipfile -e "$wheel" "$work/wheel"
mkdir -p "$prefix/bin"
cp "$work/wheel/nvidia_cuda_nvcc-$VERSION.dist-info/licenses/License.txt" "$prefix/"
install -m 755 "$work/wheel/nvidia/cu13/bin/ptxas" "$prefix/bin/ptxas.part"
mv "$prefix/bin/ptxas.part" "$prefix/bin/ptxas" # last: its presence says that the prefix is whole
