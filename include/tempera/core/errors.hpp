// Errors that reach a user, each with the exit code of the command line (see README, "Exit codes").
#pragma once

#include <stdexcept>
#include <string>
#include <vector>

namespace tempera {

enum class ExitCode : int {
  kDone = 0,
  kUsage = 64,
  kBadData = 65,
  kNoInput = 66,
  kInternal = 70,
  kCannotWrite = 74,
  kBadConfig = 78,
  kInterrupted = 130,
};

/// Base of everything thrown on purpose. The message names the file, the field, what was expected and
/// what was found; it is one line.
class Error : public std::runtime_error {
 public:
  Error(ExitCode code, const std::string& message) : std::runtime_error(message), code_(code) {}
  [[nodiscard]] ExitCode code() const { return code_; }

 private:
  ExitCode code_;
};

/// The command line asks for something that does not exist or fit together.
struct UsageError : Error {
  explicit UsageError(const std::string& m) : Error(ExitCode::kUsage, m) {}
};
/// A file is there but its contents are not what they must be.
struct DataError : Error {
  explicit DataError(const std::string& m) : Error(ExitCode::kBadData, m) {}
};
/// A file or a named data set does not exist.
struct NoInputError : Error {
  explicit NoInputError(const std::string& m) : Error(ExitCode::kNoInput, m) {}
};
/// A number stopped being finite, or an estimate contradicts itself.
struct NumericalError : Error {
  explicit NumericalError(const std::string& m) : Error(ExitCode::kInternal, m) {}
};
/// A file could not be written; whatever was there before is still there.
struct WriteError : Error {
  explicit WriteError(const std::string& m) : Error(ExitCode::kCannotWrite, m) {}
};

/// One constraint that a configuration breaks.
struct Violation {
  std::string field;
  std::string value;
  std::string constraint;
};

/// A configuration that cannot be run; holds every violation, not only the first.
class ConfigError : public Error {
 public:
  explicit ConfigError(std::vector<Violation> violations);
  [[nodiscard]] const std::vector<Violation>& violations() const { return violations_; }

 private:
  std::vector<Violation> violations_;
};

}  // namespace tempera
