// Which sites of a machine of letters interact: effective pairwise couplings, and what they say of contacts.
//
// Hidden units make sites interact. The strength of a pair is the Frobenius norm of its couplings over the
// letters but the gap, and its score the norm less what both sites have with all others (average product
// correction: Dunn, Wahl & Gloor 2008). Pairs with large scores are often in contact.
//
// Formulas: docs/mathematics/energies.md 1.10.
#pragma once

#include <array>
#include <filesystem>
#include <optional>
#include <vector>

#include "tempera/core/option.hpp"
#include "tempera/core/reading.hpp"
#include "tempera/models/pair_couplings.hpp"
#include "tempera/services/facts.hpp"
#include "tempera/services/model_io.hpp"

namespace tempera {

enum class CouplingForm { kData, kExact };
template <>
struct Names<CouplingForm> {
  static constexpr std::array<NamedValue<CouplingForm>, 2> table = {
      {{CouplingForm::kData, "data", "to second order about the data: Var(h | v) w w', averaged over cases"},
       {CouplingForm::kExact, "exact",
        "letters of all other sites equally likely, without data; has fields"}}};
};

struct CouplingOptions {
  CouplingForm form = CouplingForm::kData;
  DataSource data;
  std::string split = "train";
  ColumnOptions columns;
  std::int64_t min_separation = 5;
  DataSource contacts;
  std::optional<double> contact_distance;
  std::filesystem::path run;  // directory of the run that the model is of; empty where it is a file alone

  template <class F, class... S>
  static void visit(F&& f, S&&... s) {
    f(OptionText{"form", "which couplings", true}, s.form...);
    f(OptionText{"data",
                 "sequences whose hidden units --form data averages over; a run directory knows its own"},
      s.data...);
    f(OptionText{"split", "train, valid or test"}, s.split...);
    ColumnOptions::visit(f, s.columns...);
    f(OptionText{"min-separation", "sites that are nearer than so many along the sequence are no pair"},
      s.min_separation...);
    f(OptionText{"contacts",
                 "matrix of sites x sites, FILE or FILE:NAME: 1 where they are in contact, or distances"},
      s.contacts...);
    f(OptionText{"contact-distance", "distance below which sites are in contact, in the units of --contacts",
                 false, "none"},
      s.contact_distance...);
  }
};

struct CoupledPair {
  std::int64_t first = 0;  // sites from 1
  std::int64_t second = 0;
  double score = 0.0;  // corrected norm
  double norm = 0.0;
  bool contact = false;  // where contacts are known
};

struct CouplingResult {
  std::optional<PairCouplings> couplings;
  bool has_fields = false;
  Alphabet alphabet;
  std::vector<CoupledPair> pairs;  // by falling score
  std::int64_t sites = 0;
  bool contacts_known = false;
  std::int64_t contacts = 0;  // among the pairs

  /// Part of the first n pairs that are in contact.
  [[nodiscard]] double precision(std::size_t n) const;
};

/// Throws UsageError for machines without letters, DataError where contacts do not fit, Interrupted. Cost of
/// the exact form, for each hidden unit and pair of sites, n_letters^2 times some 50; of the other a product
/// for each case, and n_letters^2.
CouplingResult rank_couplings(const AnyModelFile& model, const CouplingOptions& options,
                              const Executor& executor, Listener& listener);

Facts facts(const CouplingResult& result);
std::string words(const CouplingResult& result);
/// Lines of "first,second,score,norm" and "contact" after a header.
std::string csv_of(const CouplingResult& result);
/// Couplings as (n_sites, n_sites, n_letters, n_letters), J_ki the transpose of J_ik, and fields as (n_sites,
/// n_letters); 0 where a site has no such letter.
std::vector<float> coupling_array(const PairCouplings& couplings);
std::vector<float> field_array(const PairCouplings& couplings);

/// .csv, .npz: the ranked pairs. .h5: /couplings and of the exact form /fields, float32, as well. Throws
/// WriteError.
void write_couplings(const CouplingResult& result, const std::filesystem::path& path);

}  // namespace tempera
