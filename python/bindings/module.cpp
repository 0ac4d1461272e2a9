#include <nanobind/nanobind.h>
NB_MODULE(_core, m) { m.def("answer", [](int x) { return x + 1; }, nanobind::arg("x"), "Adds one."); }
