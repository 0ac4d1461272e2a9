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
if(PLIMSOLL_SANITIZE)
  add_compile_options(-fsanitize=${PLIMSOLL_SANITIZE} -fno-omit-frame-pointer
                      -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${PLIMSOLL_SANITIZE})
endif()
