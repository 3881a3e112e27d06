/**
 * The Mersenne Twister MT19937 (Matsumoto and Nishimura 1998), and what PyTorch draws from it on a
 * CPU: what follows from a seed alone (VeRA's projections, FourierFT's frequencies) is not in every
 * file.
 */

const N = 624;
const M = 397;

/**
 * 32-bit numbers of the generator seeded with `seed`, as `torch.Generator().manual_seed(seed)` on a
 * CPU.
 */
export function mersenneTwister(seed: number): () => number {
  const state = new Uint32Array(N);
  state[0] = seed >>> 0;
  for (let i = 1; i < N; i += 1)
    state[i] = Math.imul(1812433253, state[i - 1]! ^ (state[i - 1]! >>> 30)) + i;
  let next = N;
  return () => {
    if (next === N) {
      refill(state);
      next = 0;
    }
    let y = state[next]!;
    next += 1;
    y ^= y >>> 11;
    y ^= (y << 7) & 0x9d2c5680;
    y ^= (y << 15) & 0xefc60000;
    return (y ^ (y >>> 18)) >>> 0;
  };
}

function refill(state: Uint32Array): void {
  for (let i = 0; i < N; i += 1) {
    const y = (state[i]! & 0x80000000) | (state[(i + 1) % N]! & 0x7fffffff);
    state[i] = state[(i + M) % N]! ^ (y >>> 1) ^ (y & 1 ? 0x9908b0df : 0);
  }
}

/** `count` numbers of U(low, high) as PyTorch's `uniform_` fills a float32 tensor: 24 bits each. */
export function torchUniform(
  random: () => number,
  count: number,
  low: number,
  high: number,
): Float32Array {
  const range = Math.fround(high - low);
  return Float32Array.from(
    { length: count },
    () => Math.fround(Math.fround((random() & 0xffffff) * 2 ** -24) * range) + low,
  );
}

/**
 * The first `count` numbers of a random order of 0 … length − 1, as `torch.randperm` draws it for a
 * generator of that seed: Fisher and Yates' shuffle from the front.
 */
export function torchPermutation(seed: number, length: number, count: number): number[] {
  const random = mersenneTwister(seed);
  const moved = new Map<number, number>(); // places that no longer hold their own number
  const at = (place: number): number => moved.get(place) ?? place;
  return Array.from({ length: count }, (_, i) => {
    const other = i + (random() % (length - i));
    const [drawn, left] = [at(other), at(i)];
    moved.set(other, left);
    return drawn;
  });
}

/**
 * `count` numbers of N(0, σ²) as PyTorch's `normal_` fills a float32 tensor: Box and Muller's
 * transform, of 16 uniform numbers at a time, or of float64 ones where there are fewer.
 */
export function torchNormal(random: () => number, count: number, sigma: number): Float32Array {
  const out = new Float32Array(count);
  if (count < 16) {
    // 53 bits: the low half of the first number, all of the second
    const uniform = () => ((random() & 0x1fffff) * 2 ** 32 + random()) * 2 ** -53;
    for (let i = 0; i < count; i += 2) {
      const [turn, size] = [uniform(), uniform()];
      const radius = Math.sqrt(-2 * Math.log1p(-size));
      out[i] = radius * Math.cos(2 * Math.PI * turn) * sigma;
      if (i + 1 < count) out[i + 1] = radius * Math.sin(2 * Math.PI * turn) * sigma;
    }
    return out;
  }
  const draw = () => Math.fround((random() & 0xffffff) * 2 ** -24);
  for (let i = 0; i < count; i += 1) out[i] = draw();
  const turn = (start: number) => {
    for (let j = start; j < start + 8; j += 1) {
      const radius = Math.sqrt(-2 * Math.log(1 - out[j]!));
      const angle = 2 * Math.PI * out[j + 8]!;
      out[j] = radius * Math.cos(angle) * sigma;
      out[j + 8] = radius * Math.sin(angle) * sigma;
    }
  };
  for (let start = 0; start + 16 <= count; start += 16) turn(start);
  if (count % 16 !== 0) {
    // the last sixteen are drawn again
    for (let i = count - 16; i < count; i += 1) out[i] = draw();
    turn(count - 16);
  }
  return out;
}
