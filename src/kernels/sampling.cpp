#include "tempera/kernels/sampling.hpp"

#include "simd.hpp"

namespace tempera {
namespace {

static_assert(kMostLetters == simd::kMostLettersOfSite);

simd::Philox philox_at(const LaneStream& stream, std::uint32_t quad) {
  const auto key = stream.key();
  const auto counter = stream.counter(quad, 0);
  return {{key[0], key[1]}, {counter[0], counter[1], counter[2], counter[3]}};
}

}  // namespace

void draw_quad(const LaneStream& stream, std::uint32_t quad, QuadDraws& out) {
  simd::philox(philox_at(stream, quad), out.front().data());
}

void sample_units(const float* input, UnitRange units, const LaneFloats& beta,
                  std::span<const float> reference, Index lanes, const LaneStream& stream,
                  std::uint32_t first_site, BitLayer& out) {
  const std::uint32_t site = first_site + static_cast<std::uint32_t>(units.first);
  const float* bias = reference.empty() ? nullptr : reference.data() + units.first;
  simd::sample(input, beta.data(), bias, philox_at(stream, site / static_cast<std::uint32_t>(kUnitAlignment)),
               static_cast<std::size_t>(units.size()), static_cast<std::size_t>(lanes),
               out.data() + units.first);
}

void sample_letters(const float* input, UnitRange sites, const Letters& letters, const LaneFloats& beta,
                    std::span<const float> reference, Index lanes, const LaneStream& stream,
                    std::uint32_t first_site, BitLayer& out) {
  const std::uint32_t site = first_site + static_cast<std::uint32_t>(sites.first);
  const Index most = letters.most();
  simd::sample_letters(input, beta.data(), reference.data() + sites.first * most, philox_at(stream, site / 4),
                       letters.numbers().data() + sites.first, static_cast<std::size_t>(sites.size()),
                       static_cast<std::size_t>(most), static_cast<std::size_t>(lanes),
                       out.data() + sites.first * most);
}

void sample_normals(UnitRange units, const LaneStream& stream, std::uint32_t first_site, float* out) {
  const std::uint32_t site = first_site + static_cast<std::uint32_t>(units.first);
  simd::normals(philox_at(stream, kNormalDraws | site / 4), static_cast<std::size_t>(units.size()), out);
}

void mean_units(const LaneMatrix& input, UnitRange units, const LaneFloats& beta, Index lanes,
                LaneMatrix& mean) {
  simd::mean(input.data() + units.first * kLanes, beta.data(), static_cast<std::size_t>(units.size()),
             static_cast<std::size_t>(lanes), mean.data() + units.first * kLanes);
}

void add_softplus(const LaneMatrix& input, const LaneFloats& beta, Index lanes, LaneDoubles& out) {
  simd::add_softplus(input.data(), beta.data(), static_cast<std::size_t>(input.rows()),
                     static_cast<std::size_t>(lanes), out.data());
}

}  // namespace tempera
