// What the kernels are compared with: Eigen's matrix product and the peak of the multiply-add units, each
// compiled for the instruction set that the kernels use, and the memory.
#pragma once

#include <memory>
#include <string>

namespace tempera::apps {

class Yardstick {
 public:
  /// C = A B of float matrices, random A (m x k) and B (k x n), row-major; `transposed` takes A as the
  /// transpose of a stored k x m matrix.
  class Product {
   public:
    virtual ~Product() = default;
    virtual void run() = 0;
  };

  virtual ~Yardstick() = default;
  [[nodiscard]] virtual std::unique_ptr<Product> product(long m, long k, long n, bool transposed) const = 0;
  /// Multiply-adds from registers for a while; returns floating-point operations per second.
  [[nodiscard]] virtual double multiply_add_rate() const = 0;
};

/// For an instruction set of kernels/dispatch.hpp.
const Yardstick& yardstick_for(const std::string& instruction_set);

/// Bytes per second of memcpy between two buffers of 128 MiB, read and written bytes counted.
double copy_rate();

}  // namespace tempera::apps
