//===- Error.h - Results that may be an error ----------------------------------------===//
// What can go wrong in the runtime is a value: a message for the user and the exit code that says
// whose mistake it is. Functions return Expected<T>; only `main` prints.
//===--------------------------------------------------------------------------------===//
#ifndef XF_RUNTIME_ERROR_H
#define XF_RUNTIME_ERROR_H

#include <exception>
#include <optional>
#include <string>
#include <utility>
#include <variant>

namespace xf::runtime {

struct Error {
  std::string message; // lower case, both values, the place; no full stop
  int exitCode = 1;    // 1: the user's mistake, 2: ours
};

inline Error userError(std::string message) { return {std::move(message), 1}; }
inline Error internalError(std::string message) { return {std::move(message), 2}; }

/// An error on its way through what returns no Expected. The borders (Main.cpp, Library.cpp) make it one again.
struct Raised final : std::exception {
  explicit Raised(Error error) : error(std::move(error)) {}
  const char *what() const noexcept override { return error.message.c_str(); }
  Error error;
};

/// A T, or why there is none.
template <typename T> class [[nodiscard]] Expected {
public:
  Expected(T value) : content(std::move(value)) {}
  Expected(Error error) : content(std::move(error)) {}

  explicit operator bool() const { return content.index() == 0; }
  T &operator*() { return *std::get_if<0>(&content); }
  const T &operator*() const { return *std::get_if<0>(&content); }
  T *operator->() { return std::get_if<0>(&content); }
  const T *operator->() const { return std::get_if<0>(&content); }
  const Error &error() const { return *std::get_if<1>(&content); }

private:
  std::variant<T, Error> content;
};

/// Done, or why not.
template <> class [[nodiscard]] Expected<void> {
public:
  Expected() = default;
  Expected(Error error) : failure(std::move(error)) {}

  explicit operator bool() const { return !failure; }
  const Error &error() const { return *failure; }

private:
  std::optional<Error> failure;
};

} // namespace xf::runtime

#endif // XF_RUNTIME_ERROR_H
