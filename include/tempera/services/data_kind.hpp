// Whether cases are bits or real numbers. Services ask here and nowhere else.
#pragma once

#include "tempera/core/dataset.hpp"

namespace tempera {

/// The cases as bits, or nothing where they are none.
inline const BinaryData* as_bits(const BinaryData& data) { return &data; }
inline const BinaryData* as_bits(const RealData&) { return nullptr; }

/// The cases as real numbers, or nothing where they are none.
inline const RealData* as_numbers(const BinaryData&) { return nullptr; }
inline const RealData* as_numbers(const RealData& data) { return &data; }

}  // namespace tempera
