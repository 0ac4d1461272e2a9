// Functions in files: what a function does to arrays of given shapes and dtypes, with the arrays
// that it captured. docs/export.md describes the format.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "plimsoll/io.h"
#include "plimsoll/transforms.h"

namespace plimsoll {

/// Collects traces of a function and writes them to a file.
class FunctionExporter {
 public:
  /// `shapeless`: dimensions that no operation depends on may differ in later calls.
  FunctionExporter(std::string path, bool shapeless, std::string metadata = {});
  ~FunctionExporter();
  FunctionExporter(const FunctionExporter&) = delete;
  FunctionExporter& operator=(const FunctionExporter&) = delete;

  /// Traces `fn`, which gets `args` and then the keyword arrays by ascending name. With `shapeless`
  /// it is called again with other sizes. Raises ValueError for an operation that no file can hold
  /// and Error where a trace has the same signature already.
  void add(const Function& fn, const Arrays& args, const NamedArrays& keywords);
  /// Evaluates what the traces captured and writes the file, which takes its name when it is
  /// complete. Once; Raises IoError, and Error where it is closed already.
  void close();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// A function from a file. Arrays that it captured are read when they are used.
class ImportedFunction {
 public:
  /// Raises ValueError where the file is not what the format says, IoError where it cannot be read.
  explicit ImportedFunction(const std::string& path);
  /// Records the operations of the trace that fits; raises ValueError where none does.
  Arrays operator()(const Arrays& args, const NamedArrays& keywords = {}) const;
  const std::string& metadata() const;

 private:
  struct State;
  std::shared_ptr<const State> state_;
};

}  // namespace plimsoll
