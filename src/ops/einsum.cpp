// Einstein's summation convention: pairs of operands are multiplied in a greedy order, by matrix
// products where an axis is summed and element by element where none is.
#include "plimsoll/ops/einsum.h"

#include <algorithm>
#include <cctype>
#include <map>
#include <set>

#include "ops/common.h"
#include "ops/lists.h"
#include "plimsoll/ops/binary.h"
#include "plimsoll/ops/diagonal.h"
#include "plimsoll/ops/matmul.h"
#include "plimsoll/ops/reduce.h"
#include "plimsoll/ops/view.h"

namespace plimsoll {
namespace ops {
namespace {

constinit const OpDef kEinsum = composite(
    "einsum", boxed<&einsum>::call,
    "einsum(subscripts: str, *operands: array, stream: None | Stream | Device = None) -> array",
    R"(Sums of products of the operands' elements, by Einstein's convention.

``subscripts`` names the axes of each operand by letters, operands separated by commas, then "->" and
the axes of the result; a letter that is not in the result is summed. "..." stands for axes that
broadcast. Without "->" the result has the broadcast axes and then the letters that occur once, in
alphabetical order. Axes of one letter have one length, or 1. Sums over axes of two operands are
matrix products and take their dtypes. Raises ValueError for subscripts that do not fit.

Example:
    >>> mx.einsum("ij,j->i", mx.array([[1.0, 2.0], [3.0, 4.0]]), mx.array([1.0, 1.0]))
    array([3, 7], dtype=float32)
)");

// A letter, or kEllipsis + the distance of a broadcast axis from the last one.
using Label = int;
using Labels = std::vector<Label>;
using LabelSet = std::set<Label>;
constexpr Label kEllipsis = 256;

struct Term {
  std::string before, after;  // the letters around "..."
  bool ellipsis = false;
  int64_t letters() const { return static_cast<int64_t>(before.size() + after.size()); }
  // The labels with `broadcast` axes for the ellipsis.
  Labels labels(int64_t broadcast) const {
    Labels out(before.begin(), before.end());
    for (int64_t i = ellipsis ? broadcast : 0; i > 0; --i)
      out.push_back(kEllipsis + static_cast<Label>(i) - 1);
    out.insert(out.end(), after.begin(), after.end());
    return out;
  }
};

Term parse_term(std::string_view text) {
  Term term;
  while (!text.empty()) {
    if (!term.ellipsis && text.starts_with("...")) {
      term.ellipsis = true;
      text.remove_prefix(3);
      continue;
    }
    PLIMSOLL_CHECK(std::isalpha(static_cast<unsigned char>(text[0])), ValueError,
                   "[einsum] expected letters as subscripts, got '{}'", text[0]);
    (term.ellipsis ? term.after : term.before) += text[0];
    text.remove_prefix(1);
  }
  return term;
}

struct Problem {
  std::vector<Labels> inputs;
  Labels output;
  std::map<Label, int64_t> length;
  std::string text;  // with "->"
};

// The output that a problem without "->" has.
Labels implied_output(const std::vector<Labels>& inputs, int64_t broadcast) {
  std::map<Label, int> count;
  for (const Labels& in : inputs)
    for (Label l : in) ++count[l];
  Labels out;
  for (int64_t i = broadcast; i > 0; --i) out.push_back(kEllipsis + static_cast<Label>(i) - 1);
  for (auto [label, n] : count)
    if (n == 1 && label < kEllipsis) out.push_back(label);
  return out;
}

std::vector<Term> parse_terms(std::string_view text) {
  std::vector<Term> terms;
  for (size_t begin = 0; begin <= text.size();) {
    size_t end = std::min(text.find(',', begin), text.size());
    terms.push_back(parse_term(text.substr(begin, end - begin)));
    begin = end + 1;
  }
  return terms;
}

size_t place(const Labels& labels, Label l) {
  return static_cast<size_t>(std::find(labels.begin(), labels.end(), l) - labels.begin());
}

void add_lengths(Problem& p, const Labels& labels, const Shape& shape) {
  for (size_t i = 0; i < labels.size(); ++i) {
    const int64_t first = shape[place(labels, labels[i])];
    PLIMSOLL_CHECK(first == shape[i], ShapeError,
                   "[einsum] expected equal lengths for a letter that occurs twice, got {} and {}",
                   first, shape[i]);
    int64_t& n = p.length.try_emplace(labels[i], 1).first->second;
    PLIMSOLL_CHECK(n == 1 || shape[i] == 1 || n == shape[i], ShapeError,
                   "[einsum] expected axes of one letter to have one length, got {} and {}", n,
                   shape[i]);
    if (n == 1) n = shape[i];
  }
}

Problem parse(const std::string& subscripts, const std::vector<array>& operands) {
  PLIMSOLL_CHECK(!operands.empty(), ValueError, "[einsum] expected at least one operand");
  Problem p;
  std::copy_if(subscripts.begin(), subscripts.end(), std::back_inserter(p.text),
               [](char c) { return c != ' '; });
  size_t arrow = p.text.find("->");
  bool has_output = arrow != std::string::npos;
  std::vector<Term> terms = parse_terms(std::string_view(p.text).substr(0, arrow));
  PLIMSOLL_CHECK(terms.size() == operands.size(), ValueError,
                 "[einsum] expected one operand for each of {} subscripts, got {}", terms.size(),
                 operands.size());
  int64_t broadcast = 0;
  for (size_t i = 0; i < terms.size(); ++i) {
    int64_t rest = operands[i].ndim() - terms[i].letters();
    PLIMSOLL_CHECK(terms[i].ellipsis ? rest >= 0 : rest == 0, ValueError,
                   "[einsum] expected a letter for each axis of operand {}, got {} letters for {}",
                   i, terms[i].letters(), to_string(operands[i].shape()));
    p.inputs.push_back(terms[i].labels(rest));
    add_lengths(p, p.inputs.back(), operands[i].shape());
    broadcast = std::max(broadcast, terms[i].ellipsis ? rest : 0);
  }
  if (!has_output) {
    p.output = implied_output(p.inputs, broadcast);
    p.text += "->";
    if (broadcast) p.text += "...";
    for (Label l : p.output)
      if (l < kEllipsis) p.text += static_cast<char>(l);
    return p;
  }
  p.output = parse_term(std::string_view(p.text).substr(arrow + 2)).labels(broadcast);
  for (Label l : p.output)
    PLIMSOLL_CHECK(p.length.contains(l), ValueError,
                   "[einsum] expected letters of operands in the output, got '{}'",
                   static_cast<char>(l));
  PLIMSOLL_CHECK(LabelSet(p.output.begin(), p.output.end()).size() == p.output.size(), ValueError,
                 "[einsum] expected every letter once in the output, got {}", p.text);
  return p;
}

// The order of products -------------------------------------------------------------------------

double product_of(const Problem& p, const LabelSet& labels) {
  double n = 1;
  for (Label l : labels) n *= static_cast<double>(p.length.at(l));
  return n;
}

// One multiplication for each factor more than one, one addition where something is summed.
double flops_of(const Problem& p, const LabelSet& labels, bool sums, size_t factors) {
  return product_of(p, labels) * static_cast<double>(std::max<size_t>(1, factors - 1) + sums);
}

struct Step {
  size_t i, j;  // i < j
  LabelSet all, kept;
  double removed, flops;
  bool better_than(const Step& o) const {
    return removed != o.removed ? removed > o.removed : flops < o.flops;
  }
};

Step step_of(const Problem& p, const std::vector<LabelSet>& sets, size_t i, size_t j) {
  Step s{i, j, sets[i], {}, 0, 0};
  s.all.insert(sets[j].begin(), sets[j].end());
  LabelSet later(p.output.begin(), p.output.end());
  for (size_t k = 0; k < sets.size(); ++k)
    if (k != i && k != j) later.insert(sets[k].begin(), sets[k].end());
  std::set_intersection(s.all.begin(), s.all.end(), later.begin(), later.end(),
                        std::inserter(s.kept, s.kept.end()));
  s.removed = product_of(p, sets[i]) + product_of(p, sets[j]) - product_of(p, s.kept);
  s.flops = flops_of(p, s.all, s.kept.size() < s.all.size(), 2);
  return s;
}

bool disjoint(const LabelSet& a, const LabelSet& b) {
  return std::none_of(a.begin(), a.end(), [&](Label l) { return b.contains(l); });
}

// The pair that shares a letter and shrinks the operands most, then the cheapest, then the one that
// has been there longest; pairs that share none come last. (NumPy's greedy order.)
class Greedy {
 public:
  explicit Greedy(const Problem& p) : p_(p) {
    for (const Labels& in : p.inputs) sets_.emplace_back(in.begin(), in.end());
    for (size_t i = 0; i < sets_.size(); ++i)
      for (size_t j = i + 1; j < sets_.size(); ++j) consider(i, j);
  }

  std::vector<Step> run() {
    std::vector<Step> steps;
    while (sets_.size() > 1) {
      if (known_.empty())
        for (size_t i = 0; i < sets_.size(); ++i)
          for (size_t j = i + 1; j < sets_.size(); ++j) known_.push_back({i, j});
      steps.push_back(best());
      take(steps.back());
    }
    return steps;
  }

 private:
  void consider(size_t i, size_t j) {
    if (!disjoint(sets_[i], sets_[j])) known_.push_back({i, j});
  }

  Step best() const {
    Step best = step_of(p_, sets_, known_[0].first, known_[0].second);
    for (auto [i, j] : known_)
      if (Step s = step_of(p_, sets_, i, j); s.better_than(best)) best = std::move(s);
    return best;
  }

  void take(const Step& s) {
    std::erase_if(known_, [&](auto& k) {
      return k.first == s.i || k.first == s.j || k.second == s.i || k.second == s.j;
    });
    auto moved = [&](size_t k) { return k - (k > s.i) - (k > s.j); };
    for (auto& [i, j] : known_) i = moved(i), j = moved(j);
    sets_.erase(sets_.begin() + static_cast<ptrdiff_t>(s.j));
    sets_.erase(sets_.begin() + static_cast<ptrdiff_t>(s.i));
    sets_.push_back(s.kept);
    for (size_t i = 0; i + 1 < sets_.size(); ++i) consider(i, sets_.size() - 1);
  }

  const Problem& p_;
  std::vector<LabelSet> sets_;
  std::vector<std::pair<size_t, size_t>> known_;
};

// The products ----------------------------------------------------------------------------------

struct Factor {
  array a;
  Labels labels;  // distinct
};

bool contains(const Labels& labels, Label l) { return place(labels, l) < labels.size(); }

// Diagonals for letters that occur twice; axes of length 1 that others repeat are dropped.
Factor prepared(const Problem& p, const array& a, const Labels& labels) {
  Factor f{a, labels};
  for (size_t i = 0; i < f.labels.size(); ++i) {
    size_t j = i + 1 +
               place(Labels(f.labels.begin() + static_cast<ptrdiff_t>(i) + 1, f.labels.end()),
                     f.labels[i]);
    if (j >= f.labels.size()) continue;
    Label l = f.labels[i];
    f.a = diagonal(f.a, 0, static_cast<int64_t>(i), static_cast<int64_t>(j));
    f.labels.erase(f.labels.begin() + static_cast<ptrdiff_t>(j));
    f.labels.erase(f.labels.begin() + static_cast<ptrdiff_t>(i));
    f.labels.push_back(l);
    i = static_cast<size_t>(-1);  // from the start again
  }
  Dims units;
  Labels kept;
  for (size_t i = 0; i < f.labels.size(); ++i)
    if (f.a.shape()[i] == 1 && p.length.at(f.labels[i]) != 1)
      units.push_back(static_cast<int64_t>(i));
    else
      kept.push_back(f.labels[i]);
  if (!units.empty()) f = {squeeze(f.a, units), kept};
  return f;
}

// Summed over the labels that are neither in `keep` nor in `other`.
Factor summed(const Factor& f, const LabelSet& keep, const Labels& other) {
  Dims axes;
  Labels kept;
  for (size_t i = 0; i < f.labels.size(); ++i)
    if (keep.contains(f.labels[i]) || contains(other, f.labels[i]))
      kept.push_back(f.labels[i]);
    else
      axes.push_back(static_cast<int64_t>(i));
  return axes.empty() ? f : Factor{sum(f.a, axes), kept};
}

// The axes in the order of `groups`, each group one axis; labels that are not there have length 1.
array grouped(const Factor& f, std::initializer_list<Labels> groups) {
  Dims order;
  Shape shape;
  for (const Labels& group : groups) {
    int64_t n = 1;
    for (Label l : group) {
      order.push_back(static_cast<int64_t>(place(f.labels, l)));
      n *= f.a.shape()[place(f.labels, l)];
    }
    shape.push_back(n);
  }
  return reshape(transpose(f.a, order), shape);
}

Factor multiplied(const Factor& a, const Factor& b, const Labels& labels) {
  auto aligned = [&](const Factor& f) {
    Dims order;
    Shape shape;
    for (Label l : labels) {
      bool there = contains(f.labels, l);
      if (there) order.push_back(static_cast<int64_t>(place(f.labels, l)));
      shape.push_back(there ? f.a.shape()[place(f.labels, l)] : 1);
    }
    return reshape(transpose(f.a, order), shape);
  };
  return {aligned(a) * aligned(b), labels};
}

Factor product(const Problem& p, const Factor& x, const Factor& y, const LabelSet& keep) {
  Factor a = summed(x, keep, y.labels), b = summed(y, keep, x.labels);
  Labels batch, inner, rows, columns;
  for (Label l : a.labels)
    (!contains(b.labels, l) ? rows : keep.contains(l) ? batch : inner).push_back(l);
  for (Label l : b.labels)
    if (!contains(a.labels, l)) columns.push_back(l);
  Labels labels = batch;
  labels.insert(labels.end(), rows.begin(), rows.end());
  labels.insert(labels.end(), columns.begin(), columns.end());
  if (inner.empty()) return multiplied(a, b, labels);
  Shape shape;
  for (Label l : labels) shape.push_back(p.length.at(l));
  array c = matmul(grouped(a, {batch, rows, inner}), grouped(b, {batch, inner, columns}));
  return {reshape(c, shape), labels};
}

}  // namespace

OpList einsum_ops() {
  static constexpr const OpDef* kOps[] = {&kEinsum};
  return kOps;
}

}  // namespace ops

array einsum(const std::string& subscripts, const std::vector<array>& operands) {
  using namespace ops;
  Problem p = parse(subscripts, operands);
  std::vector<Factor> factors;
  for (size_t i = 0; i < operands.size(); ++i)
    factors.push_back(prepared(p, operands[i], p.inputs[i]));
  for (const Step& s : Greedy(p).run()) {
    Factor out = product(p, factors[s.i], factors[s.j], s.kept);
    factors.erase(factors.begin() + static_cast<ptrdiff_t>(s.j));
    factors.erase(factors.begin() + static_cast<ptrdiff_t>(s.i));
    factors.push_back(std::move(out));
  }
  Factor last = summed(factors[0], LabelSet(p.output.begin(), p.output.end()), {});
  Dims order;
  for (Label l : p.output) order.push_back(static_cast<int64_t>(place(last.labels, l)));
  return transpose(last.a, order);
}

EinsumPath einsum_path(const std::string& subscripts, const std::vector<array>& operands) {
  using namespace ops;
  Problem p = parse(subscripts, operands);
  LabelSet all;
  for (const auto& [label, n] : p.length) all.insert(label);
  double naive = flops_of(p, all, p.output.size() < all.size(), operands.size());
  size_t scaling = 0;
  double flops = 0;
  EinsumPath path;
  for (const Step& s : Greedy(p).run()) {
    path.steps.push_back({static_cast<int64_t>(s.i), static_cast<int64_t>(s.j)});
    scaling = std::max(scaling, s.all.size());
    flops += s.flops;
  }
  if (operands.size() == 1) {
    path.steps.push_back({0});
    scaling = all.size();
    flops = naive;
  }
  path.summary = fmt::format(
      "  Complete contraction:  {}\n         Naive scaling:  {}\n     Optimized scaling:  {}\n"
      "      Naive FLOP count:  {:.0f}\n  Optimized FLOP count:  {:.0f}\n",
      p.text, all.size(), scaling, naive, flops);
  return path;
}

}  // namespace plimsoll
