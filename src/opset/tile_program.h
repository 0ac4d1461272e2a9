// A tile program: elementwise work as a list of instructions over numbered tiles. It is the only
// way in which elementwise, cast, broadcast, select, iota and random-bits ops run.
#pragma once

#include <cstdint>
#include <vector>

#include "core/shape.h"
#include "plimsoll/dtype.h"

namespace plimsoll {

/// One elementwise formula. Operands have equal dtypes unless said; comparisons and logic give
/// bool.
enum class TileOp : uint8_t {
  // No operands.
  kIota,        // imm[0] + imm[1] * (flat index), computed in double (floats) or int64
  kRandomBits,  // aux → RandomBits; src[0] is a uint32 key input of two elements per stream
  // One operand.
  kCopy,
  kCast,  // kCast: from in_dtype to dtype
  kNegative,
  kAbs,
  kSign,
  kSquare,
  kSqrt,
  kRsqrt,
  kReciprocal,
  kExp,
  kExpm1,
  kExp2,
  kLog,
  kLog1p,
  kLog2,
  kLog10,
  kSin,
  kCos,
  kTan,
  kArcsin,
  kArccos,
  kArctan,
  kSinh,
  kCosh,
  kTanh,
  kArcsinh,
  kArccosh,
  kArctanh,
  kErf,
  kErfinv,
  kSigmoid,
  kFloor,
  kCeil,
  kRound,
  kTrunc,
  kIsNan,
  kIsInf,
  kIsFinite,
  kIsNegInf,
  kIsPosInf,
  kLogicalNot,
  kBitwiseInvert,
  kReal,
  kImag,
  kConjugate,
  // Two operands.
  kAdd,
  kSubtract,
  kMultiply,
  kDivide,
  kFloorDivide,
  kRemainder,
  kPower,
  kMaximum,
  kMinimum,
  kLogAddExp,
  kArctan2,
  kEqual,
  kNotEqual,
  kLess,
  kLessEqual,
  kGreater,
  kGreaterEqual,
  kLogicalAnd,
  kLogicalOr,
  kBitwiseAnd,
  kBitwiseOr,
  kBitwiseXor,
  kLeftShift,
  kRightShift,
  // Three operands.
  kSelect,  // src[0] (bool) ? src[1] : src[2]
  kClamp,   // min(max(src[0], src[1]), src[2])
  kCount,
};

struct RandomBits {
  int width = 4;              // bytes of an element: 1, 2 or 4
  int64_t count_per_key = 0;  // elements of one key's stream in the whole problem
};

inline constexpr uint16_t kNoTile = 0xffff;

/// dst = op(src…). Sources number inputs first (0 … num_inputs-1), then constants, then results.
/// dtype is that of the result; in_dtype that of the operands (of src[1] for kSelect). Results in
/// float16 and bfloat16 are rounded to that dtype after each instruction.
struct TileInstr {
  TileOp op;
  Dtype dtype;
  Dtype in_dtype;
  uint16_t src[3] = {kNoTile, kNoTile, kNoTile};
  uint16_t dst = kNoTile;  // = num_inputs + num_constants + position of the instruction
  double imm[2] = {0, 0};
  int16_t aux = -1;  // index into TileProgram::random
};

/// A scalar constant. Integers are kept exact.
struct TileConstant {
  Dtype dtype = Dtype::kFloat32;
  double real = 0, imag = 0;
  int64_t integer = 0;
};

struct TileProgram {
  std::vector<Dtype> inputs;  // dtype of each input
  std::vector<TileConstant> constants;
  std::vector<TileInstr> instrs;
  std::vector<RandomBits> random;
  std::vector<uint16_t> outputs;  // tile number that each output stores (result or input)
};

/// The part of the iteration space that a call covers, for ops that depend on the element's index.
struct TileOrigin {
  Shape whole;  // shape of the whole iteration space
  Dims begin;   // coordinates of the call's first element
};

}  // namespace plimsoll
