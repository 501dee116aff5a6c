//===- Precompiled.h - headers that every command uses --------------------===//
// Those of the runtime, and the command line's.
#include "../Precompiled.h"
#include <CLI/CLI.hpp>
