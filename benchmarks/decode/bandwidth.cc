// How fast memory can be read: threads sum a large array of 64-bit words, each its own part. Prints
// GB/s, the best of some passes.
//   c++ -O3 -march=native -pthread bandwidth.cc -o bandwidth && ./bandwidth THREADS MEGABYTES
//   PASSES
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <thread>
#include <vector>

int main(int argc, char** argv) {
  const size_t threads = argc > 1 ? std::strtoul(argv[1], nullptr, 10) : 1,
               megabytes = argc > 2 ? std::strtoul(argv[2], nullptr, 10) : 1024,
               passes = argc > 3 ? std::strtoul(argv[3], nullptr, 10) : 5;
  const size_t words = megabytes * 1000000 / 8 / (threads * 64) * (threads * 64),
               part = words / threads;
  std::vector<uint64_t> memory(words, 1);
  double best = 0;
  uint64_t check = 0;
  for (size_t pass = 0; pass < passes; pass++) {
    std::vector<uint64_t> sums(threads * 8);
    const auto start = std::chrono::steady_clock::now();
    std::vector<std::thread> team;
    for (size_t t = 0; t < threads; t++)
      team.emplace_back([&, t] {
        const uint64_t* p = memory.data() + t * part;
        uint64_t lanes[64] = {};
        for (size_t i = 0; i < part; i += 64)
          for (size_t k = 0; k < 64; k++) lanes[k] += p[i + k];
        for (uint64_t lane : lanes) sums[t * 8] += lane;
      });
    for (std::thread& each : team) each.join();
    const double seconds =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    best = best > words * 8 / seconds / 1e9 ? best : words * 8 / seconds / 1e9;
    for (uint64_t sum : sums) check += sum;
  }
  if (check != words * passes) return 1;
  std::printf("%.2f\n", best);
}
