// Python's operators on arrays: each calls its operation's entry directly.
#include <nanobind/nanobind.h>

#include <array>
#include <string>

#include "base/check.h"
#include "bindings/array.h"
#include "bindings/array_type.h"
#include "bindings/convert.h"
#include "bindings/errors.h"
#include "bindings/host_convert.h"
#include "ops/registry.h"

namespace plimsoll::python {
namespace {

enum Op : uint8_t {
  kAdd,
  kSubtract,
  kMultiply,
  kDivide,
  kFloorDivide,
  kRemainder,
  kPower,
  kMatmul,
  kAnd,
  kOr,
  kXor,
  kLeftShift,
  kRightShift,
  kNegative,
  kAbs,
  kInvert,
  kLogicalNot,
  kLess,
  kLessEqual,
  kEqual,
  kNotEqual,
  kGreater,
  kGreaterEqual,
  kNumOps
};

constexpr const char* kNames[kNumOps] = {
    "add",         "subtract", "multiply",    "divide",         "floor_divide", "remainder",
    "power",       "matmul",   "bitwise_and", "bitwise_or",     "bitwise_xor",  "left_shift",
    "right_shift", "negative", "abs",         "bitwise_invert", "logical_not",  "less",
    "less_equal",  "equal",    "not_equal",   "greater",        "greater_equal"};

// Python's words for "Cannot perform … on an array and str".
constexpr const char* kVerbs[] = {"addition",   "subtraction",           "multiplication",
                                  "division",   "floor division",        "modulus",
                                  "power",      "matrix multiplication", "bitwise and",
                                  "bitwise or", "bitwise xor",           "left shift",
                                  "right shift"};

std::array<graph::Entry, kNumOps> entries{};

graph::Entry entry_of(Op op) {
  PLIMSOLL_CHECK(entries[op], Error, "[{}] this operation is not built in", kNames[op]);
  return entries[op];
}

bool to_operand(PyObject* o, graph::Box& out) {
  if (is_array(o)) {
    out = unwrap(o);
    return true;
  }
  if (auto a = weak_scalar(o)) {
    out = *std::move(a);
    return true;
  }
  if (auto a = array_like(o)) {
    out = *std::move(a);
    return true;
  }
  return false;
}

array apply(Op op, graph::Box (&args)[2]) { return std::get<array>(entry_of(op)({args, 2})); }

bool is_sequence_or_text(PyObject* o) {
  return PyUnicode_Check(o) || PyList_Check(o) || PyTuple_Check(o) || PyDict_Check(o) ||
         PyAnySet_Check(o);
}

/// Containers and texts are refused at once, as in MLX; other objects may know the operator.
void refuse_containers(const char* verb, PyObject* other) {
  PLIMSOLL_CHECK(!is_sequence_or_text(other), ValueError,
                 "Cannot perform {} on an array and {}; make it an array first", verb,
                 Py_TYPE(other)->tp_name);
}

/// The functions raise RuntimeError, the operators ValueError, as in MLX.
void check_bits(Op op, const graph::Box (&args)[2]) {
  Dtype a = std::get<array>(args[0]).dtype(), b = std::get<array>(args[1]).dtype();
  PLIMSOLL_CHECK(is_integral(a) && is_integral(b), ValueError,
                 "[{}] expected integers or bool, got {} and {}; cast with astype first",
                 kNames[op], name_of(a), name_of(b));
}

template <Op op>
PyObject* binary(PyObject* a, PyObject* b) {
  return guarded([&]() -> PyObject* {
    graph::Box args[2];
    if (!to_operand(a, args[0]) || !to_operand(b, args[1])) {
      refuse_containers(kVerbs[op], is_array(a) ? b : a);
      Py_RETURN_NOTIMPLEMENTED;
    }
    if constexpr (op >= kAnd && op <= kRightShift) check_bits(op, args);
    return wrap(apply(op, args));
  });
}

template <>
PyObject* binary<kMatmul>(PyObject* a, PyObject* b) {
  if (!is_array(a) || !is_array(b)) Py_RETURN_NOTIMPLEMENTED;
  return guarded([&]() -> PyObject* {
    graph::Box args[2] = {unwrap(a), unwrap(b)};
    return wrap(apply(kMatmul, args));
  });
}

// The object keeps its identity and takes the new value, as in MLX.
template <Op op>
PyObject* in_place(PyObject* self, PyObject* other) {
  PyObject* result = binary<op>(self, other);
  if (!result || result == Py_NotImplemented) return result;
  std::swap(unwrap(self), unwrap(result));
  Py_DECREF(result);
  Py_INCREF(self);
  return self;
}

template <Op op>
PyObject* unary(PyObject* a) {
  return guarded([&]() -> PyObject* {
    graph::Box arg = unwrap(a);
    return wrap(std::get<array>(entry_of(op)({&arg, 1})));
  });
}

PyObject* invert(PyObject* a) {
  return unwrap(a).dtype() == Dtype::kBool ? unary<kLogicalNot>(a) : unary<kInvert>(a);
}

PyObject* positive(PyObject* a) {
  Py_INCREF(a);
  return a;
}

PyObject* power(PyObject* a, PyObject* b, PyObject* modulus) {
  if (modulus != Py_None) Py_RETURN_NOTIMPLEMENTED;
  return binary<kPower>(a, b);
}

PyObject* power_in_place(PyObject* a, PyObject* b, PyObject* modulus) {
  if (modulus != Py_None) Py_RETURN_NOTIMPLEMENTED;
  return in_place<kPower>(a, b);
}

PyObject* divide_with_remainder(PyObject* a, PyObject* b) {
  nb::object quotient = nb::steal(binary<kFloorDivide>(a, b));
  if (!quotient || quotient.ptr() == Py_NotImplemented) return quotient.release().ptr();
  nb::object rest = nb::steal(binary<kRemainder>(a, b));
  if (!rest) return nullptr;
  return PyTuple_Pack(2, quotient.ptr(), rest.ptr());
}

// The one element, evaluated, as bytes with its dtype.
struct Scalar {
  std::byte bytes[16];
  Dtype dtype;
};

Scalar scalar_of(PyObject* o, const char* instead = "take one of its elements, or tolist()") {
  array a = unwrap(o);
  PLIMSOLL_CHECK(a.size() == 1, ValueError,
                 "[convert] Only length-1 arrays can be converted to Python scalars, got shape {}; "
                 "{}",
                 to_string(a.shape()), instead);
  Scalar s{{}, a.dtype()};
  without_gil([&] { a.copy_to(s.bytes); });
  return s;
}

int to_truth(PyObject* a) {
  try {
    Scalar s = scalar_of(a, "ask for any() or all() of its elements");
    if (is_integral(s.dtype)) return element_as_int(s.bytes, s.dtype) != 0;
    return element_as_complex(s.bytes, s.dtype) != 0.0;
  } catch (...) {
    set_error_from_current_exception();
    return -1;
  }
}

void refuse_complex(PyObject* a, const char* to) {
  PLIMSOLL_CHECK(unwrap(a).dtype() != Dtype::kComplex64, TypeError,
                 "[{}] expected a real array, got complex64; take its real part first", to);
}

PyObject* to_integer(PyObject* a) {
  return guarded([&]() -> PyObject* {
    refuse_complex(a, "int");
    Scalar s = scalar_of(a);
    if (!is_integral(s.dtype))
      return PyLong_FromDouble(element_as_complex(s.bytes, s.dtype).real());
    int64_t v = element_as_int(s.bytes, s.dtype);
    return s.dtype == Dtype::kUint64 ? PyLong_FromUnsignedLongLong(static_cast<uint64_t>(v))
                                     : PyLong_FromLongLong(v);
  });
}

PyObject* to_index(PyObject* a) {
  if (is_inexact(unwrap(a).dtype())) {
    PyErr_SetString(PyExc_TypeError, "only integer arrays of one element can be used as an index");
    return nullptr;
  }
  return to_integer(a);
}

PyObject* to_real(PyObject* a) {
  return guarded([&]() -> PyObject* {
    refuse_complex(a, "float");
    Scalar s = scalar_of(a);
    return PyFloat_FromDouble(element_as_complex(s.bytes, s.dtype).real());
  });
}

PyNumberMethods make_slots() {
  PyNumberMethods n{};
  n.nb_add = binary<kAdd>;
  n.nb_subtract = binary<kSubtract>;
  n.nb_multiply = binary<kMultiply>;
  n.nb_true_divide = binary<kDivide>;
  n.nb_floor_divide = binary<kFloorDivide>;
  n.nb_remainder = binary<kRemainder>;
  n.nb_divmod = divide_with_remainder;
  n.nb_power = power;
  n.nb_matrix_multiply = binary<kMatmul>;
  n.nb_and = binary<kAnd>;
  n.nb_or = binary<kOr>;
  n.nb_xor = binary<kXor>;
  n.nb_lshift = binary<kLeftShift>;
  n.nb_rshift = binary<kRightShift>;
  n.nb_negative = unary<kNegative>;
  n.nb_positive = positive;
  n.nb_absolute = unary<kAbs>;
  n.nb_invert = invert;
  n.nb_bool = to_truth;
  n.nb_int = to_integer;
  n.nb_float = to_real;
  n.nb_index = to_index;
  n.nb_inplace_add = in_place<kAdd>;
  n.nb_inplace_subtract = in_place<kSubtract>;
  n.nb_inplace_multiply = in_place<kMultiply>;
  n.nb_inplace_true_divide = in_place<kDivide>;
  n.nb_inplace_floor_divide = in_place<kFloorDivide>;
  n.nb_inplace_remainder = in_place<kRemainder>;
  n.nb_inplace_power = power_in_place;
  n.nb_inplace_matrix_multiply = in_place<kMatmul>;
  n.nb_inplace_and = in_place<kAnd>;
  n.nb_inplace_or = in_place<kOr>;
  n.nb_inplace_xor = in_place<kXor>;
  n.nb_inplace_lshift = in_place<kLeftShift>;
  n.nb_inplace_rshift = in_place<kRightShift>;
  return n;
}

constexpr const char* kOrders[] = {"less than", "less than or equal", "",
                                   "",          "greater than",       "greater than or equal"};
constexpr Op kCompareOps[] = {kLess, kLessEqual, kEqual, kNotEqual, kGreater, kGreaterEqual};

}  // namespace

PyNumberMethods number_slots = make_slots();

PyObject* compare(PyObject* a, PyObject* b, int op) {
  return guarded([&]() -> PyObject* {
    graph::Box args[2];
    if (!to_operand(a, args[0]) || !to_operand(b, args[1])) {
      if (op == Py_EQ) Py_RETURN_FALSE;
      if (op == Py_NE) Py_RETURN_TRUE;
      refuse_containers(kOrders[op], b);
      Py_RETURN_NOTIMPLEMENTED;
    }
    return wrap(apply(kCompareOps[op], args));
  });
}

void bind_operators() {
  for (int op = 0; op < kNumOps; ++op)
    if (const graph::OpDef* def = ops::find_op(kNames[op])) entries[op] = def->entry;
}

}  // namespace plimsoll::python
