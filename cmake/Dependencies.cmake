# System libraries. Configure downloads nothing: what is missing is named with its package.

# plimsoll_need(<condition> <what> <package>): stop with one line unless the condition holds.
function(plimsoll_need found what package)
  if(NOT ${found})
    message(FATAL_ERROR "${what} is missing; install it with: apt-get install ${package}")
  endif()
endfunction()

find_package(Threads REQUIRED)
find_package(fmt QUIET)
plimsoll_need(fmt_FOUND "fmt" libfmt-dev)
find_package(TBB QUIET)
plimsoll_need(TBB_FOUND "oneTBB" libtbb-dev)
find_package(nlohmann_json QUIET)
plimsoll_need(nlohmann_json_FOUND "nlohmann-json" nlohmann-json3-dev)
find_package(PkgConfig QUIET)
plimsoll_need(PKG_CONFIG_FOUND "pkg-config" pkg-config)
pkg_check_modules(HWY QUIET IMPORTED_TARGET libhwy)
plimsoll_need(HWY_FOUND "Highway" libhwy-dev)
pkg_check_modules(LAPACKE QUIET IMPORTED_TARGET lapacke)
plimsoll_need(LAPACKE_FOUND "LAPACKE" liblapacke-dev)
find_library(OPENBLAS_LIBRARY openblas)
plimsoll_need(OPENBLAS_LIBRARY "OpenBLAS" libopenblas-dev)

if(PLIMSOLL_BUILD_TESTS)
  find_package(GTest QUIET)
  plimsoll_need(GTest_FOUND "GoogleTest" "libgtest-dev libgmock-dev")
endif()
