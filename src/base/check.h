// PLIMSOLL_CHECK raises for wrong user input; PLIMSOLL_ASSERT is for our own bugs only.
#pragma once

#include <fmt/format.h>

#include "plimsoll/error.h"

// Usage: PLIMSOLL_CHECK(a.ndim() == 2, ShapeError, "[op] expected 2 dimensions, got {}", a.ndim());
#define PLIMSOLL_CHECK(cond, ErrorClass, ...)                   \
  do {                                                          \
    if (!(cond)) [[unlikely]]                                   \
      throw ::plimsoll::ErrorClass(::fmt::format(__VA_ARGS__)); \
  } while (0)

#define PLIMSOLL_STRINGIZE_(x) #x
#define PLIMSOLL_STRINGIZE(x) PLIMSOLL_STRINGIZE_(x)

// A broken invariant of ours: always on (a kept limit is worth a compare), thrown, never an abort.
#define PLIMSOLL_ASSERT(cond)                                                       \
  do {                                                                              \
    if (!(cond)) [[unlikely]]                                                       \
      throw ::plimsoll::Error("internal error at " __FILE__ ":" PLIMSOLL_STRINGIZE( \
          __LINE__) ": " #cond " does not hold; please report it");                 \
  } while (0)
