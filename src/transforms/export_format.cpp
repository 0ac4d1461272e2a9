#include "transforms/export_format.h"

#include <algorithm>
#include <optional>
#include <string_view>

#include "io/region.h"
#include "ops/registry.h"
#include "opset/attrs_io.h"

namespace plimsoll::transforms {
namespace {

using graph::Node;
using graph::OpDef;

// A record makes one value, which later records name by its number. Inputs are the first values.
enum class Record : uint8_t { kCaptured, kConstant, kOperation, kOutput, kCount };

constexpr size_t kComparedBytes = 64 << 10;  // of a captured array, in a shapeless form

/// What a value is the same as: these only matter while a program runs.
Node* seen_through(Node* node) {
  constexpr std::string_view kTransparent[] = {"alias", "depends", "checkpoint"};
  while (!node->available() && node->def &&
         std::find(std::begin(kTransparent), std::end(kTransparent), node->def->name) !=
             std::end(kTransparent))
    node = node->inputs[0];
  return node;
}

class Encoder {
 public:
  /// `captured`: null for a shapeless form.
  Encoder(const Recording& recording, CapturedArrays* captured) : captured_(captured) {
    for (const array& a : recording.inputs()) number(a.node());
    for (const array& a : recording.outputs()) walk(seen_through(a.node()));
    put(out_, static_cast<uint32_t>(recording.outputs().size()));
    for (const array& a : recording.outputs()) put(out_, ids_.at(seen_through(a.node())));
    records_ = next_ - static_cast<uint32_t>(recording.inputs().size());
  }

  uint32_t num_records() const { return records_; }
  std::string take() { return std::move(out_); }

 private:
  void number(const Node* node) { ids_.emplace(node, next_++); }

  static bool is_leaf(const Node& node) {
    return node.available() || !node.def ||
           (node.def->kind == graph::Kind::kProjection && node.inputs[0]->available());
  }

  // Inputs before users, without recursion.
  void walk(Node* root) {
    std::vector<std::pair<Node*, size_t>> stack;
    auto enter = [&](Node* node) {
      if (!ids_.contains(node)) stack.emplace_back(node, 0);
    };
    enter(root);
    while (!stack.empty()) {
      Node* node = stack.back().first;
      if (size_t next = stack.back().second; !is_leaf(*node) && next < node->inputs.size()) {
        ++stack.back().second;
        enter(seen_through(node->inputs[next]));
        continue;
      }
      stack.pop_back();
      if (ids_.contains(node)) continue;
      write(*node);
      number(node);
    }
  }

  void write(const Node& node) {
    if (node.is(Node::kConstant))
      write_constant(node);
    else if (is_leaf(node))
      write_captured(array::share(const_cast<Node*>(&node)));
    else if (node.def->kind == graph::Kind::kProjection)
      write_output(node);
    else
      write_operation(node);
  }

  void kind(Record record) { put(out_, static_cast<uint8_t>(record)); }

  void write_constant(const Node& node) {
    kind(Record::kConstant);
    put(out_, static_cast<uint8_t>(node.dtype));
    put(out_, static_cast<uint8_t>(node.is(Node::kWeak)));
    put(out_, node.constant.real);
    put(out_, node.constant.imag);
    put(out_, node.constant.integer);
  }

  void write_captured(const array& a) {
    kind(Record::kCaptured);
    if (captured_) {
      put(out_, captured_->index_of(a));
      return;
    }
    put_spec(out_, a.dtype(), a.shape());
    if (a.nbytes() > kComparedBytes) {
      put(out_, reinterpret_cast<uintptr_t>(a.node()));
      return;
    }
    std::string bytes(a.nbytes(), '\0');
    graph::evaluator().copy_out(*a.node(), bytes.data());
    out_ += bytes;
  }

  void write_output(const Node& node) {
    kind(Record::kOutput);
    put(out_, ids_.at(seen_through(node.inputs[0])));
    put(out_, node.index);
  }

  void write_operation(const Node& node) {
    const OpDef& def = *node.def;
    PLIMSOLL_CHECK(
        ops::find_op(def.name) == &def, ValueError,
        "[export_function] expected operations that a file can hold, got {}; functions "
        "with rules of their own, and what an outer transform traces, cannot be exported",
        def.name);
    PLIMSOLL_ASSERT((def.attrs != nullptr) == (node.attrs != nullptr));
    PLIMSOLL_ASSERT((def.num_outputs > 1) == node.is(Node::kTuple));
    kind(Record::kOperation);
    put(out_, std::string_view(def.name));
    put(out_, static_cast<uint8_t>(node.is(Node::kBarrier)));
    put(out_, static_cast<uint32_t>(node.inputs.size()));
    for (Node* input : node.inputs) put(out_, ids_.at(seen_through(input)));
    std::string attrs;
    if (def.attrs) def.attrs->write(*node.attrs, attrs);
    put(out_, std::string_view(attrs));
    if (!captured_) return;
    put(out_, static_cast<uint8_t>(node.specs ? node.specs->size() : 1));
    if (node.specs)
      for (const TensorSpec& s : *node.specs) put_spec(out_, s.dtype, s.shape);
    else
      put_spec(out_, node.dtype, node.shape);
  }

  CapturedArrays* captured_;
  std::string out_;
  std::unordered_map<const Node*, uint32_t> ids_;
  uint32_t next_ = 0, records_ = 0;
};

class Decoder {
 public:
  Decoder(std::string_view bytes, const Arrays& captured) : in_(bytes), captured_(captured) {}

  SavedTrace trace() {
    std::vector<TraceInput> inputs = read_inputs();
    Arrays placeholders;
    for (const TraceInput& input : inputs) {
      placeholders.push_back(placeholder(input.shape, input.dtype));
      values_.push_back({placeholders.back()});
    }
    auto count = in_.count(1);
    for (uint32_t i = 0; i < count; ++i) values_.push_back(record());
    Arrays outputs;
    auto num_outputs = in_.count(sizeof(uint32_t));
    for (uint32_t i = 0; i < num_outputs; ++i) outputs.push_back(value());
    PLIMSOLL_CHECK(in_.empty(), ValueError, "expected nothing behind the outputs of a trace");
    return {std::move(inputs), Recording(std::move(placeholders), std::move(outputs))};
  }

 private:
  std::vector<TraceInput> read_inputs() {
    std::vector<TraceInput> inputs(in_.count(6));
    std::string_view before;
    for (TraceInput& input : inputs) {
      std::string_view keyword = in_.text();
      PLIMSOLL_CHECK(keyword.empty() ? before.empty() : before < keyword, ValueError,
                     "expected positional inputs, then keywords in ascending order");
      before = keyword;
      input.keyword = keyword;
      TensorSpec spec = get_spec(in_);
      input.dtype = spec.dtype;
      input.shape = spec.shape;
      for (size_t d = 0; d < spec.shape.size(); ++d) input.symbols.push_back(in_.get<uint16_t>());
    }
    return inputs;
  }

  const Arrays& values() {
    auto id = in_.get<uint32_t>();
    PLIMSOLL_CHECK(id < values_.size(), ValueError,
                   "expected the number of one of {} earlier values, got {}", values_.size(), id);
    return values_[id];
  }

  array value() {
    const Arrays& all = values();
    PLIMSOLL_CHECK(all.size() == 1, ValueError, "expected one value, got {} outputs", all.size());
    return all[0];
  }

  Arrays record() {
    switch (static_cast<Record>(in_.get<uint8_t>())) {
      case Record::kCaptured: {
        auto index = in_.get<uint32_t>();
        PLIMSOLL_CHECK(index < captured_.size(), ValueError,
                       "expected one of {} captured arrays, got {}", captured_.size(), index);
        return {captured_[index]};
      }
      case Record::kConstant:
        return {constant()};
      case Record::kOperation:
        return operation();
      case Record::kOutput: {
        const Arrays& all = values();
        auto index = in_.get<uint16_t>();
        PLIMSOLL_CHECK(index < all.size(), ValueError, "expected one of {} outputs, got {}",
                       all.size(), index);
        return {all[index]};
      }
      default:
        throw ValueError("expected a kind of record below 4");
    }
  }

  array constant() {
    TileConstant c;
    bool weak = false;
    attr_detail::read_field(in_, c.dtype);
    attr_detail::read_field(in_, weak);
    c.real = in_.get<double>();
    c.imag = in_.get<double>();
    c.integer = in_.get<int64_t>();
    if (c.dtype == Dtype::kBool) c.integer = c.integer != 0;
    return graph::constant(c, weak);
  }

  Arrays operation() {
    std::string_view name = in_.text();
    const OpDef* def = ops::find_op(name);
    PLIMSOLL_CHECK(def, ValueError, "expected an operation of this version, got {}",
                   io::quote(name));
    bool barrier = false;
    attr_detail::read_field(in_, barrier);
    Arrays inputs;
    auto count = in_.count(sizeof(uint32_t));
    for (uint32_t i = 0; i < count; ++i) inputs.push_back(value());
    AttrsPtr attrs = attributes(*def);
    Arrays out = record_checked(*def, inputs, attrs);
    check_specs(*def, out);
    Node* made = def->num_outputs > 1 ? out[0].node()->inputs[0] : out[0].node();
    if (barrier) made->flags |= Node::kBarrier;
    return out;
  }

  AttrsPtr attributes(const OpDef& def) {
    ByteReader in(in_.text());
    AttrsPtr attrs = def.attrs ? def.attrs->read(in) : nullptr;
    PLIMSOLL_CHECK(in.empty(), ValueError, "expected nothing behind the attributes of {}",
                   def.name);
    return attrs;
  }

  void check_specs(const OpDef& def, const Arrays& out) {
    auto count = in_.get<uint8_t>();
    PLIMSOLL_CHECK(count == out.size(), ValueError, "expected {} outputs of {}, got {}", out.size(),
                   def.name, count);
    for (const array& a : out) {
      TensorSpec spec = get_spec(in_);
      PLIMSOLL_CHECK(spec.dtype == a.dtype() && spec.shape == a.shape(), ValueError,
                     "expected {} of {} to be {}{}, got {}{}", "the result", def.name,
                     name_of(a.dtype()), to_string(a.shape()), name_of(spec.dtype),
                     to_string(spec.shape));
    }
  }

  ByteReader in_;
  const Arrays& captured_;
  std::vector<Arrays> values_;
};

}  // namespace

uint32_t CapturedArrays::index_of(const array& a) {
  auto [it, fresh] = index_.emplace(a.node(), static_cast<uint32_t>(arrays_.size()));
  if (fresh) arrays_.push_back(a);
  return it->second;
}

void put_spec(std::string& out, Dtype dtype, const Shape& shape) {
  attr_detail::write_field(out, dtype);
  attr_detail::write_field(out, shape);
}

TensorSpec get_spec(ByteReader& in) {
  TensorSpec spec;
  attr_detail::read_field(in, spec.dtype);
  attr_detail::read_field(in, spec.shape);
  io::checked_bytes(spec.shape, spec.dtype, "a spec");
  return spec;
}

std::string encode_trace(const SavedTrace& trace, CapturedArrays& captured) {
  std::string out;
  put(out, static_cast<uint32_t>(trace.inputs.size()));
  for (const TraceInput& input : trace.inputs) {
    put(out, std::string_view(input.keyword));
    put_spec(out, input.dtype, input.shape);
    for (uint16_t symbol : input.symbols) put(out, symbol);
  }
  Encoder encoder(trace.recording, &captured);
  put(out, encoder.num_records());
  return out + encoder.take();
}

std::string shapeless_form(const Recording& recording) {
  return Encoder(recording, nullptr).take();
}

SavedTrace decode_trace(std::string_view bytes, const Arrays& captured) {
  return Decoder(bytes, captured).trace();
}

}  // namespace plimsoll::transforms
