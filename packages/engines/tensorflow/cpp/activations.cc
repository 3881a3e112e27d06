#include "activations.h"

#include "parallel.h"
#include "tensorflow-kernels.h"

namespace peft {
namespace {

// target_clones does not go with templates, so a macro writes each activation's loops.
#define PEFT_ACTIVATION_LOOPS(F)                                                                   \
  PEFT_VECTORISED void forward##F(const float* __restrict x, float* __restrict y, int64_t count) { \
    for (int64_t i = 0; i < count; i++) y[i] = F::both(x[i]).value;                                \
  }                                                                                                \
  PEFT_VECTORISED void gradient##F(const float* __restrict x, const float* __restrict dy,          \
                                   float* __restrict dx, int64_t count) {                          \
    for (int64_t i = 0; i < count; i++) dx[i] = dy[i] * F::both(x[i]).derivative;                  \
  }                                                                                                \
  PEFT_VECTORISED void gated##F(const float* __restrict gate, const float* __restrict up,          \
                                float* __restrict y, int64_t count) {                              \
    for (int64_t i = 0; i < count; i++) y[i] = F::both(gate[i]).value * up[i];                     \
  }                                                                                                \
  PEFT_VECTORISED void gatedGradient##F(const float* __restrict gate, const float* __restrict up,  \
                                        const float* __restrict dy, float* __restrict dgate,       \
                                        float* __restrict dup, int64_t count) {                    \
    for (int64_t i = 0; i < count; i++) {                                                          \
      const Both f = F::both(gate[i]);                                                             \
      dgate[i] = dy[i] * up[i] * f.derivative;                                                     \
      dup[i] = dy[i] * f.value;                                                                    \
    }                                                                                              \
  }                                                                                                \
  constexpr ActivationLoops loops##F{forward##F, gradient##F, gated##F, gatedGradient##F};

PEFT_ACTIVATION_LOOPS(Gelu)
PEFT_ACTIVATION_LOOPS(GeluTanh)
PEFT_ACTIVATION_LOOPS(GeluQuick)
PEFT_ACTIVATION_LOOPS(Silu)
PEFT_ACTIVATION_LOOPS(Relu)
PEFT_ACTIVATION_LOOPS(ReluSquared)
PEFT_ACTIVATION_LOOPS(Tanh)
PEFT_ACTIVATION_LOOPS(Sigmoid)
PEFT_ACTIVATION_LOOPS(LeakyRelu)

constexpr int64_t kPiece = 32768;

struct Activated {
  explicit Activated(Attributes& attributes) : loops(activationLoops(attributes.text("kind"))) {}
  const ActivationLoops& loops;
};

/** y = f(x) */
struct Activation : Activated {
  using Activated::Activated;
  void compute(Call& call) const {
    const Call::Input x = call.input(0);
    float* y = call.output(0, x.shape);
    forRanges(x.size(), kPiece, [&](int64_t begin, int64_t end) {
      loops.forward(x.floats() + begin, y + begin, end - begin);
    });
  }
};

/** dx = dy ⊙ f'(x) */
struct ActivationGradient : Activated {
  using Activated::Activated;
  void compute(Call& call) const {
    const Call::Input x = call.input(0), dy = call.input(1, x.size(), "dy");
    float* dx = call.output(0, x.shape);
    forRanges(x.size(), kPiece, [&](int64_t begin, int64_t end) {
      loops.gradient(x.floats() + begin, dy.floats() + begin, dx + begin, end - begin);
    });
  }
};

/** y = f(gate) ⊙ up */
struct GatedActivation : Activated {
  using Activated::Activated;
  void compute(Call& call) const {
    const Call::Input gate = call.input(0), up = call.input(1, gate.size(), "up");
    float* y = call.output(0, gate.shape);
    forRanges(gate.size(), kPiece, [&](int64_t begin, int64_t end) {
      loops.gated(gate.floats() + begin, up.floats() + begin, y + begin, end - begin);
    });
  }
};

/** dgate = dy ⊙ up ⊙ f'(gate), dup = dy ⊙ f(gate) */
struct GatedActivationGradient : Activated {
  using Activated::Activated;
  void compute(Call& call) const {
    const Call::Input gate = call.input(0), up = call.input(1, gate.size(), "up"),
                      dy = call.input(2, gate.size(), "dy");
    float* dgate = call.output(0, gate.shape);
    float* dup = call.output(1, gate.shape);
    forRanges(gate.size(), kPiece, [&](int64_t begin, int64_t end) {
      loops.gatedGradient(gate.floats() + begin, up.floats() + begin, dy.floats() + begin,
                          dgate + begin, dup + begin, end - begin);
    });
  }
};

}  // namespace

const ActivationLoops& activationLoops(const std::string& kind) {
  if (kind == "gelu") return loopsGelu;
  if (kind == "gelu_tanh") return loopsGeluTanh;
  if (kind == "gelu_quick") return loopsGeluQuick;
  if (kind == "silu") return loopsSilu;
  if (kind == "relu") return loopsRelu;
  if (kind == "relu_squared") return loopsReluSquared;
  if (kind == "tanh") return loopsTanh;
  if (kind == "sigmoid") return loopsSigmoid;
  if (kind == "leaky_relu") return loopsLeakyRelu;
  throw Refusal("there is no activation " + kind);
}

void defineActivations() {
  define<Activation>("PeftActivation", {{"x: float"}, {"y: float"}, {"kind: string"}});
  define<ActivationGradient>("PeftActivationGradient",
                             {{"x: float", "dy: float"}, {"dx: float"}, {"kind: string"}});
  define<GatedActivation>("PeftGatedActivation",
                          {{"gate: float", "up: float"}, {"y: float"}, {"kind: string"}});
  define<GatedActivationGradient>("PeftGatedActivationGradient",
                                  {{"gate: float", "up: float", "dy: float"},
                                   {"dgate: float", "dup: float"},
                                   {"kind: string"}});
}

}  // namespace peft
