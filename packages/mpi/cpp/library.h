// An MPI library, whatever its handles are, with the few operations that ranks need. All but start,
// finish and abort return at once; what they began is asked for by Pending.
#pragma once
#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>

namespace peft {

/** What MPI, or the loader of its library, says. */
struct MpiError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

enum class Kind { barrier, broadcast, allReduce, allGather, reduceScatter, send, receive };
enum class Numbers { float32, float64, int32, uint8 };
enum class Reduction { sum, max, min };

/** An operation on memory that stays where it is until it has ended. */
struct Operation {
  Kind kind;
  Numbers numbers = Numbers::uint8;
  Reduction reduction = Reduction::sum;
  /** Read; written too by broadcast, allReduce and receive. */
  void* values = nullptr;
  /** Written by allGather and reduceScatter. */
  void* result = nullptr;
  /** Elements of `values`; of one rank's part where ranks have parts. */
  int count = 0;
  /** Root of a broadcast, the other side of a message. */
  int peer = 0;
  /** Of a message. */
  int tag = 0;
};

/** An operation under way. */
class Pending {
 public:
  virtual ~Pending() = default;
  /** Whether it has ended; MpiError when it failed. */
  virtual bool isDone() = 0;
};

struct Ranks {
  int rank = 0;
  int size = 1;
  int localRank = 0;
  int localSize = 1;
};

class Library {
 public:
  virtual ~Library() = default;
  /** MPI_Init_thread; every later call must come from the same thread. */
  virtual Ranks start() = 0;
  virtual std::unique_ptr<Pending> begin(const Operation& operation) = 0;
  virtual void finish() = 0;
  virtual void abort(int exitCode) = 0;
};

/** A library that was loaded, and what it calls itself. */
struct Loaded {
  std::unique_ptr<Library> library;
  std::string version;
};

/**
 * Loads a library by its path or name. MpiError when there is none, or when it is of another kind
 * than Open MPI and MPICH with its kin (Intel MPI, MVAPICH, Cray).
 */
Loaded load(const std::string& path);

}  // namespace peft
