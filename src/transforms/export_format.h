// A trace of a function as bytes and back (docs/export.md).
#pragma once

#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/byte_stream.h"
#include "transforms/recording.h"

namespace plimsoll::transforms {

struct TraceInput {
  std::string keyword;  // empty: positional
  Dtype dtype = Dtype::kFloat32;
  Shape shape;
  // One a dimension. 0: as in `shape`; dimensions of one symbol may be anything, all alike.
  std::vector<uint16_t> symbols;
};

struct SavedTrace {
  std::vector<TraceInput> inputs;  // positional ones, then keywords by ascending name
  Recording recording;
};

/// Arrays that traces captured, each once.
class CapturedArrays {
 public:
  uint32_t index_of(const array& a);
  const Arrays& arrays() const { return arrays_; }

 private:
  Arrays arrays_;
  std::unordered_map<const graph::Node*, uint32_t> index_;
};

/// Raises ValueError for an operation that no file can hold.
std::string encode_trace(const SavedTrace& trace, CapturedArrays& captured);
/// A text that is equal for recordings of the same operations, whatever the shapes of their inputs.
std::string shapeless_form(const Recording& recording);
/// Raises ValueError where the bytes are no trace, or no trace over these arrays.
SavedTrace decode_trace(std::string_view bytes, const Arrays& captured);

void put_spec(std::string& out, Dtype dtype, const Shape& shape);
/// Raises ValueError for a shape that no array has.
TensorSpec get_spec(ByteReader& in);

}  // namespace plimsoll::transforms
