// TensorFlow's C interface for kernels, and a thin C++ form of it.
//
// The functions are those of tensorflow/c/kernels.h, which a library keeps stable. They are
// declared here since that header asks for others that an archive of the library need not have.
#pragma once
#include <cstdint>
#include <initializer_list>
#include <stdexcept>
#include <string>
#include <vector>

#include "tensorflow/c/ops.h"
#include "tensorflow/c/tf_datatype.h"
#include "tensorflow/c/tf_status.h"
#include "tensorflow/c/tf_tensor.h"

extern "C" {
struct TF_KernelBuilder;
struct TF_OpKernelConstruction;
struct TF_OpKernelContext;
TF_KernelBuilder* TF_NewKernelBuilder(const char* op, const char* device,
                                      void* (*create)(TF_OpKernelConstruction*),
                                      void (*compute)(void*, TF_OpKernelContext*),
                                      void (*destroy)(void*));
void TF_RegisterKernelBuilder(const char* name, TF_KernelBuilder* builder, TF_Status* status);
void TF_GetInput(TF_OpKernelContext* context, int index, TF_Tensor** tensor, TF_Status* status);
TF_Tensor* TF_AllocateOutput(TF_OpKernelContext* context, int index, TF_DataType type,
                             const int64_t* dims, int rank, size_t bytes, TF_Status* status);
void TF_OpKernelContext_Failure(TF_OpKernelContext* context, TF_Status* status);
void TF_OpKernelConstruction_Failure(TF_OpKernelConstruction* construction, TF_Status* status);
void TF_OpKernelConstruction_GetAttrFloat(TF_OpKernelConstruction* construction, const char* name,
                                          float* value, TF_Status* status);
void TF_OpKernelConstruction_GetAttrBool(TF_OpKernelConstruction* construction, const char* name,
                                         unsigned char* value, TF_Status* status);
void TF_OpKernelConstruction_GetAttrString(TF_OpKernelConstruction* construction, const char* name,
                                           char* value, size_t capacity, TF_Status* status);
}

namespace peft {

/** What a kernel refuses; becomes TensorFlow's status INVALID_ARGUMENT. */
struct Refusal : std::runtime_error {
  using std::runtime_error::runtime_error;
};

class Status {
 public:
  Status() : status_(TF_NewStatus()) {}
  Status(const Status&) = delete;
  ~Status() { TF_DeleteStatus(status_); }
  operator TF_Status*() { return status_; }
  void check() {
    if (TF_GetCode(status_) != TF_OK) throw Refusal(TF_Message(status_));
  }
  void refuse(const char* why) { TF_SetStatus(status_, TF_INVALID_ARGUMENT, why); }

 private:
  TF_Status* status_;
};

using Shape = std::vector<int64_t>;

inline int64_t elements(const Shape& shape) {
  int64_t count = 1;
  for (int64_t size : shape) count *= size;
  return count;
}

/** A kernel's inputs and outputs while it runs. */
class Call {
 public:
  explicit Call(TF_OpKernelContext* context) : context_(context) {}
  Call(const Call&) = delete;
  ~Call() {
    for (TF_Tensor* tensor : tensors_) TF_DeleteTensor(tensor);
  }

  struct Input {
    const void* data;
    Shape shape;
    TF_DataType type;
    int64_t size() const { return elements(shape); }
    const float* floats() const { return static_cast<const float*>(data); }
  };

  Input input(int index) {
    TF_Tensor* tensor = nullptr;
    TF_GetInput(context_, index, &tensor, status_);
    status_.check();
    tensors_.push_back(tensor);
    Shape shape(static_cast<size_t>(TF_NumDims(tensor)));
    for (size_t axis = 0; axis < shape.size(); axis++)
      shape[axis] = TF_Dim(tensor, static_cast<int>(axis));
    return {TF_TensorData(tensor), shape, TF_TensorType(tensor)};
  }

  /** @param size elements that the input must have. */
  Input input(int index, int64_t size, const char* name) {
    Input got = input(index);
    if (got.size() != size)
      throw Refusal(std::string(name) + " has " + std::to_string(got.size()) + " elements, and " +
                    std::to_string(size) + " are needed");
    return got;
  }

  float* output(int index, const Shape& shape) {
    return static_cast<float*>(allocate(index, TF_FLOAT, shape, 4));
  }
  /** As `output` where wanted, else a tensor of shape [0] and null. */
  float* outputIf(bool wanted, int index, const Shape& shape) {
    if (wanted) return output(index, shape);
    output(index, {0});
    return nullptr;
  }

  void fail(const char* why) {
    Status status;
    status.refuse(why);
    TF_OpKernelContext_Failure(context_, status);
  }

 private:
  void* allocate(int index, TF_DataType type, const Shape& shape, int64_t bytes) {
    TF_Tensor* tensor =
        TF_AllocateOutput(context_, index, type, shape.data(), static_cast<int>(shape.size()),
                          static_cast<size_t>(elements(shape) * bytes), status_);
    status_.check();
    tensors_.push_back(tensor);
    return TF_TensorData(tensor);
  }

  TF_OpKernelContext* context_;
  Status status_;
  std::vector<TF_Tensor*> tensors_;
};

/** An operation's attributes, read once when TensorFlow makes the kernel for them. */
class Attributes {
 public:
  explicit Attributes(TF_OpKernelConstruction* construction) : construction_(construction) {}
  float real(const char* name) { return read<float>(TF_OpKernelConstruction_GetAttrFloat, name); }
  bool flag(const char* name) {
    return read<unsigned char>(TF_OpKernelConstruction_GetAttrBool, name) != 0;
  }
  std::string text(const char* name) {
    char value[32] = {};
    Status status;
    TF_OpKernelConstruction_GetAttrString(construction_, name, value, sizeof value - 1, status);
    status.check();
    return value;
  }

 private:
  template <class T, class Read>
  T read(Read function, const char* name) {
    T value{};
    Status status;
    function(construction_, name, &value, status);
    status.check();
    return value;
  }
  TF_OpKernelConstruction* construction_;
};

/** Inputs, outputs and attributes as TensorFlow writes them: `x: float`, `kind: string`. */
struct Signature {
  std::initializer_list<const char*> inputs, outputs, attributes;
};

/** Makes an operation and its CPU kernel known. `Kernel` is made from `Attributes` and has `void
 * compute(Call&) const`. @throws Refusal */
template <class Kernel>
void define(const char* name, const Signature& signature) {
  TF_OpDefinitionBuilder* operation = TF_NewOpDefinitionBuilder(name);
  for (const char* spec : signature.attributes) TF_OpDefinitionBuilderAddAttr(operation, spec);
  for (const char* spec : signature.inputs) TF_OpDefinitionBuilderAddInput(operation, spec);
  for (const char* spec : signature.outputs) TF_OpDefinitionBuilderAddOutput(operation, spec);
  Status status;
  TF_RegisterOpDefinition(operation, status);
  status.check();
  auto create = [](TF_OpKernelConstruction* construction) -> void* {
    try {
      Attributes attributes(construction);
      return new Kernel(attributes);
    } catch (const std::exception& error) {
      Status failure;
      failure.refuse(error.what());
      TF_OpKernelConstruction_Failure(construction, failure);
      return nullptr;
    }
  };
  auto compute = [](void* kernel, TF_OpKernelContext* context) {
    Call call(context);
    try {
      static_cast<const Kernel*>(kernel)->compute(call);
    } catch (const std::exception& error) {
      call.fail(error.what());
    }
  };
  TF_KernelBuilder* kernel = TF_NewKernelBuilder(
      name, "CPU", create, compute, [](void* made) { delete static_cast<Kernel*>(made); });
  TF_RegisterKernelBuilder(name, kernel, status);
  status.check();
}

void defineActivations();
void defineDistances();
void defineNorms();
void defineRows();
void defineScores();

}  // namespace peft
