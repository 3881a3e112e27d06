import { expect, it } from 'vitest';
import { mersenneTwister, torchPermutation } from './mersenne-twister.js';

it("gives the reference's first and ten thousandth number", () => {
  // Matsumoto and Nishimura's program, also in the C++ standard [rand.predef] for the seed 5489.
  const random = mersenneTwister(5489);
  expect(random()).toBe(3499211612);
  let last = 0;
  for (let i = 2; i <= 10000; i += 1) last = random();
  expect(last).toBe(4123659995);
});

it('permutes as torch.randperm does', () => {
  // torch.randperm(10, generator=torch.Generator().manual_seed(7))
  expect(torchPermutation(7, 10, 10)).toEqual([5, 0, 3, 4, 1, 7, 9, 6, 8, 2]);
  expect(torchPermutation(7, 10, 3)).toEqual([5, 0, 3]);
});
