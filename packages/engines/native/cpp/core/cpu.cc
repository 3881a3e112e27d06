#include "cpu.h"

#include <cstdint>

#if defined(__x86_64__) || defined(_M_X64)
#ifdef _MSC_VER
#include <immintrin.h>
#include <intrin.h>
#else
#include <cpuid.h>
#endif
#ifdef __linux__
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace peft {
namespace {

struct Features {
  bool avx2 = false, avx512 = false, avx512bf16 = false, vbmi = false, amx = false;
};

struct Registers {
  uint32_t a = 0, b = 0, c = 0, d = 0;
};

Registers cpuid(uint32_t leaf, uint32_t subleaf) {
  Registers r;
#ifdef _MSC_VER
  int values[4];
  __cpuidex(values, static_cast<int>(leaf), static_cast<int>(subleaf));
  r = {static_cast<uint32_t>(values[0]), static_cast<uint32_t>(values[1]),
       static_cast<uint32_t>(values[2]), static_cast<uint32_t>(values[3])};
#else
  if (!__get_cpuid_count(leaf, subleaf, &r.a, &r.b, &r.c, &r.d)) r = {};
#endif
  return r;
}

/** Register state that the operating system saves (XCR0). */
uint64_t savedState() {
#ifdef _MSC_VER
  return _xgetbv(0);
#else
  uint32_t low, high;
  asm volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return static_cast<uint64_t>(high) << 32 | low;
#endif
}

/** Asks Linux for the tiles' state, which a process gets on request only. */
bool askForTiles() {
#ifdef __linux__
  constexpr long kRequestPermission = 0x1023, kTileData = 18;  // ARCH_REQ_XCOMP_PERM
  return syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
#else
  return false;
#endif
}

Features detect() {
  Features features;
  const Registers one = cpuid(1, 0), seven = cpuid(7, 0), sevenOne = cpuid(7, 1);
  auto bit = [](uint32_t word, int index) { return ((word >> index) & 1) != 0; };
  if (!bit(one.c, 27)) return features;  // OSXSAVE
  const uint64_t state = savedState();
  const bool saves256 = (state & 0x6) == 0x6, saves512 = (state & 0xe6) == 0xe6;
  features.avx2 = saves256 && bit(one.c, 28) && bit(one.c, 12) && bit(one.c, 29) && bit(seven.b, 5);
  features.avx512 = features.avx2 && saves512 && bit(seven.b, 16) && bit(seven.b, 17) &&
                    bit(seven.b, 30) && bit(seven.b, 31);
  features.avx512bf16 = features.avx512 && bit(sevenOne.a, 5);
  features.vbmi = features.avx512 && bit(seven.c, 1);
  const bool savesTiles = (state & 0x60000) == 0x60000;
  features.amx =
      features.avx512bf16 && savesTiles && bit(seven.d, 22) && bit(seven.d, 24) && askForTiles();
  return features;
}

const Features& features() {
  static const Features detected = detect();
  return detected;
}

}  // namespace

bool cpuHasAvx2() {
  return features().avx2;
}
bool cpuHasAvx512() {
  return features().avx512;
}
bool cpuHasAvx512Bf16() {
  return features().avx512bf16;
}
bool cpuHasAvx512Vbmi() {
  return features().vbmi;
}
bool cpuHasAmx() {
  return features().amx;
}

}  // namespace peft
#else
namespace peft {

bool cpuHasAvx2() {
  return false;
}
bool cpuHasAvx512() {
  return false;
}
bool cpuHasAvx512Bf16() {
  return false;
}
bool cpuHasAvx512Vbmi() {
  return false;
}
bool cpuHasAmx() {
  return false;
}

}  // namespace peft
#endif
