// The addon: `register(threads)` makes the operations known to TensorFlow, once per process.
#include <node_api.h>

#include <exception>
#include <mutex>

#include "parallel.h"
#include "tensorflow-kernels.h"

namespace {

std::once_flag registered;

napi_value registerKernels(napi_env env, napi_callback_info info) {
  size_t count = 1;
  napi_value argument = nullptr;
  int32_t threads = 0;
  if (napi_get_cb_info(env, info, &count, &argument, nullptr, nullptr) != napi_ok || count < 1 ||
      napi_get_value_int32(env, argument, &threads) != napi_ok || threads < 1 || threads > 1024) {
    napi_throw_type_error(env, nullptr, "register: threads must be a number from 1 to 1024");
    return nullptr;
  }
  try {
    std::call_once(registered, [threads] {
      peft::setThreads(threads);
      peft::defineActivations();
      peft::defineDistances();
      peft::defineNorms();
      peft::defineRows();
      peft::defineScores();
    });
  } catch (const std::exception& error) {
    napi_throw_error(env, nullptr, error.what());
  }
  return nullptr;
}

}  // namespace

NAPI_MODULE_INIT() {
  napi_value function = nullptr;
  if (napi_create_function(env, "register", NAPI_AUTO_LENGTH, registerKernels, nullptr,
                           &function) != napi_ok ||
      napi_set_named_property(env, exports, "register", function) != napi_ok)
    return nullptr;
  return exports;
}
