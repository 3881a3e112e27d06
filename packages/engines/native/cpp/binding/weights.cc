// Frozen weights: a JavaScript object wraps a box whose weight is null once freed.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <memory>
#include <type_traits>

#include "../weights/output-loss.h"
#include "../weights/weight.h"
#include "exports.h"

namespace peft {
namespace {

struct Box {
  std::unique_ptr<Weight> weight;
  int64_t accounted = 0;  // bytes that the garbage collector was told of
};

const napi_type_tag kTag = {0x8a1c53f0d7e24b69u, 0xb3a97c5e10f84d2eu};

void release(napi_env env, Box& box) {
  box.weight.reset();
  int64_t total = 0;
  if (box.accounted) napi_adjust_external_memory(env, -box.accounted, &total);
  box.accounted = 0;
}

napi_value wrap(const Arguments& a, std::unique_ptr<Weight> weight) {
  auto box = std::make_unique<Box>();
  const int64_t bytes = weight->file ? 0 : weight->byteLength();
  box->weight = std::move(weight);
  napi_value object;
  napi_create_object(a.env(), &object);
  auto finalize = [](napi_env env, void* data, void*) {
    std::unique_ptr<Box> owned(static_cast<Box*>(data));
    release(env, *owned);
  };
  if (napi_wrap(a.env(), object, box.get(), finalize, nullptr, nullptr) != napi_ok)
    throw std::bad_alloc();
  Box* owned = box.release();
  napi_type_tag_object(a.env(), object, &kTag);
  int64_t total = 0;
  owned->accounted = bytes;
  napi_adjust_external_memory(a.env(), bytes, &total);
  return object;
}

Box& boxOf(const Arguments& a, size_t index) {
  bool tagged = false;
  napi_valuetype type = napi_undefined;
  napi_typeof(a.env(), a.value(index), &type);
  if (type == napi_object) napi_check_object_type_tag(a.env(), a.value(index), &kTag, &tagged);
  void* data = nullptr;
  if (!tagged || napi_unwrap(a.env(), a.value(index), &data) != napi_ok)
    a.fail("weight must be a weight handle");
  return *static_cast<Box*>(data);
}

const Weight& weightOf(const Arguments& a, size_t index) {
  const Box& box = boxOf(a, index);
  if (!box.weight) a.fail("the weight was freed");
  return *box.weight;
}

/** Runs `use` on a weight; an error where its file changed before, or while it was read. */
template <class Use>
auto reading(const Weight& weight, Use&& use) {
  if (weight.file) weight.file->check();
  if constexpr (std::is_void_v<decltype(use())>) {
    use();
    if (weight.file) weight.file->check();
  } else {
    auto result = use();
    if (weight.file) weight.file->check();
    return result;
  }
}

constexpr std::initializer_list<const char*> kFormats = {"f32", "f16", "bf16", "int8",
                                                         "nf4", "fp4", "int4", "mxfp4"};

Format plainFormat(const Arguments& a, size_t index) {
  return static_cast<Format>(a.choice(index, "format", {"f32", "f16", "bf16"}));
}

WeightShape shapeOf(const Arguments& a, size_t index) {
  WeightShape shape{a.size(index, "rows"), a.size(index + 1, "columns"),
                    a.boolean(index + 2, "transposed")};
  constexpr int64_t kMostOfNothing = int64_t{1} << 24;
  if (product(shape.rows, shape.columns) == 0 &&
      std::max(shape.rows, shape.columns) > kMostOfNothing)
    a.fail("a weight of " + std::to_string(shape.rows) + " by " + std::to_string(shape.columns) +
           " holds nothing");
  return shape;
}

int64_t blockSizeOf(const Arguments& a, size_t index) {
  const int64_t size = a.size(index, "blockSize", 32, 4096);
  if (size & (size - 1)) a.fail("blockSize must be a power of two, got " + std::to_string(size));
  return size;
}

napi_value fromFile(const Arguments& a) {
  const std::string path = a.text(0, "path");
  const int64_t offset = a.size(1, "byteOffset");
  const Format format = plainFormat(a, 2);
  return wrap(a, weightFromFile(path, offset, format, shapeOf(a, 3)));
}

napi_value fromBytes(const Arguments& a) {
  const Format format = plainFormat(a, 1);
  const WeightShape shape = shapeOf(a, 2);
  return wrap(a, weightFromBytes(a.bytes(0, "bytes", storedBytes(format, shape.elements())), format,
                                 shape));
}

napi_value fromBlocks(const Arguments& a) {
  const BlockType type = blockTypeOf(a, 0);
  const WeightShape shape = shapeOf(a, 2);
  const int64_t size = blockValues(type);
  if (shape.elements() % size != 0)
    a.fail(std::to_string(shape.elements()) + " values are no whole number of blocks");
  const int64_t blocks = shape.elements() / size;
  const uint8_t* bytes = a.bytes(1, "bytes", product(blocks, blockBytes(type)));
  return wrap(a, weightFromBlocks(bytes, type, shape));
}

napi_value fromParts(const Arguments& a) {
  auto weight = std::make_unique<Weight>();
  constexpr Format kPacked[] = {Format::nf4, Format::fp4, Format::int8, Format::int4,
                                Format::mxfp4};
  weight->format = kPacked[a.choice(0, "format", {"nf4", "fp4", "int8", "int4", "mxfp4"})];
  weight->shape = shapeOf(a, 1);
  const int64_t elements = weight->shape.elements();
  int64_t maxima = weight->shape.rows;
  if (weight->format == Format::int8) {
    if (weight->shape.transposed) a.fail("an int8 weight must not be transposed");
  } else {
    weight->blockSize = blockSizeOf(a, 4);
    maxima = (elements + weight->blockSize - 1) / weight->blockSize;
  }
  const int64_t length = weight->dataBytes();
  const uint8_t* packed = a.bytes(5, "packed", length);
  const float* absmax = a.optionalFloats(6, "absmax", maxima);
  if (absmax) {
    weight->maxima.assign(absmax, absmax + maxima);
  } else {
    if (weight->format != Format::nf4 && weight->format != Format::fp4) a.fail("absmax is missing");
    weight->nestedBlockSize = a.size(10, "nestedBlockSize", 1);
    const uint8_t* codes = a.bytes(7, "absmaxCodes", maxima);
    const float* map = a.floats(8, "nestedMap", 256);
    const int64_t groups = (maxima + weight->nestedBlockSize - 1) / weight->nestedBlockSize;
    const float* nested = a.floats(9, "nestedAbsmax", groups);
    weight->offset = a.finite(11, "nestedOffset");
    weight->codes.assign(codes, codes + maxima);
    weight->map.assign(map, map + 256);
    weight->nested.assign(nested, nested + groups);
  }
  if (weight->format == Format::int4) {
    const uint8_t* zeros = a.bytes(12, "zeros", maxima);
    weight->zeros.assign(zeros, zeros + maxima);
  }
  weight->bytes = allocateBytes(length);
  if (length > 0) std::memcpy(weight->bytes.get(), packed, static_cast<size_t>(length));
  return wrap(a, std::move(weight));
}

napi_value convert(const Arguments& a) {
  const Weight& source = weightOf(a, 0);
  const Format format =
      static_cast<Format>(a.choice(1, "format", {"f32", "f16", "bf16", "int8", "nf4", "fp4"}));
  const bool fourBit = isFourBit(format);
  const int64_t blockSize = fourBit ? blockSizeOf(a, 2) : 64;
  const bool doubleQuantization = a.boolean(3, "doubleQuantization");
  if (format == Format::int8 && source.shape.transposed)
    a.fail("a transposed weight cannot become int8");
  return wrap(a, reading(source, [&] {
                return convertWeight(source, format, blockSize, fourBit && doubleQuantization);
              }));
}

napi_value infoOf(const Arguments& a) {
  const Weight& weight = weightOf(a, 0);
  napi_env env = a.env();
  napi_value result;
  napi_create_object(env, &result);
  auto put = [&](const char* name, napi_value value) {
    napi_set_named_property(env, result, name, value);
  };
  put("format", jsText(env, *(kFormats.begin() + static_cast<int>(weight.format))));
  put("rows", jsNumber(env, static_cast<double>(weight.shape.rows)));
  put("columns", jsNumber(env, static_cast<double>(weight.shape.columns)));
  put("transposed", jsBoolean(env, weight.shape.transposed));
  put("blockSize", jsNumber(env, static_cast<double>(weight.blockSize)));
  put("doubleQuantization", jsBoolean(env, weight.nestedBlockSize > 0));
  put("byteLength", jsNumber(env, static_cast<double>(weight.byteLength())));
  put("mapped", jsBoolean(env, weight.file != nullptr));
  return result;
}

template <class T>
napi_value copyOf(napi_env env, napi_typedarray_type type, const T* data, size_t count) {
  napi_value buffer, array;
  void* memory = nullptr;
  if (napi_create_arraybuffer(env, count * sizeof(T), &memory, &buffer) != napi_ok)
    throw std::bad_alloc();
  if (count > 0) std::memcpy(memory, data, count * sizeof(T));
  napi_create_typedarray(env, type, count, buffer, 0, &array);
  return array;
}

napi_value parts(const Arguments& a) {
  const Weight& weight = weightOf(a, 0);
  if (weight.format != Format::int8 && !isFourBit(weight.format))
    a.fail("only a quantised weight has parts");
  napi_env env = a.env();
  napi_value result;
  napi_create_object(env, &result);
  auto put = [&](const char* name, napi_value value) {
    napi_set_named_property(env, result, name, value);
  };
  put("packed",
      copyOf(env, napi_uint8_array, weight.data(), static_cast<size_t>(weight.dataBytes())));
  if (!weight.zeros.empty())
    put("zeros", copyOf(env, napi_uint8_array, weight.zeros.data(), weight.zeros.size()));
  if (weight.nestedBlockSize == 0) {
    put("absmax", copyOf(env, napi_float32_array, weight.maxima.data(), weight.maxima.size()));
  } else {
    put("absmaxCodes", copyOf(env, napi_uint8_array, weight.codes.data(), weight.codes.size()));
    put("nestedMap", copyOf(env, napi_float32_array, weight.map.data(), weight.map.size()));
    put("nestedAbsmax",
        copyOf(env, napi_float32_array, weight.nested.data(), weight.nested.size()));
    put("nestedBlockSize", jsNumber(env, static_cast<double>(weight.nestedBlockSize)));
    put("nestedOffset", jsNumber(env, weight.offset));
  }
  return result;
}

napi_value freeWeight(const Arguments& a) {
  release(a.env(), boxOf(a, 0));
  return nullptr;
}

napi_value dequantize(const Arguments& a) {
  const Weight& weight = weightOf(a, 0);
  float* out = a.floats(1, "out", weight.shape.elements());
  reading(weight, [&] { dequantizeWeight(weight, out); });
  return nullptr;
}

napi_value gather(const Arguments& a) {
  const Weight& weight = weightOf(a, 0);
  const int64_t count = a.length(1, "ids");
  const int32_t* ids = a.integers(1, "ids", count);
  float* out = a.floats(2, "out", product(count, weight.shape.columns));
  for (int64_t i = 0; i < count; i++) {
    if (ids[i] < 0 || ids[i] >= weight.shape.rows)
      a.fail("id " + std::to_string(ids[i]) + " is outside the " +
             std::to_string(weight.shape.rows) + " rows");
  }
  reading(weight, [&] { gatherWeight(weight, ids, count, out); });
  return nullptr;
}

napi_value linear(const Arguments& a) {
  const Weight& weight = weightOf(a, 0);
  const int64_t n = a.size(4, "n");
  const float* x = a.floats(1, "x", product(n, weight.shape.columns));
  const float* bias = a.optionalFloats(2, "bias", weight.shape.rows);
  float* y = a.floats(3, "y", product(n, weight.shape.rows));
  const bool bf16 = a.boolean(5, "bf16");
  reading(weight, [&] { weightForward(weight, x, bias, y, n, bf16); });
  return nullptr;
}

napi_value linearActivated(const Arguments& a) {
  const Weight& weight = weightOf(a, 0);
  const int64_t n = a.size(6, "n"), length = product(n, weight.shape.rows);
  const float* x = a.floats(1, "x", product(n, weight.shape.columns));
  const float* bias = a.optionalFloats(2, "bias", weight.shape.rows);
  const Activation kind =
      static_cast<Activation>(a.size(3, "kind", 0, static_cast<int>(Activation::count) - 1));
  float* y = a.floats(4, "y", length);
  const Epilogue epilogue = {kind, a.optionalFloats(5, "sums", length)};
  const bool bf16 = a.boolean(7, "bf16");
  reading(weight, [&] { weightForward(weight, x, bias, y, n, bf16, &epilogue); });
  return nullptr;
}

napi_value linearInputGradient(const Arguments& a) {
  const Weight& weight = weightOf(a, 0);
  const int64_t n = a.size(3, "n");
  const float* dy = a.floats(1, "dy", product(n, weight.shape.rows));
  float* dx = a.floats(2, "dx", product(n, weight.shape.columns));
  const bool bf16 = a.boolean(4, "bf16");
  reading(weight, [&] { weightBackward(weight, dy, dx, n, bf16); });
  return nullptr;
}

/** Arguments index … index + 3: a, b, rank, scale. */
AddedProduct addedOf(const Arguments& a, size_t index, const WeightShape& shape) {
  const int64_t rank = a.size(index + 2, "rank");
  return {a.floats(index, "a", product(rank, shape.columns)),
          a.floats(index + 1, "b", product(shape.rows, rank)), rank, a.finite(index + 3, "scale")};
}

napi_value linearAdded(const Arguments& a) {
  const Weight& weight = weightOf(a, 0);
  const int64_t n = a.size(9, "n");
  const float* x = a.floats(1, "x", product(n, weight.shape.columns));
  const float* bias = a.optionalFloats(2, "bias", weight.shape.rows);
  const AddedProduct added = addedOf(a, 3, weight.shape);
  float* y = a.floats(7, "y", product(n, weight.shape.rows));
  float* narrow = a.floats(8, "narrow", product(n, added.rank));
  const bool bf16 = a.boolean(10, "bf16");
  reading(weight, [&] { weightForwardAdded(weight, added, x, bias, y, narrow, n, bf16); });
  return nullptr;
}

napi_value linearAddedGradient(const Arguments& a) {
  const Weight& weight = weightOf(a, 0);
  const int64_t n = a.size(11, "n");
  const float* dy = a.floats(1, "dy", product(n, weight.shape.rows));
  const AddedProduct added = addedOf(a, 4, weight.shape);
  const AddedGradients gradients = {
      a.optionalFloats(8, "dx", product(n, weight.shape.columns)),
      a.optionalFloats(9, "da", product(added.rank, weight.shape.columns)),
      a.optionalFloats(10, "db", product(weight.shape.rows, added.rank))};
  const float* x = gradients.da ? a.floats(2, "x", product(n, weight.shape.columns)) : nullptr;
  const float* narrow = gradients.db ? a.floats(3, "narrow", product(n, added.rank)) : nullptr;
  const bool bf16 = a.boolean(12, "bf16");
  reading(weight, [&] { weightBackwardAdded(weight, added, dy, x, narrow, gradients, n, bf16); });
  return nullptr;
}

napi_value linearCrossEntropy(const Arguments& a) {
  const Weight& weight = weightOf(a, 0);
  if (weight.shape.transposed) a.fail("the weight of an output layer must not be transposed");
  const int64_t n = a.size(5, "n");
  const float* x = a.floats(1, "x", product(n, weight.shape.columns));
  const float* bias = a.optionalFloats(2, "bias", weight.shape.rows);
  const int32_t* labels = a.integers(3, "labels", n);
  for (int64_t i = 0; i < n; i++)
    if (labels[i] < 0 || labels[i] >= weight.shape.rows)
      a.fail("label " + std::to_string(labels[i]) + " of row " + std::to_string(i) +
             " is outside the " + std::to_string(weight.shape.rows) + " classes");
  float* loss = a.floats(4, "loss", n);
  float* dx = a.optionalFloats(6, "dx", product(n, weight.shape.columns));
  const OutputLayer layer = {weight, bias, static_cast<float>(a.number(7, "scale")),
                             static_cast<float>(a.number(8, "softCap"))};
  const bool bf16 = a.boolean(9, "bf16");
  reading(weight, [&] { outputLoss(layer, x, labels, n, loss, dx, bf16); });
  return nullptr;
}

}  // namespace

void exportWeights(Exports& exports) {
  exports.push_back({"weightFromFile", call<fromFile>});
  exports.push_back({"weightFromBytes", call<fromBytes>});
  exports.push_back({"weightFromBlocks", call<fromBlocks>});
  exports.push_back({"weightFromParts", call<fromParts>});
  exports.push_back({"weightConvert", call<convert>});
  exports.push_back({"weightInfo", call<infoOf>});
  exports.push_back({"weightParts", call<parts>});
  exports.push_back({"weightFree", call<freeWeight>});
  exports.push_back({"weightDequantize", call<dequantize>});
  exports.push_back({"weightGather", call<gather>});
  exports.push_back({"linear", call<linear>});
  exports.push_back({"linearActivated", call<linearActivated>});
  exports.push_back({"linearInputGradient", call<linearInputGradient>});
  exports.push_back({"linearAdded", call<linearAdded>});
  exports.push_back({"linearAddedGradient", call<linearAddedGradient>});
  exports.push_back({"linearCrossEntropy", call<linearCrossEntropy>});
}

}  // namespace peft
