// Our products beside oneDNN's, same machine, same run. Arguments: [threads [M N K]].
// oneDNN gets its best case: weights reordered beforehand to the layout it asks for, activations
// already bf16 for bf16.
#include <oneapi/dnnl/dnnl.hpp>

#include <omp.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <string>
#include <vector>

#include "core/dispatch.h"
#include "core/half.h"
#include "core/thread-pool.h"
#include "gemm/product.h"

using dnnl::memory;

namespace {

dnnl::engine engine(dnnl::engine::kind::cpu, 0);
dnnl::stream stream(engine);

/** Best of several repetitions, GFLOP/s. */
double speed(double flop, const std::function<void()>& body) {
  body();
  double best = 1e9;
  auto begin = std::chrono::steady_clock::now();
  for (int i = 0; i < 60; i++) {
    auto start = std::chrono::steady_clock::now();
    body();
    auto end = std::chrono::steady_clock::now();
    best = std::min(best, std::chrono::duration<double>(end - start).count());
    if (i >= 5 && std::chrono::duration<double>(end - begin).count() > 0.5) break;
  }
  return flop / best * 1e-9;
}

/** y[M,N] = x[M,K]·w[N,K]ᵀ. */
double oneDnn(int64_t m, int64_t n, int64_t k, bool bf16, std::vector<float>& x,
              std::vector<float>& w, std::vector<float>& y) {
  auto type = bf16 ? memory::data_type::bf16 : memory::data_type::f32;
  using tag = memory::format_tag;
  memory::desc plainX({m, k}, memory::data_type::f32, tag::ab),
      plainW({k, n}, memory::data_type::f32, tag::ba);
  memory::desc out({m, n}, memory::data_type::f32, tag::ab);
  dnnl::matmul::primitive_desc description(
      {memory::desc({m, k}, type, tag::ab), memory::desc({k, n}, type, tag::any), out}, engine);
  memory sourceX(plainX, engine, x.data()), sourceW(plainW, engine, w.data()),
      target(out, engine, y.data());
  memory xs(description.src_desc(), engine), ws(description.weights_desc(), engine);
  dnnl::reorder(sourceX, xs).execute(stream, sourceX, xs);
  dnnl::reorder(sourceW, ws).execute(stream, sourceW, ws);
  dnnl::matmul product(description);
  return speed(2.0 * m * n * k, [&] {
    product.execute(stream, {{DNNL_ARG_SRC, xs}, {DNNL_ARG_WEIGHTS, ws}, {DNNL_ARG_DST, target}});
    stream.wait();
  });
}

struct Weights {
  std::vector<uint16_t> bf16;
  std::vector<uint8_t> nf4;
  std::vector<float> maxima;
};

peft::MatrixView view(const Weights& weights, const std::vector<float>& w, peft::Format format,
                      int64_t k) {
  peft::MatrixView view = peft::denseView(w.data(), k);
  view.format = format;
  if (format == peft::Format::bf16) view.data = weights.bf16.data();
  if (format == peft::Format::nf4) {
    view.data = weights.nf4.data();
    view.scale = weights.maxima.data();
  }
  return view;
}

}  // namespace

int main(int argc, char** argv) {
  int threads = argc > 1 ? std::atoi(argv[1]) : 0;
  peft::setThreadCount(threads);
  omp_set_num_threads(peft::threadCount());
  std::printf(
      "instructions %s, threads %d; GFLOP/s, in brackets the ratio to oneDNN of that precision; "
      "forward / input gradient\n",
      peft::instructionSet().c_str(), peft::threadCount());
  std::printf("%-18s %9s %9s | %-15s %-15s | %-15s %-15s | %-15s\n", "M x N x K", "dnnl bf16",
              "dnnl f32", "bf16 weights", "  gradient", "nf4 weights", "  gradient", "f32");
  const int64_t shapes[][3] = {
      {1, 2048, 2048},   {16, 768, 768},   {40, 2048, 2048},  {64, 768, 768},    {64, 3072, 768},
      {64, 4096, 4096},  {128, 768, 768},  {128, 5120, 2048}, {256, 768, 768},   {256, 4096, 4096},
      {512, 768, 768},   {512, 768, 3072}, {1024, 768, 768},  {1024, 3072, 768}, {1024, 768, 3072},
      {4096, 3072, 768}, {4096, 768, 3072}};
  for (const auto& shape : shapes) {
    int64_t m = shape[0], n = shape[1], k = shape[2];
    if (argc > 4 &&
        (m != std::atoll(argv[2]) || n != std::atoll(argv[3]) || k != std::atoll(argv[4])))
      continue;
    std::vector<float> x(m * std::max(k, n)), w(n * k), y(m * std::max(k, n));
    for (float& value : x) value = static_cast<float>(drand48() - 0.5);
    for (float& value : w) value = static_cast<float>(drand48() - 0.5);
    Weights weights{std::vector<uint16_t>(n * k), std::vector<uint8_t>(n * k / 2),
                    std::vector<float>(n * k / 64, 0.5f)};
    for (size_t i = 0; i < w.size(); i++) weights.bf16[i] = peft::floatToBfloat(w[i]);
    for (uint8_t& value : weights.nf4) value = static_cast<uint8_t>(lrand48());
    double dnnlBf16 = oneDnn(m, n, k, true, x, w, y), dnnlF32 = oneDnn(m, n, k, false, x, w, y);
    auto forward = [&](peft::Format format, bool bf16) {
      peft::Product p;
      p.rows = n, p.columns = m, p.depth = k;
      p.s = view(weights, w, format, k), p.v = peft::denseView(x.data(), k), p.vTransposed = true;
      p.out = y.data(), p.outStride = n, p.outTransposed = true, p.bf16 = bf16;
      return speed(2.0 * m * n * k, [&] { peft::multiply(p); });
    };
    auto gradient = [&](peft::Format format, bool bf16) {
      peft::Product p;
      p.rows = m, p.columns = k, p.depth = n;
      p.s = peft::denseView(x.data(), n), p.v = view(weights, w, format, k), p.shareS = true;
      p.out = y.data(), p.outStride = k, p.bf16 = bf16;
      return speed(2.0 * m * n * k, [&] { peft::multiply(p); });
    };
    char name[64];
    std::snprintf(name, sizeof name, "%ld x %ld x %ld", long(m), long(n), long(k));
    auto cell = [](double value, double reference) {
      std::printf(" %7.1f (%4.2f) ", value, value / reference);
    };
    std::printf("%-18s %9.1f %9.1f |", name, dnnlBf16, dnnlF32);
    cell(forward(peft::Format::bf16, true), dnnlBf16);
    cell(gradient(peft::Format::bf16, true), dnnlBf16);
    std::printf("|");
    cell(forward(peft::Format::nf4, true), dnnlBf16);
    cell(gradient(peft::Format::nf4, true), dnnlBf16);
    std::printf("|");
    cell(forward(peft::Format::f32, false), dnnlF32);
    std::printf("\n");
    std::fflush(stdout);
  }
}
