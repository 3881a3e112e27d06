import { expect, it } from 'vitest';
import { mersenneTwister, torchNormal, torchPermutation } from './mersenne-twister.js';

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

it('draws normal numbers as torch.normal does, few and many', () => {
  // torch.normal(0.0, 0.5, (n,), generator=torch.Generator().manual_seed(4))
  const drawn = (count: number) => [...torchNormal(mersenneTwister(4), count, 0.5)];
  const few = [-0.802638, 0.116243, 1.119935, 0.423647, 0.600322];
  drawn(5).forEach((value, i) => expect(value).toBeCloseTo(few[i]!, 5));
  const many = [
    -0.470708, 0.631623, -0.091885, -0.076774, 0.569808, -0.115094, 0.593866, 0.383868, -0.355831,
    0.217472, 0.809911, -0.11732, -0.210765, 0.424418, -0.338788, -0.472271, 1.084917, -0.58678,
    -0.195798,
  ];
  drawn(19).forEach((value, i) => expect(value).toBeCloseTo(many[i]!, 5));
});
