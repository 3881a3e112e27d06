#include "library.h"

#include <dlfcn.h>
#include <stdlib.h>

#include <type_traits>

namespace peft {
namespace {

constexpr int kFunneled = 1;        // MPI_THREAD_FUNNELED of both
constexpr int kLongestText = 8192;  // MPI_MAX_LIBRARY_VERSION_STRING of MPICH; Open MPI's is less
constexpr int kStatusBytes = 64;    // more than the MPI_Status of either

void* symbol(void* library, const char* name) {
  void* found = dlsym(library, name);
  if (!found) throw MpiError(std::string("it has no ") + name);
  return found;
}

template <class Function>
void bind(void* library, const char* name, Function*& function) {
  function = reinterpret_cast<Function*>(symbol(library, name));
}

/** The values that mpi.h names, which are an ABI's own. */
template <class Handle>
struct Constants {
  Handle world;
  Handle errorsReturn;
  Handle noInfo;
  Handle numbers[4];     // in the order of Numbers
  Handle reductions[3];  // in the order of Reduction
  void* inPlace;
  int sharedType;  // MPI_COMM_TYPE_SHARED
};

/** Open MPI: handles are addresses of its variables. */
Constants<void*> openMpi(void* library) {
  return {
      symbol(library, "ompi_mpi_comm_world"),
      symbol(library, "ompi_mpi_errors_return"),
      symbol(library, "ompi_mpi_info_null"),
      {symbol(library, "ompi_mpi_float"), symbol(library, "ompi_mpi_double"),
       symbol(library, "ompi_mpi_int32_t"), symbol(library, "ompi_mpi_uint8_t")},
      {symbol(library, "ompi_mpi_op_sum"), symbol(library, "ompi_mpi_op_max"),
       symbol(library, "ompi_mpi_op_min")},
      reinterpret_cast<void*>(1),
      0,
  };
}

/** The ABI that MPICH and its kin share: handles are numbers. */
Constants<int> mpich() {
  return {
      0x44000000,
      0x54000001,
      0x1c000000,
      {0x4c00040a, 0x4c00080b, 0x4c000439, 0x4c00013b},
      {0x58000003, 0x58000001, 0x58000002},
      reinterpret_cast<void*>(-1),
      1,
  };
}

/** The functions of a library, as its mpi.h declares them with its kind of handle. */
template <class Handle>
struct Functions {
  int (*initialize)(int*, char***, int, int*);
  int (*setErrorHandler)(Handle, Handle);
  int (*rank)(Handle, int*);
  int (*size)(Handle, int*);
  int (*splitByType)(Handle, int, int, Handle, Handle*);
  int (*barrier)(Handle, Handle*);
  int (*broadcast)(void*, int, Handle, int, Handle, Handle*);
  int (*allReduce)(const void*, void*, int, Handle, Handle, Handle, Handle*);
  int (*allGather)(const void*, int, Handle, void*, int, Handle, Handle, Handle*);
  int (*reduceScatter)(const void*, void*, int, Handle, Handle, Handle, Handle*);
  int (*send)(const void*, int, Handle, int, int, Handle, Handle*);
  int (*receive)(void*, int, Handle, int, int, Handle, Handle*);
  int (*test)(Handle*, int*, void*);
  int (*count)(const void*, Handle, int*);
  int (*errorText)(int, char*, int*);
  int (*finalize)();
  int (*abort)(Handle, int);

  explicit Functions(void* library) {
    bind(library, "MPI_Init_thread", initialize);
    bind(library, "MPI_Comm_set_errhandler", setErrorHandler);
    bind(library, "MPI_Comm_rank", rank);
    bind(library, "MPI_Comm_size", size);
    bind(library, "MPI_Comm_split_type", splitByType);
    bind(library, "MPI_Ibarrier", barrier);
    bind(library, "MPI_Ibcast", broadcast);
    bind(library, "MPI_Iallreduce", allReduce);
    bind(library, "MPI_Iallgather", allGather);
    bind(library, "MPI_Ireduce_scatter_block", reduceScatter);
    bind(library, "MPI_Isend", send);
    bind(library, "MPI_Irecv", receive);
    bind(library, "MPI_Test", test);
    bind(library, "MPI_Get_count", count);
    bind(library, "MPI_Error_string", errorText);
    bind(library, "MPI_Finalize", finalize);
    bind(library, "MPI_Abort", abort);
  }
};

template <class Handle>
class LibraryOf : public Library {
 public:
  LibraryOf(void* library, Constants<Handle> constants) : call_(library), constants_(constants) {}

  Ranks start() override {
    int provided = 0;
    check(call_.initialize(nullptr, nullptr, kFunneled, &provided));
    if (provided < kFunneled) throw MpiError("it cannot run beside other threads");
    check(call_.setErrorHandler(constants_.world, constants_.errorsReturn));
    Ranks ranks;
    check(call_.rank(constants_.world, &ranks.rank));
    check(call_.size(constants_.world, &ranks.size));
    Handle machine;
    check(call_.splitByType(constants_.world, constants_.sharedType, ranks.rank, constants_.noInfo,
                            &machine));
    check(call_.rank(machine, &ranks.localRank));
    check(call_.size(machine, &ranks.localSize));
    return ranks;
  }

  std::unique_ptr<Pending> begin(const Operation& operation) override {
    auto pending = std::make_unique<Request>(*this, operation);
    check(begin(operation, &pending->handle));
    return pending;
  }

  void finish() override { check(call_.finalize()); }
  void abort(int exitCode) override { call_.abort(constants_.world, exitCode); }

 private:
  struct Request : Pending {
    Request(LibraryOf& owner, const Operation& begun) : library(owner), operation(begun) {}
    bool isDone() override { return library.isDone(*this); }
    LibraryOf& library;
    Operation operation;
    Handle handle;
  };

  Handle numbersOf(const Operation& operation) const {
    return constants_.numbers[static_cast<int>(operation.numbers)];
  }

  int begin(const Operation& o, Handle* request) {
    const Handle world = constants_.world, numbers = numbersOf(o);
    const Handle reduction = constants_.reductions[static_cast<int>(o.reduction)];
    switch (o.kind) {
      case Kind::barrier:
        return call_.barrier(world, request);
      case Kind::broadcast:
        return call_.broadcast(o.values, o.count, numbers, o.peer, world, request);
      case Kind::allReduce:
        return call_.allReduce(constants_.inPlace, o.values, o.count, numbers, reduction, world,
                               request);
      case Kind::allGather:
        return call_.allGather(o.values, o.count, numbers, o.result, o.count, numbers, world,
                               request);
      case Kind::reduceScatter:
        return call_.reduceScatter(o.values, o.result, o.count, numbers, reduction, world, request);
      case Kind::send:
        return call_.send(o.values, o.count, numbers, o.peer, o.tag, world, request);
      case Kind::receive:
        return call_.receive(o.values, o.count, numbers, o.peer, o.tag, world, request);
    }
    throw MpiError("there is no such operation");
  }

  bool isDone(Request& request) {
    alignas(16) char status[kStatusBytes];
    int done = 0;
    check(call_.test(&request.handle, &done, status));
    const Operation& operation = request.operation;
    if (!done || operation.kind != Kind::receive) return done != 0;
    int count = 0;
    check(call_.count(status, numbersOf(operation), &count));
    if (count != operation.count)
      throw MpiError("rank " + std::to_string(operation.peer) + " sent " + std::to_string(count) +
                     " numbers, " + std::to_string(operation.count) + " were expected");
    return true;
  }

  void check(int code) {
    if (code == 0) return;
    char text[kLongestText] = "";
    int length = 0;
    call_.errorText(code, text, &length);
    throw MpiError(length > 0 ? std::string(text, length) : "error " + std::to_string(code));
  }

  Functions<Handle> call_;
  Constants<Handle> constants_;
};

std::string versionOf(void* library) {
  int (*version)(char*, int*);
  bind(library, "MPI_Get_library_version", version);
  char text[kLongestText] = "";
  int length = 0;
  version(text, &length);
  std::string whole(text);
  return whole.substr(0, whole.find_first_of("\n,"));
}

bool isOfMpichKin(const std::string& version) {
  for (const char* name : {"MPICH", "Intel(R) MPI", "MVAPICH", "CRAY"})
    if (version.find(name) != std::string::npos) return true;
  return false;
}

}  // namespace

namespace {

/**
 * UCX, which MPICH may compute with, patches functions of memory while other threads run them, and
 * takes the signals that V8 needs for WebAssembly. What the user sets stays.
 */
void calmUcx() {
  setenv("UCX_MEM_EVENTS", "no", 0);
  setenv("UCX_HANDLE_ERRORS", "none", 0);
}

}  // namespace

Loaded load(const std::string& path) {
  calmUcx();
  // plugins of Open MPI look for its symbols among all
  void* library = dlopen(path.c_str(), RTLD_NOW | RTLD_GLOBAL);
  if (!library) throw MpiError(dlerror());
  const std::string version = versionOf(library);
  if (dlsym(library, "ompi_mpi_comm_world"))
    return {std::make_unique<LibraryOf<void*>>(library, openMpi(library)), version};
  if (isOfMpichKin(version)) return {std::make_unique<LibraryOf<int>>(library, mpich()), version};
  throw MpiError(path + " is " + version + ", neither Open MPI nor one with MPICH's ABI");
}

}  // namespace peft
