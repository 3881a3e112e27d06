// The module that Node loads; packages/mpi/src/mpi-binding.ts describes its functions.
#include <node_api.h>

#include <climits>
#include <cstdlib>
#include <string>
#include <vector>

#include "mpi-thread.h"

namespace peft {
namespace {

/** Becomes a JavaScript Error. */
struct ArgumentError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

void require(napi_status status, const char* what) {
  if (status != napi_ok) throw ArgumentError(what);
}

/** A promise that another thread settles, and the memory that is in use until then. */
struct Call {
  napi_deferred deferred;
  std::vector<napi_ref> held;
  std::string problem;
  /** Of `start` alone. */
  bool isStart = false;
  MpiThread::Started started;
};

/** MPI is one in a process; so is this. It is never freed: its thread may outlive everything. */
struct State {
  MpiThread* thread = nullptr;
  napi_threadsafe_function settled = nullptr;
  size_t underWay = 0;
  /** Between a start and a finish. */
  bool isWithinJob = false;
};
State state;

napi_value number(napi_env env, double value) {
  napi_value made;
  napi_create_double(env, value, &made);
  return made;
}

napi_value text(napi_env env, const std::string& value) {
  napi_value made;
  napi_create_string_utf8(env, value.c_str(), value.size(), &made);
  return made;
}

napi_value describe(napi_env env, const MpiThread::Started& started) {
  napi_value object;
  napi_create_object(env, &object);
  const Ranks& ranks = started.ranks;
  napi_set_named_property(env, object, "rank", number(env, ranks.rank));
  napi_set_named_property(env, object, "size", number(env, ranks.size));
  napi_set_named_property(env, object, "localRank", number(env, ranks.localRank));
  napi_set_named_property(env, object, "localSize", number(env, ranks.localSize));
  napi_set_named_property(env, object, "version", text(env, started.version));
  return object;
}

/** A process that ends within a job ends all of it: the others would wait for ever. */
void abortAtExit() {
  if (state.isWithinJob) state.thread->abort(1);
}

/** On JavaScript's thread. */
void settle(napi_env env, napi_value, void*, void* data) {
  const std::unique_ptr<Call> call(static_cast<Call*>(data));
  if (!env) return;
  for (napi_ref held : call->held) napi_delete_reference(env, held);
  // what is under way keeps the process alive
  if (--state.underWay == 0) napi_unref_threadsafe_function(env, state.settled);
  if (!call->problem.empty()) {
    napi_value error;
    napi_create_error(env, nullptr, text(env, call->problem), &error);
    napi_reject_deferred(env, call->deferred, error);
    return;
  }
  napi_value result;
  if (call->isStart) {
    state.isWithinJob = true;
    // after MPI's own, so that it is called before them
    std::atexit(abortAtExit);
    result = describe(env, call->started);
  } else
    napi_get_undefined(env, &result);
  napi_resolve_deferred(env, call->deferred, result);
}

napi_value promiseFor(napi_env env, Call& call) {
  napi_value promise;
  require(napi_create_promise(env, &call.deferred, &promise), "no promise could be made");
  if (state.underWay++ == 0) napi_ref_threadsafe_function(env, state.settled);
  return promise;
}

void give(Call* call) {
  napi_call_threadsafe_function(state.settled, call, napi_tsfn_nonblocking);
}

/** What every MPI has at least. */
constexpr int kMostTag = 32767;

class Arguments {
 public:
  Arguments(napi_env env, napi_callback_info info) : env_(env) {
    size_t count = kMost;
    napi_get_cb_info(env, info, &count, values_, nullptr, nullptr);
  }

  int integer(size_t index, int least, int most) const {
    double value = 0;
    const bool isNumber = napi_get_value_double(env_, values_[index], &value) == napi_ok;
    if (!isNumber || value != static_cast<int>(value) || value < least || value > most)
      throw ArgumentError("argument " + std::to_string(index) + " must be an integer from " +
                          std::to_string(least) + " to " + std::to_string(most));
    return static_cast<int>(value);
  }

  std::string words(size_t index) const {
    char buffer[4096];
    size_t length = 0;
    require(napi_get_value_string_utf8(env_, values_[index], buffer, sizeof buffer, &length),
            "the library must be named by a text");
    return {buffer, length};
  }

  struct Memory {
    void* data;
    int count;
    Numbers numbers;
  };
  /** A typed array. */
  Memory memory(size_t index) const {
    napi_typedarray_type type;
    size_t length = 0;
    void* data = nullptr;
    bool isTyped = false;
    napi_is_typedarray(env_, values_[index], &isTyped);
    if (!isTyped) throw ArgumentError("a typed array is needed");
    napi_get_typedarray_info(env_, values_[index], &type, &length, &data, nullptr, nullptr);
    if (length > INT_MAX) throw ArgumentError("MPI takes at most 2147483647 numbers at once");
    return {data, static_cast<int>(length), numbersOf(type)};
  }
  /** Keeps the first `count` arguments until the call is settled. */
  void hold(size_t count, Call& call) const {
    for (size_t i = 0; i < count; ++i) {
      napi_ref held;
      require(napi_create_reference(env_, values_[i], 1, &held), "the array cannot be kept");
      call.held.push_back(held);
    }
  }

 private:
  static Numbers numbersOf(napi_typedarray_type type) {
    switch (type) {
      case napi_float32_array:
        return Numbers::float32;
      case napi_float64_array:
        return Numbers::float64;
      case napi_int32_array:
        return Numbers::int32;
      case napi_uint8_array:
        return Numbers::uint8;
      default:
        throw ArgumentError("numbers must be Float32, Float64, Int32 or Uint8");
    }
  }

  static constexpr size_t kMost = 3;
  napi_env env_;
  napi_value values_[kMost];
};

/** start(library): Promise<{ rank, size, localRank, localSize, version }> */
napi_value start(napi_env env, const Arguments& arguments) {
  const std::string path = arguments.words(0);
  if (!state.settled)
    require(napi_create_threadsafe_function(env, nullptr, nullptr, text(env, "MPI"), 0, 1, nullptr,
                                            nullptr, nullptr, settle, &state.settled),
            "the thread of MPI cannot be heard");
  auto call = std::make_unique<Call>();
  call->isStart = true;
  napi_value promise = promiseFor(env, *call);
  state.thread = new MpiThread(
      path, [made = call.release()](const MpiThread::Started& started, const std::string& problem) {
        made->started = started;
        made->problem = problem;
        give(made);
      });
  return promise;
}

/** Hands an operation to the thread. */
napi_value submit(napi_env env, std::unique_ptr<Call> call, const Operation& operation) {
  if (!state.thread) throw ArgumentError("MPI has not been started");
  napi_value promise = promiseFor(env, *call);
  state.thread->submit(operation, [made = call.release()](const std::string& problem) {
    made->problem = problem;
    give(made);
  });
  return promise;
}

napi_value barrier(napi_env env, const Arguments&) {
  return submit(env, std::make_unique<Call>(), {Kind::barrier});
}

/** (values, root) of broadcast, (values, rank, tag) of send and receive. */
template <Kind kind>
napi_value withPeer(napi_env env, const Arguments& arguments) {
  const int peer = arguments.integer(1, 0, INT_MAX);
  const int tag = kind == Kind::broadcast ? 0 : arguments.integer(2, 0, kMostTag);
  const auto values = arguments.memory(0);
  auto call = std::make_unique<Call>();
  arguments.hold(1, *call);
  return submit(env, std::move(call),
                {.kind = kind,
                 .numbers = values.numbers,
                 .values = values.data,
                 .count = values.count,
                 .peer = peer,
                 .tag = tag});
}

Reduction reductionOf(const Arguments& arguments, size_t index) {
  return static_cast<Reduction>(arguments.integer(index, 0, 2));
}

/** allReduce(values, reduction) */
napi_value allReduce(napi_env env, const Arguments& arguments) {
  const Reduction reduction = reductionOf(arguments, 1);
  const auto values = arguments.memory(0);
  auto call = std::make_unique<Call>();
  arguments.hold(1, *call);
  return submit(env, std::move(call),
                {.kind = Kind::allReduce,
                 .numbers = values.numbers,
                 .reduction = reduction,
                 .values = values.data,
                 .count = values.count});
}

/** allGather(own, all) */
napi_value allGather(napi_env env, const Arguments& arguments) {
  const auto own = arguments.memory(0), all = arguments.memory(1);
  auto call = std::make_unique<Call>();
  arguments.hold(2, *call);
  return submit(env, std::move(call),
                {.kind = Kind::allGather,
                 .numbers = own.numbers,
                 .values = own.data,
                 .result = all.data,
                 .count = own.count});
}

/** reduceScatter(values, own, reduction) */
napi_value reduceScatter(napi_env env, const Arguments& arguments) {
  const Reduction reduction = reductionOf(arguments, 2);
  const auto values = arguments.memory(0), own = arguments.memory(1);
  auto call = std::make_unique<Call>();
  arguments.hold(2, *call);
  return submit(env, std::move(call),
                {.kind = Kind::reduceScatter,
                 .numbers = own.numbers,
                 .reduction = reduction,
                 .values = values.data,
                 .result = own.data,
                 .count = own.count});
}

/** finish(): Promise<void> */
napi_value finish(napi_env env, const Arguments&) {
  if (!state.thread) throw ArgumentError("MPI has not been started");
  auto call = std::make_unique<Call>();
  napi_value promise = promiseFor(env, *call);
  state.isWithinJob = false;
  state.thread->finish([made = call.release()](const std::string& problem) {
    made->problem = problem;
    give(made);
  });
  return promise;
}

/** abort(exitCode): never */
napi_value abortAll(napi_env, const Arguments& arguments) {
  const int exitCode = arguments.integer(0, 0, 255);
  if (!state.thread) throw ArgumentError("MPI has not been started");
  state.thread->abort(exitCode);
}

using Function = napi_value (*)(napi_env, const Arguments&);

template <Function function>
napi_value call(napi_env env, napi_callback_info info) {
  try {
    return function(env, Arguments(env, info));
  } catch (const std::exception& error) {
    napi_throw_error(env, nullptr, error.what());
    return nullptr;
  }
}

void add(napi_env env, napi_value exports, const char* name, napi_callback callback) {
  napi_value function;
  napi_create_function(env, name, NAPI_AUTO_LENGTH, callback, nullptr, &function);
  napi_set_named_property(env, exports, name, function);
}

}  // namespace
}  // namespace peft

NAPI_MODULE_INIT() {
  using namespace peft;
  add(env, exports, "start", call<start>);
  add(env, exports, "barrier", call<barrier>);
  add(env, exports, "broadcast", call<withPeer<Kind::broadcast>>);
  add(env, exports, "allReduce", call<allReduce>);
  add(env, exports, "allGather", call<allGather>);
  add(env, exports, "reduceScatter", call<reduceScatter>);
  add(env, exports, "send", call<withPeer<Kind::send>>);
  add(env, exports, "receive", call<withPeer<Kind::receive>>);
  add(env, exports, "finish", call<finish>);
  add(env, exports, "abort", call<abortAll>);
  return exports;
}
