#include "../core/pages.h"
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
  for (const std::string& name : instructionSets())
    napi_set_element(env, sets, index++, jsText(env, name));
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
  const size_t bytes = static_cast<size_t>(a.size(0, "byteLength", 0, int64_t{1} << 33));
  const size_t used = static_cast<size_t>(a.size(1, "usedBytes", 0, static_cast<int64_t>(bytes)));
  void* memory = bytes >= kPagesFrom ? allocatePages(bytes) : alignedAllocate(bytes);
  if (bytes >= kPagesFrom) preferLargePages(memory, used);
  auto release = [](napi_env, void* data, void* hint) {
    freeMemory(data, reinterpret_cast<size_t>(hint));
  };
  napi_value buffer;
  if (napi_create_external_arraybuffer(a.env(), memory, bytes, release,
                                       reinterpret_cast<void*>(bytes), &buffer) != napi_ok) {
    release(a.env(), memory, reinterpret_cast<void*>(bytes));
    throw std::bad_alloc();
  }
  return buffer;
}

napi_value discard(const Arguments& a) {
  void* memory = nullptr;
  size_t bytes = 0;
  bool isBuffer = false;
  napi_is_arraybuffer(a.env(), a.value(0), &isBuffer);
  if (!isBuffer) a.fail("buffer must be an ArrayBuffer of allocate");
  napi_get_arraybuffer_info(a.env(), a.value(0), &memory, &bytes);
  if (bytes >= kPagesFrom) discardPages(memory, bytes);
  return nullptr;
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
  exports.push_back({"discard", call<discard>});
  exports.push_back({"nothing", call<nothing>});
}

}  // namespace peft
