// Reads and checks the arguments of a call from JavaScript. Every reader throws ArgumentError with
// a sentence that names the function, the argument, what it must be and what it was.
#pragma once
#define NAPI_VERSION 8
#include <node_api.h>

#include <cstdint>
#include <initializer_list>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace peft {

/** Becomes a JavaScript Error with code PEFT_NATIVE_ARGUMENT. */
struct ArgumentError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/** Elements and sizes are kept below this, so that products of two sizes and byte counts do not
 * overflow. */
constexpr int64_t kLargestSize = int64_t{1} << 40;

/** a·b; ArgumentError beyond kLargestSize. */
int64_t product(int64_t a, int64_t b);
inline int64_t product(int64_t a, int64_t b, int64_t c) {
  return product(product(a, b), c);
}

class Arguments {
 public:
  Arguments(napi_env env, napi_callback_info info);

  napi_env env() const { return env_; }
  napi_value value(size_t index) const { return values_[index]; }
  bool isNull(size_t index) const;

  /** A typed array of at least `needed` elements. The optional forms give null for null or
   * undefined. */
  float* floats(size_t index, const char* name, int64_t needed) const;
  float* optionalFloats(size_t index, const char* name, int64_t needed) const;
  int32_t* integers(size_t index, const char* name, int64_t needed) const;
  int32_t* optionalIntegers(size_t index, const char* name, int64_t needed) const;
  uint8_t* bytes(size_t index, const char* name, int64_t needed) const;
  uint8_t* optionalBytes(size_t index, const char* name, int64_t needed) const;
  double* doubles(size_t index, const char* name, int64_t needed) const;

  /** An integer in [minimum, maximum]. */
  int64_t size(size_t index, const char* name, int64_t minimum = 0,
               int64_t maximum = kLargestSize) const;
  double number(size_t index, const char* name) const;
  /** Finite. */
  float finite(size_t index, const char* name) const;
  /** Low 32 bits of an integer. */
  uint32_t word(size_t index, const char* name) const;
  bool boolean(size_t index, const char* name) const;
  std::string text(size_t index, const char* name) const;
  /** The position of a text in `choices`. */
  int choice(size_t index, const char* name, std::initializer_list<const char*> choices) const;

  struct FloatArray {
    float* data;
    int64_t length;
  };
  /** The elements of an array. Reading them may run JavaScript, which may detach any memory: read
   * all lists before the first pointer. */
  std::vector<napi_value> elements(size_t index, const char* name) const;
  /** Elements as Float32Arrays. */
  std::vector<FloatArray> floatArrays(const std::vector<napi_value>& elements,
                                      const char* name) const;

  /** Number of elements of a typed array of any kind. */
  int64_t length(size_t index, const char* name) const;
  bool isIntegers(size_t index) const;

  [[noreturn]] void fail(const std::string& problem) const;

 private:
  friend class Options;
  struct Typed {
    napi_typedarray_type type;
    size_t length;
    void* data;
  };
  bool typed(napi_value value, Typed& out) const;
  void* array(napi_value value, const char* name, napi_typedarray_type type, const char* typeName,
              int64_t needed, bool optional) const;
  double numberOf(napi_value value, const char* name) const;
  int64_t integerOf(napi_value value, const char* name, int64_t minimum, int64_t maximum) const;
  bool booleanOf(napi_value value, const char* name) const;

  napi_env env_;
  size_t count_ = 0;
  const char* function_ = "";
  static constexpr size_t kMost = 20;
  napi_value values_[kMost];
};

/** The fields of an options object. All are read when it is made: reading them may run JavaScript,
 * which may detach any memory, so it is made before the first pointer is taken. */
class Options {
 public:
  Options(const Arguments& arguments, size_t index, std::initializer_list<const char*> fields);
  int64_t size(const char* field, int64_t minimum = 0, int64_t maximum = kLargestSize) const {
    return arguments_.integerOf(get(field), field, minimum, maximum);
  }
  float finite(const char* field) const;
  uint32_t word(const char* field) const;
  bool boolean(const char* field) const { return arguments_.booleanOf(get(field), field); }
  struct Integers {
    const int32_t* data;
    int64_t length;
  };
  /** `data` null for null or undefined. */
  Integers integers(const char* field, bool optional = false) const;

 private:
  napi_value get(const char* field) const;
  const Arguments& arguments_;
  std::vector<std::pair<const char*, napi_value>> fields_;
};

/** Turns the C++ exception in flight into a JavaScript one. */
void throwToJavaScript(napi_env env);

using Function = napi_value (*)(const Arguments&);

/** A callback that reads arguments, runs `function` and turns exceptions into JavaScript's. */
template <Function function>
napi_value call(napi_env env, napi_callback_info info) {
  try {
    Arguments arguments(env, info);
    return function(arguments);
  } catch (...) {
    throwToJavaScript(env);
    return nullptr;
  }
}

/** What addon.cc exports: a name and a callback. */
struct Export {
  const char* name;
  napi_callback callback;
};

napi_value jsNumber(napi_env env, double value);
napi_value jsText(napi_env env, const std::string& value);
napi_value jsBoolean(napi_env env, bool value);

}  // namespace peft
