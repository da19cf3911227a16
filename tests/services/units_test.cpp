// Machines of standardised values against the same machines in the data's units, by enumeration.
#include "tempera/services/units.hpp"

#include <gtest/gtest.h>

#include "../models/slab_specimens.hpp"
#include "tempera/services/cases.hpp"

namespace tempera {
namespace {

constexpr std::uint64_t kSeed = 5;

template <class M>
Standardisation some_units(Index n) {
  Standardisation units{Eigen::VectorXd::Zero(n), Eigen::VectorXd::Zero(n)};
  for (Index d = 0; d < n; ++d) {
    if (Specimen<M>::model().unit_freedom() == UnitFreedom::kAffine)
      units.centre[d] = 3.0 - 2.0 * static_cast<double>(d);
    units.scale[d] = std::pow(1.7, static_cast<double>(d) - 1.0);
  }
  return units;
}

/// Rows of a standard machine's values; some exactly 0 where these have a probability of their own.
template <class M>
Matrix some_rows(Index n) {
  Matrix rows(6, n);
  for (Index i = 0; i < rows.rows(); ++i) {
    for (Index d = 0; d < n; ++d)
      rows(i, d) = M::kExactZeros && (i + d) % 3 == 0
                       ? 0.0F
                       : 0.4F * static_cast<float>(i) - 0.3F * static_cast<float>(d);
  }
  return rows;
}

template <class M>
class Units : public ::testing::Test {};
using RealMachines = ::testing::Types<GaussianRbm, SpikeSlabRbm, SparseSpikeSlabRbm, BilinearSpikeSlabRbm>;
TYPED_TEST_SUITE(Units, RealMachines);

TYPED_TEST(Units, LikelihoodsInTheDatasUnitsAreThoseOfTheRawMachine) {
  using M = TypeParam;
  const M model = Specimen<M>::model();
  const typename M::Params theta = Specimen<M>::params(0.7, kSeed);
  const Standardisation units = some_units<M>(model.n_visible());
  // The machine of the data's units, as a file would hold it.
  DoubleFields fields = doubles_of(theta);
  M::change_units(units.inverse(), fields);
  typename M::Params raw = theta;
  set_fields(fields, raw);

  const Executor executor(1);
  const Engine<M> engine{model, {kSeed}, executor};
  const Matrix u = some_rows<M>(model.n_visible());
  const Matrix v = units.raw(u);
  const std::vector<double> of_u = free_energies(engine, theta, standardised<M>(v, units));
  const std::vector<double> of_v = free_energies(engine, raw, typename M::Data(v));
  const double shift = log_partition_shift<M>(theta, units);
  EXPECT_NEAR(exact_log_partition(engine, raw, {}).value,
              exact_log_partition(engine, theta, {}).value + shift, 1e-4);
  for (std::size_t n = 0; n < of_u.size(); ++n) EXPECT_NEAR(of_v[n], of_u[n] - shift, 1e-4) << n;
  // Planted: no Jacobian.
  const std::vector<double> without = free_energies(engine, theta, typename M::Data(units.standardised(v)));
  double largest = 0.0;
  for (std::size_t n = 0; n < of_u.size(); ++n) largest = std::max(largest, std::abs(without[n] - of_u[n]));
  EXPECT_GT(largest, 0.1);
}

TYPED_TEST(Units, ParametersComeBackFromFiles) {
  using M = TypeParam;
  const typename M::Params theta = Specimen<M>::params(0.7, kSeed);
  const Standardisation units = some_units<M>(Specimen<M>::model().n_visible());
  DoubleFields fields = doubles_of(theta);
  const double there = M::change_units(units.inverse(), fields);
  const double back = M::change_units(units, fields);
  typename M::Params again = theta;
  set_fields(fields, again);
  EXPECT_TRUE(equal_fields(again, theta));
  EXPECT_NEAR(there + back, 0.0, 1e-9);
}

TEST(FittedUnits, ScalesByPowersOfTwoGiveTheSameBytes) {
  const Matrix rows = some_rows<GaussianRbm>(4);
  for (const UnitFreedom freedom : {UnitFreedom::kScale, UnitFreedom::kAffine}) {
    const Matrix here = fit_standardisation(rows, freedom, false).standardised(rows);
    const Matrix there = fit_standardisation(rows * 1024.0F, freedom, false).standardised(rows * 1024.0F);
    EXPECT_EQ(here, there);
    EXPECT_NE(here, fit_standardisation(rows, freedom, true).standardised(rows)) << "planted: zeros left out";
  }
  EXPECT_TRUE(fit_standardisation(rows, UnitFreedom::kNone, false).empty());
}

TEST(FittedUnits, AColumnThatDoesNotVaryHasTheMedianScale) {
  Matrix rows = some_rows<GaussianRbm>(4);
  rows.col(0).setConstant(7.0F);
  rows.col(1) *= 1e6F;
  const Standardisation units = fit_standardisation(rows, UnitFreedom::kAffine, false);
  EXPECT_EQ(units.scale[0], units.scale[2]);
  EXPECT_EQ(units.centre[0], 7.0);
  EXPECT_GT(units.scale[1], 1e5);
}

}  // namespace
}  // namespace tempera
