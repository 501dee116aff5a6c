//===- Precompiled.h - headers that most files of the runtime use ---------===//
// Precompiled once (by XFRuntime): reading these takes most files longer than their own text does.
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>
