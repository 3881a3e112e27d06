#include "arguments.h"

#include <cmath>
#include <cstring>
#include <new>

#include "../weights/mapped-file.h"

namespace peft {
namespace {

std::string shown(napi_env env, napi_value value) {
  napi_valuetype type = napi_undefined;
  napi_typeof(env, value, &type);
  static const char* const kNames[] = {"undefined",   "null",     "a boolean", "a number",
                                       "a string",    "a symbol", "an object", "a function",
                                       "an external", "a bigint"};
  if (type == napi_number) {
    double number = 0;
    napi_get_value_double(env, value, &number);
    std::string text = std::to_string(number);
    return std::floor(number) == number && std::fabs(number) < 1e15
               ? std::to_string(static_cast<int64_t>(number))
               : text;
  }
  return kNames[type];
}

constexpr uint32_t kMostElements = 1 << 20;  // of a list; a sparse one may say it has 2³²

void throwCoded(napi_env env, const char* code, const char* message) {
  bool pending = false;
  napi_is_exception_pending(env, &pending);
  if (!pending) napi_throw_error(env, code, message);
}

}  // namespace

int64_t product(int64_t a, int64_t b) {
  if (a != 0 && b > kLargestSize / a)
    throw ArgumentError("native: a shape of " + std::to_string(a) + " by " + std::to_string(b) +
                        " elements is too large.");
  return a * b;
}

Arguments::Arguments(napi_env env, napi_callback_info info) : env_(env) {
  count_ = kMost;
  void* data = nullptr;
  if (napi_get_cb_info(env, info, &count_, values_, nullptr, &data) != napi_ok)
    throw ArgumentError("native: the call cannot be read.");
  function_ = static_cast<const char*>(data);  // missing arguments read as undefined
}

void Arguments::fail(const std::string& problem) const {
  throw ArgumentError(std::string("native: ") + function_ + ": " + problem + ".");
}

bool Arguments::isNull(size_t index) const {
  napi_valuetype type = napi_undefined;
  napi_typeof(env_, values_[index], &type);
  return type == napi_null || type == napi_undefined;
}

bool Arguments::typed(napi_value value, Typed& out) const {
  return napi_get_typedarray_info(env_, value, &out.type, &out.length, &out.data, nullptr,
                                  nullptr) == napi_ok;
}

void* Arguments::array(napi_value value, const char* name, napi_typedarray_type type,
                       const char* typeName, int64_t needed, bool optional) const {
  Typed array;
  if (!typed(value, array)) {
    napi_valuetype kind = napi_undefined;
    napi_typeof(env_, value, &kind);
    if (optional && (kind == napi_null || kind == napi_undefined)) return nullptr;
    fail(std::string(name) + " must be a " + typeName + ", got " + shown(env_, value));
  }
  if (array.type != type)
    fail(std::string(name) + " must be a " + typeName + ", got another typed array");
  if (static_cast<int64_t>(array.length) < needed)
    fail(std::string(name) + " needs " + std::to_string(needed) + " elements, got " +
         std::to_string(array.length));
  static double nothing[8];  // an empty array may have no address
  return array.data ? array.data : nothing;
}

float* Arguments::floats(size_t i, const char* name, int64_t needed) const {
  return static_cast<float*>(
      array(values_[i], name, napi_float32_array, "Float32Array", needed, false));
}
float* Arguments::optionalFloats(size_t i, const char* name, int64_t needed) const {
  return static_cast<float*>(
      array(values_[i], name, napi_float32_array, "Float32Array", needed, true));
}
int32_t* Arguments::integers(size_t i, const char* name, int64_t needed) const {
  return static_cast<int32_t*>(
      array(values_[i], name, napi_int32_array, "Int32Array", needed, false));
}
int32_t* Arguments::optionalIntegers(size_t i, const char* name, int64_t needed) const {
  return static_cast<int32_t*>(
      array(values_[i], name, napi_int32_array, "Int32Array", needed, true));
}
uint8_t* Arguments::bytes(size_t i, const char* name, int64_t needed) const {
  return static_cast<uint8_t*>(
      array(values_[i], name, napi_uint8_array, "Uint8Array", needed, false));
}
uint8_t* Arguments::optionalBytes(size_t i, const char* name, int64_t needed) const {
  return static_cast<uint8_t*>(
      array(values_[i], name, napi_uint8_array, "Uint8Array", needed, true));
}
double* Arguments::doubles(size_t i, const char* name, int64_t needed) const {
  return static_cast<double*>(
      array(values_[i], name, napi_float64_array, "Float64Array", needed, false));
}

double Arguments::numberOf(napi_value value, const char* name) const {
  double number = 0;
  if (napi_get_value_double(env_, value, &number) != napi_ok)
    fail(std::string(name) + " must be a number, got " + shown(env_, value));
  return number;
}

int64_t Arguments::integerOf(napi_value value, const char* name, int64_t minimum,
                             int64_t maximum) const {
  const double number = numberOf(value, name);
  if (!(number >= static_cast<double>(minimum) && number <= static_cast<double>(maximum)) ||
      std::floor(number) != number) {
    fail(std::string(name) + " must be an integer from " + std::to_string(minimum) + " to " +
         std::to_string(maximum) + ", got " + shown(env_, value));
  }
  return static_cast<int64_t>(number);
}

bool Arguments::booleanOf(napi_value value, const char* name) const {
  bool result = false;
  if (napi_get_value_bool(env_, value, &result) != napi_ok)
    fail(std::string(name) + " must be true or false, got " + shown(env_, value));
  return result;
}

int64_t Arguments::size(size_t i, const char* name, int64_t minimum, int64_t maximum) const {
  return integerOf(values_[i], name, minimum, maximum);
}
double Arguments::number(size_t i, const char* name) const {
  return numberOf(values_[i], name);
}
bool Arguments::boolean(size_t i, const char* name) const {
  return booleanOf(values_[i], name);
}

float Arguments::finite(size_t i, const char* name) const {
  const double number = numberOf(values_[i], name);
  if (!std::isfinite(number)) fail(std::string(name) + " must be finite");
  return static_cast<float>(number);
}

uint32_t Arguments::word(size_t i, const char* name) const {
  return static_cast<uint32_t>(
      integerOf(values_[i], name, -(int64_t{1} << 31), (int64_t{1} << 32) - 1));
}

std::string Arguments::text(size_t i, const char* name) const {
  size_t length = 0;
  if (napi_get_value_string_utf8(env_, values_[i], nullptr, 0, &length) != napi_ok)
    fail(std::string(name) + " must be a string, got " + shown(env_, values_[i]));
  std::string result(length, '\0');
  napi_get_value_string_utf8(env_, values_[i], result.data(), length + 1, &length);
  if (result.find('\0') != std::string::npos)
    fail(std::string(name) + " must not contain a null character");
  return result;
}

int Arguments::choice(size_t i, const char* name,
                      std::initializer_list<const char*> choices) const {
  const std::string given = text(i, name);
  std::string all;
  int position = 0;
  for (const char* candidate : choices) {
    if (given == candidate) return position;
    all += std::string(all.empty() ? "" : ", ") + candidate;
    position++;
  }
  fail(std::string(name) + " must be one of " + all + ", got \"" + given + "\"");
}

std::vector<napi_value> Arguments::elements(size_t i, const char* name) const {
  bool isArray = false;
  napi_is_array(env_, values_[i], &isArray);
  if (!isArray)
    fail(std::string(name) + " must be an array of Float32Array, got " + shown(env_, values_[i]));
  uint32_t count = 0;
  napi_get_array_length(env_, values_[i], &count);
  if (count > kMostElements) fail(std::string(name) + " has too many elements");
  std::vector<napi_value> elements;
  for (uint32_t n = 0; n < count; n++) {
    napi_value element;
    if (napi_get_element(env_, values_[i], n, &element) != napi_ok)
      fail(std::string(name) + " cannot be read");
    elements.push_back(element);
  }
  return elements;
}

std::vector<Arguments::FloatArray> Arguments::floatArrays(const std::vector<napi_value>& elements,
                                                          const char* name) const {
  std::vector<FloatArray> arrays;
  arrays.reserve(elements.size());
  for (size_t n = 0; n < elements.size(); n++) {
    Typed array;
    if (!typed(elements[n], array) || array.type != napi_float32_array)
      fail(std::string(name) + "[" + std::to_string(n) + "] must be a Float32Array");
    arrays.push_back({static_cast<float*>(array.data), static_cast<int64_t>(array.length)});
  }
  return arrays;
}

int64_t Arguments::length(size_t i, const char* name) const {
  Typed array;
  if (!typed(values_[i], array))
    fail(std::string(name) + " must be a typed array, got " + shown(env_, values_[i]));
  return static_cast<int64_t>(array.length);
}

bool Arguments::isIntegers(size_t i) const {
  Typed array;
  return typed(values_[i], array) && array.type == napi_int32_array;
}

Options::Options(const Arguments& arguments, size_t index,
                 std::initializer_list<const char*> fields)
    : arguments_(arguments) {
  napi_env env = arguments.env();
  napi_value object = arguments.value(index);
  napi_valuetype type = napi_undefined;
  napi_typeof(env, object, &type);
  if (type != napi_object) arguments.fail("options must be an object");
  for (const char* field : fields) {
    napi_value value;
    if (napi_get_named_property(env, object, field, &value) != napi_ok)
      arguments.fail(std::string("options.") + field + " cannot be read");
    fields_.emplace_back(field, value);
  }
}

napi_value Options::get(const char* field) const {
  for (const auto& [name, value] : fields_)
    if (std::strcmp(name, field) == 0) return value;
  throw std::logic_error(std::string("options.") + field + " was not read");
}

float Options::finite(const char* field) const {
  const double number = arguments_.numberOf(get(field), field);
  if (!std::isfinite(number)) arguments_.fail(std::string(field) + " must be finite");
  return static_cast<float>(number);
}

uint32_t Options::word(const char* field) const {
  return static_cast<uint32_t>(
      arguments_.integerOf(get(field), field, -(int64_t{1} << 31), (int64_t{1} << 32) - 1));
}

Options::Integers Options::integers(const char* field, bool optional) const {
  napi_value value = get(field);
  void* data = arguments_.array(value, field, napi_int32_array, "Int32Array", 0, optional);
  if (!data) return {nullptr, 0};
  Arguments::Typed array;
  arguments_.typed(value, array);
  return {static_cast<const int32_t*>(data), static_cast<int64_t>(array.length)};
}

void throwToJavaScript(napi_env env) {
  try {
    throw;
  } catch (const ArgumentError& error) {
    throwCoded(env, "PEFT_NATIVE_ARGUMENT", error.what());
  } catch (const FileError& error) {
    throwCoded(env, "PEFT_NATIVE_FILE", (std::string("native: ") + error.what()).c_str());
  } catch (const std::bad_alloc&) {
    throwCoded(env, "PEFT_NATIVE_MEMORY", "native: there is not enough memory.");
  } catch (const std::exception& error) {
    throwCoded(env, "PEFT_NATIVE_FAILED", (std::string("native: ") + error.what()).c_str());
  }
}

napi_value jsNumber(napi_env env, double value) {
  napi_value result;
  napi_create_double(env, value, &result);
  return result;
}

napi_value jsText(napi_env env, const std::string& value) {
  napi_value result;
  napi_create_string_utf8(env, value.data(), value.size(), &result);
  return result;
}

napi_value jsBoolean(napi_env env, bool value) {
  napi_value result;
  napi_get_boolean(env, value, &result);
  return result;
}

}  // namespace peft
