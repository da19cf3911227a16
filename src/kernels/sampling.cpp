#include "tempera/kernels/sampling.hpp"

namespace tempera {
namespace {

using LaneArray = Eigen::Array<float, 1, kLanes>;

}  // namespace

void draw_quad(const LaneStream& stream, std::uint32_t quad, QuadDraws& out) {
  // Philox 4x32-10 with the 64 chains side by side; equal to Random123 word for word (tested).
  constexpr std::uint32_t kMultiplier0 = 0xD2511F53U;
  constexpr std::uint32_t kMultiplier1 = 0xCD9E8D57U;
  constexpr std::uint32_t kWeyl0 = 0x9E3779B9U;
  constexpr std::uint32_t kWeyl1 = 0xBB67AE85U;
  const auto counter = stream.counter(quad, 0);
  for (std::uint32_t c = 0; c < kLanes; ++c) {
    out[0][c] = counter[0];
    out[1][c] = counter[1] + c;
    out[2][c] = counter[2];
    out[3][c] = counter[3];
  }
  auto key0 = stream.key()[0];
  auto key1 = stream.key()[1];
  for (int round = 0; round < 10; ++round) {
    for (std::size_t c = 0; c < kLanes; ++c) {
      const std::uint64_t product0 = std::uint64_t{kMultiplier0} * out[0][c];
      const std::uint64_t product1 = std::uint64_t{kMultiplier1} * out[2][c];
      out[0][c] = static_cast<std::uint32_t>(product1 >> 32) ^ out[1][c] ^ key0;
      out[2][c] = static_cast<std::uint32_t>(product0 >> 32) ^ out[3][c] ^ key1;
      out[1][c] = static_cast<std::uint32_t>(product1);
      out[3][c] = static_cast<std::uint32_t>(product0);
    }
    key0 += kWeyl0;
    key1 += kWeyl1;
  }
}

void sample_units(const LaneMatrix& input, const LaneFloats& beta, std::span<const float> reference,
                  const LaneStream& stream, std::uint32_t first_site, BitLayer& out) {
  const Eigen::Map<const LaneArray> lane_beta(beta.data());
  out.resize(static_cast<std::size_t>(input.rows()));
  QuadDraws draws;
  for (Index i = 0; i < input.rows(); ++i) {
    const auto k = static_cast<std::size_t>(i % 4);
    if (k == 0) draw_quad(stream, first_site / 4 + static_cast<std::uint32_t>(i / 4), draws);
    LaneArray logit = lane_beta * input.row(i).array();
    if (!reference.empty()) logit += (1.0F - lane_beta) * reference[static_cast<std::size_t>(i)];
    const LaneArray probability = logit.logistic();
    Word bits = 0;
    for (std::size_t c = 0; c < kLanes; ++c) {
      const float u = (static_cast<float>(draws[k][c] >> 8) + 0.5F) * 0x1p-24F;
      bits |= Word{u < probability[static_cast<Index>(c)]} << c;
    }
    out[static_cast<std::size_t>(i)] = bits;
  }
}

void mean_units(const LaneMatrix& input, const LaneFloats& beta, LaneMatrix& mean) {
  const Eigen::Map<const LaneArray> lane_beta(beta.data());
  mean.resize(input.rows(), kLanes);
  for (Index i = 0; i < input.rows(); ++i)
    mean.row(i).array() = (lane_beta * input.row(i).array()).logistic();
}

void add_softplus(const LaneMatrix& input, const LaneFloats& beta, LaneDoubles& out) {
  const Eigen::Map<const LaneArray> lane_beta(beta.data());
  Eigen::Map<Eigen::Array<double, 1, kLanes>> sum(out.data());
  for (Index i = 0; i < input.rows(); ++i) {
    const LaneArray x = lane_beta * input.row(i).array();
    const LaneArray value = x.max(0.0F) + (-x.abs()).exp().log1p();
    sum += value.cast<double>();
  }
}

}  // namespace tempera
