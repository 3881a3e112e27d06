// The module that Node loads: a table of functions. packages/engines/native/src/binding
// describes each.
#include "binding/exports.h"

#ifdef _WIN32
#ifndef NOMINMAX
#define NOMINMAX
#endif
#include <windows.h>
#else
#include <dlfcn.h>
#endif
#ifdef __GLIBC__
#include <malloc.h>
#endif

namespace peft {
namespace {

/** The pool's threads run code of this library, so it must stay loaded when the worker that loaded
 * it ends. */
void keepLoaded() {
#ifdef _WIN32
  HMODULE self;
  GetModuleHandleExW(GET_MODULE_HANDLE_EX_FLAG_PIN | GET_MODULE_HANDLE_EX_FLAG_FROM_ADDRESS,
                     reinterpret_cast<LPCWSTR>(&keepLoaded), &self);
#else
  Dl_info info;
  if (dladdr(reinterpret_cast<void*>(&keepLoaded), &info) && info.dli_fname)
    dlopen(info.dli_fname, RTLD_NOW | RTLD_NODELETE);
#endif
}

/**
 * Buffers from a megabyte on, JavaScript's too, come in pages of their own, which go back when they
 * are freed. Left alone glibc raises that limit up to 32 MB as soon as it frees one, and tensors
 * that pass through while a model loads leave holes in a heap that never shrinks.
 */
void giveLargeBuffersBack() {
#ifdef __GLIBC__
  mallopt(M_MMAP_THRESHOLD, 1 << 20);
#endif
}

napi_value initialize(napi_env env, napi_value exports) {
  keepLoaded();
  giveLargeBuffersBack();
  try {
    Exports functions;
    exportMachine(functions);
    exportWeights(functions);
    exportProducts(functions);
    exportNorms(functions);
    exportActivations(functions);
    exportAttention(functions);
    exportBlocks(functions);
    exportRows(functions);
    exportElementwise(functions);
    exportShapes(functions);
    exportOptimizer(functions);
    for (const Export& function : functions) {
      napi_value value;
      void* name = const_cast<char*>(function.name);
      if (napi_create_function(env, function.name, NAPI_AUTO_LENGTH, function.callback, name,
                               &value) != napi_ok)
        return nullptr;
      if (napi_set_named_property(env, exports, function.name, value) != napi_ok) return nullptr;
    }
  } catch (...) {
    throwToJavaScript(env);
  }
  return exports;
}

}  // namespace
}  // namespace peft

NAPI_MODULE_INIT() {
  return peft::initialize(env, exports);
}
