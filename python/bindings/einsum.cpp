#include "bindings/einsum.h"

#include <nanobind/stl/string.h>

#include <vector>

#include "bindings/array_type.h"
#include "bindings/convert.h"
#include "plimsoll/ops/einsum.h"

namespace plimsoll::python {

void bind_einsum(nb::module_& m) {
  m.def(
      "einsum_path",
      [](const std::string& subscripts, const nb::args& operands) {
        std::vector<array> arrays;
        for (nb::handle o : operands) arrays.push_back(make_array(o, std::nullopt));
        EinsumPath path = einsum_path(subscripts, arrays);
        nb::list steps;
        for (const Dims& step : path.steps)
          steps.append(step.size() == 1 ? nb::make_tuple(step[0])
                                        : nb::make_tuple(step[0], step[1]));
        return nb::make_tuple(steps, path.summary);
      },
      nb::arg("subscripts"), nb::arg("operands"),
      nb::sig("def einsum_path(subscripts: str, *operands: array) -> tuple[list[tuple[int, ...]], "
              "str]"),
      "The order in which einsum multiplies its operands.\n\n"
      "Each step takes two operands out of the list and puts their product at the end. Pairs that\n"
      "share an axis come first, then those that shrink the operands most, then the cheapest.\n\n"
      "Args:\n"
      "    subscripts: As for einsum.\n"
      "    operands: The arrays; nothing is computed.\n\n"
      "Returns:\n"
      "    The steps, and a text that compares their cost with that of one nested loop.\n\n"
      "Raises:\n"
      "    ValueError: for subscripts that do not fit.\n\n"
      "Example:\n\n"
      "    >>> einsum_path(\"ij,jk,kl->il\", zeros((2, 9)), zeros((9, 2)), zeros((2, 2)))[0]\n"
      "    [(0, 1), (0, 1)]");
}

}  // namespace plimsoll::python
