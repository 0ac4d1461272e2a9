# Flags that every target of the tree shares, and the sanitizer builds.

if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release)
endif()
set(CMAKE_CXX_FLAGS_RELEASE "-O2 -DNDEBUG")
# NDEBUG stays off in RelWithDebInfo and Debug, so that plan/verify runs there.
set(CMAKE_CXX_FLAGS_RELWITHDEBINFO "-O2 -g1")

if(NOT CMAKE_CXX_COMPILER_LAUNCHER)
  find_program(PLIMSOLL_CCACHE ccache)
  if(PLIMSOLL_CCACHE)
    set(CMAKE_CXX_COMPILER_LAUNCHER ${PLIMSOLL_CCACHE})
  endif()
endif()

add_library(plimsoll_options INTERFACE)
# A product and a sum are contracted only where a formula says fma: bits must not depend on the
# compiler's mood.
target_compile_options(plimsoll_options INTERFACE -Wall -Wextra -Werror=return-type
                                                  -ffp-contract=off -fno-math-errno)

set(PLIMSOLL_SANITIZE "" CACHE STRING "Sanitizers to build with, e.g. address,undefined or thread")
set(PLIMSOLL_SANITIZE_ONLY "" CACHE STRING "Layers that they watch, with their tests; empty: all")
if(PLIMSOLL_SANITIZE)
  set(PLIMSOLL_SANITIZE_OPTIONS -fsanitize=${PLIMSOLL_SANITIZE} -fno-omit-frame-pointer
                                -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${PLIMSOLL_SANITIZE})
  if(NOT PLIMSOLL_SANITIZE_ONLY)
    add_compile_options(${PLIMSOLL_SANITIZE_OPTIONS})
  endif()
endif()

# Leaves in `list` the tests of the layers that sanitizers watch, where not all are; builds those
# layers and tests with the sanitizers and asserts. All other sources are built as in a release.
# A layer may also be the begin of a file's name, as in backends/cpu/kernels/gather.
function(plimsoll_sanitize_some list)
  if(NOT PLIMSOLL_SANITIZE_ONLY)
    return()
  endif()
  list(JOIN PLIMSOLL_SANITIZE_ONLY "|" layers)
  set(watched ${${list}})
  list(FILTER watched INCLUDE REGEX "/(src|tests/unit|python)/(${layers})[/_.]")
  set_source_files_properties(${watched} PROPERTIES COMPILE_OPTIONS
                              "${PLIMSOLL_SANITIZE_OPTIONS};-O1;-g1;-UNDEBUG")
  if(list STREQUAL "PLIMSOLL_TEST_SOURCES")
    set(${list} ${watched} PARENT_SCOPE)
  endif()
endfunction()
