#include "../core/aligned.h"
#include "../core/dispatch.h"
#include "../core/thread-pool.h"
#include "exports.h"

namespace peft {
namespace {

#if defined(__SANITIZE_ADDRESS__)
constexpr bool kSanitized = true;
#else
constexpr bool kSanitized = false;
#endif

napi_value info(const Arguments& a) {
  napi_env env = a.env();
  napi_value result, sets;
  napi_create_object(env, &result);
  napi_create_array(env, &sets);
  uint32_t index = 0;
  for (const std::string& name : instructionSets()) napi_set_element(env, sets, index++, jsText(env, name));
  napi_set_named_property(env, result, "instructionSet", jsText(env, instructionSet()));
  napi_set_named_property(env, result, "instructionSets", sets);
  napi_set_named_property(env, result, "bf16", jsBoolean(env, kernels().hasBf16));
  napi_set_named_property(env, result, "threads", jsNumber(env, threadCount()));
  napi_set_named_property(env, result, "sanitized", jsBoolean(env, kSanitized));
  return result;
}

napi_value setInstructions(const Arguments& a) {
  const std::string name = a.text(0, "name");
  if (!setInstructionSet(name)) a.fail("this processor has no instruction set \"" + name + "\"");
  return nullptr;
}

napi_value setThreads(const Arguments& a) {
  setThreadCount(static_cast<int>(a.size(0, "count", 0, 256)));
  return nullptr;
}

napi_value allocate(const Arguments& a) {
  const int64_t bytes = a.size(0, "byteLength", 0, int64_t{1} << 33);
  void* memory = alignedAllocate(static_cast<size_t>(bytes));
  napi_value buffer;
  auto release = [](napi_env, void* data, void*) { alignedFree(data); };
  if (napi_create_external_arraybuffer(a.env(), memory, static_cast<size_t>(bytes), release, nullptr, &buffer) != napi_ok) {
    alignedFree(memory);
    throw std::bad_alloc();
  }
  return buffer;
}

napi_value nothing(const Arguments& a) {
  a.floats(0, "x", 0);
  return nullptr;
}

}  // namespace

void exportMachine(Exports& exports) {
  exports.push_back({"info", call<info>});
  exports.push_back({"setInstructionSet", call<setInstructions>});
  exports.push_back({"setThreads", call<setThreads>});
  exports.push_back({"allocate", call<allocate>});
  exports.push_back({"nothing", call<nothing>});
}

}  // namespace peft
