#!/bin/sh
# empty-root.sh FOLDER EXECUTABLE FILES... -- ARGUMENTS...: makes a root of the executable, some files beside it, and the C library's files alone,
# and runs the executable in it.
set -eu
root=$1 executable=$2
shift 2
rm -rf "$root"
mkdir -p "$root"
cp "$executable" "$root/program"
for file in $(ldd "$executable" | grep -o '/[^ ]*'); do
  mkdir -p "$root$(dirname "$file")"
  cp -L "$file" "$root$file"
done
while [ "$1" != -- ]; do
  cp "$1" "$root"
  shift
done
shift
exec unshare --map-root-user --mount chroot "$root" /program "$@"
