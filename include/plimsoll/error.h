// Error classes of Plimsoll. Each maps to one Python class (named in its comment).
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>

namespace plimsoll {

/// Base of every error that Plimsoll raises on purpose (RuntimeError in Python).
class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// A value, shape or axis that the operation does not accept (ValueError).
class ValueError : public Error {
 public:
  using Error::Error;
};

/// Shapes that do not fit together (ValueError).
class ShapeError : public ValueError {
 public:
  using ValueError::ValueError;
};

/// A dtype or argument type that the operation does not accept (TypeError).
class TypeError : public Error {
 public:
  using Error::Error;
};

/// An index outside an array (IndexError).
class IndexError : public Error {
 public:
  using Error::Error;
};

/// Reading or writing a file failed (OSError).
class IoError : public Error {
 public:
  explicit IoError(const std::string& what, int error_number = 0)
      : Error(what), error_number_(error_number) {}
  int error_number() const { return error_number_; }

 private:
  int error_number_;
};

/// The system or the limit has no room (MemoryError).
class OutOfMemory : public Error {
 public:
  using Error::Error;
};

/// The evaluation was interrupted, by Ctrl-C for one (KeyboardInterrupt).
class Interrupted : public Error {
 public:
  using Error::Error;
};

}  // namespace plimsoll
