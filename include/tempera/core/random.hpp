// Counter-based randomness: a draw is a pure function of (seed, purpose, step, chain, site).
//
// The generator is Philox 4x32-10 (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3"),
// as defined by Random123. Its key is the seed; its counter holds
//
//   word 0: site / 4        word 1: chain
//   word 2: step, low 32    word 3: purpose << 24 | step, bits 32 to 55
//
// and the draw of a site is output word (site mod 4). A Bernoulli unit takes 16 bits at first, so that eight
// units share a counter: unit k has half (k mod 2) of word (k mod 8) / 2 of counter word 0 = k / 8; where
// these leave the unit open, 32 more bits come from site k of the counters with the top bit of word 0 set. A
// letter of site k takes word (k mod 4) of counter word 0 = k / 4. A
// normal deviate of site k takes its words from counters with the next bit of word 0 set (kNormalDraws). No
// generator has state, so a checkpoint holds none, and no result depends on which thread drew what. This
// layout and the purpose numbers are file format.
//
// Formulas: docs/mathematics/randomness.md 6.1 and 6.2.
#pragma once

#include <Random123/philox.h>

#include <cstdint>

namespace tempera {

/// What a draw is for. Append only: the numbers are part of the meaning of a seed.
enum class Purpose : std::uint8_t {
  kParameters = 0,      // initial weights
  kShuffle = 1,         // order of the cases in an epoch (step = epoch)
  kChains = 2,          // persistent chains (step = sweep)
  kPositiveChains = 3,  // chains started at the data (step = update)
  kAnnealing = 4,       // annealed importance sampling
  kSampling = 5,        // `tempera sample`
  kDataSet = 6,         // synthetic data sets
  kBinarize = 7,        // random binarisation of grey data
  kValidation = 8,      // likelihood estimates during training
  kSwaps = 9,           // swaps of rungs in training (step = round, chain = ensemble x 1024 + rung)
  kExchange = 10,       // plain chains that change places with an ensemble's coldest (step = round), or with
                        // draws of a reservoir (step = update)
  kSamplingSwaps = 11,  // swaps of rungs in `tempera sample`
  kJump = 12,           // proposed latents (step = sweep)
  kJumpChoice = 13,     // component and decision of a jump (step = sweep)
  kJumpStep = 14,       // whether there are jumps (step = sweep)
  kSnapshots = 15,      // replicas of snapshots (step = 2^55 + round x 1024 + snapshot)
  kReservoir = 16,      // latents of what chains are offered of the reservoir (step = sweep)
  kClusters = 17,       // clusters of the data
  kReverseAnnealing = 18,  // annealing from the model down to beta = 0
  kRaise = 19,             // annealing from test cases down to beta = 0
  kPilot = 20,             // pilot run that chooses betas
  kTracking = 21,          // chains of the log Z tracker (step = sweep)
  kTrackingSwaps = 22,     // swaps of their rungs
  kResampling = 23,        // particles of the tracker that are drawn anew (step = sweep)
  kMetricChains = 24,      // persistent chains of the metric (step = sweep)
  kDataNoise = 25,         // noise added to cases in training (step = update), and to grey levels of data
                           // sets (step = 2^55 + split)
  kModeSearch = 26,        // where ascents begin (step = update, chain = start)
  kReportedCases = 27,     // which cases of a large split the reports are about
  kModeAnnealing = 28,     // annealing from around modes (step 0: components; step 1: chains)
  kTrackingJump = 29,      // jumps of the tracker's chains, as kJump, kJumpChoice and kJumpStep
  kTrackingJumpChoice = 30,
  kTrackingJumpStep = 31,
  kHoldout = 32,  // training cases that become a valid split
};

/// Bit of counter word 0 that is set where draws are normal deviates.
inline constexpr std::uint32_t kNormalDraws = 0x40000000U;

/// Bit of counter word 0 that is set where a Bernoulli unit takes more than its first 16 bits.
inline constexpr std::uint32_t kTieDraws = 0x80000000U;

/// A run of draws of one chain at one step, as a uniform random bit generator for Boost.Random.
class StreamEngine {
 public:
  using result_type = std::uint32_t;
  static constexpr result_type min() { return 0; }
  static constexpr result_type max() { return 0xffffffffU; }

  StreamEngine(r123::Philox4x32::key_type key, r123::Philox4x32::ctr_type counter)
      : key_(key), counter_(counter) {}

  result_type operator()() {
    if (used_ == 4) {
      words_ = r123::Philox4x32()(counter_, key_);
      ++counter_[0];
      used_ = 0;
    }
    return words_[used_++];
  }

 private:
  r123::Philox4x32::key_type key_;
  r123::Philox4x32::ctr_type counter_;
  r123::Philox4x32::ctr_type words_{};
  unsigned used_ = 4;
};

/// A uniform in [0, 1) with 53 bits.
inline double uniform_53(StreamEngine& random) {
  const std::uint64_t high = random() >> 5;
  const std::uint64_t low = random() >> 6;
  return static_cast<double>(high << 26 | low) * 0x1p-53;
}

/// The draws of one purpose at one step, for consecutive chains starting at `first_chain`: what a kernel
/// needs for a block, or for a panel of blocks.
struct LaneStream {
  std::uint64_t seed = 0;
  Purpose purpose = Purpose::kChains;
  std::uint64_t step = 0;  // below 2^56
  std::uint32_t first_chain = 0;

  [[nodiscard]] r123::Philox4x32::key_type key() const {
    return {{static_cast<std::uint32_t>(seed), static_cast<std::uint32_t>(seed >> 32)}};
  }
  /// Counter of the four draws that begin at site 4 * quad of chain first_chain + lane.
  [[nodiscard]] r123::Philox4x32::ctr_type counter(std::uint32_t quad, std::uint32_t lane) const {
    return {{quad, first_chain + lane, static_cast<std::uint32_t>(step),
             static_cast<std::uint32_t>(purpose) << 24 | static_cast<std::uint32_t>(step >> 32)}};
  }
  /// The draws of the block that is `b` blocks further.
  [[nodiscard]] LaneStream block(std::int64_t b) const {
    LaneStream stream = *this;
    stream.first_chain += static_cast<std::uint32_t>(b * 64);
    return stream;
  }
  /// All draws of chain first_chain + lane, in order of the sites from 0.
  [[nodiscard]] StreamEngine engine(std::uint32_t lane = 0) const { return {key(), counter(0, lane)}; }
};

/// Gives out the streams of one seed.
struct StreamFactory {
  std::uint64_t seed = 0;

  [[nodiscard]] LaneStream lanes(Purpose purpose, std::uint64_t step, std::uint32_t first_chain = 0) const {
    return {seed, purpose, step, first_chain};
  }
  [[nodiscard]] StreamEngine engine(Purpose purpose, std::uint64_t step, std::uint32_t chain = 0) const {
    return lanes(purpose, step, chain).engine();
  }
};

}  // namespace tempera
