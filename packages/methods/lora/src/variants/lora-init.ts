/** How the matrices A `[r, in]` and B `[out, r]` of LoRA start. */
import { kaimingUniform, normal, zeros } from '@peft/core';
import { didYouMean, PeftError, show } from '@peft/errors';
import { randomNormal, truncatedQr, type RandomKey } from '@peft/ops';
import {
  fastPissaInit,
  loftqInit,
  micaInit,
  oloraInit,
  pissaInit,
} from '../decompositions/lora-decompositions.js';
import { awaitedStart } from '../data-starts/given-start.js';
import type { LoraInitCall, LoraInitializer } from './lora-initializer.js';

/** A kaiming-uniform (a = √5), B zero: the identity at the start. */
export const defaultInit: LoraInitializer = Object.freeze({
  name: 'default',
  peftValue: true,
  start: () => ({ a: kaimingUniform, b: zeros }),
});
/** A ~ N(0, 1/r²), B zero, as in the paper's code for diffusion models. */
export const gaussianInit: LoraInitializer = Object.freeze({
  name: 'gaussian',
  peftValue: 'gaussian',
  start: ({ rank }: LoraInitCall) => ({ a: normal(1 / rank), b: zeros }),
});
/** A and B both random, so that the adapter does something at once: for tests. */
export const randomInit: LoraInitializer = Object.freeze({
  name: 'random',
  peftValue: false,
  start: () => ({ a: kaimingUniform, b: kaimingUniform }),
});

/**
 * A and B both random, yet B·A zero: A = Q_even rows mixed by normal numbers, B the odd ones, Q
 * `[r, r]` orthogonal. datta0.github.io/posts/rethink-lora-init, as PEFT has it.
 */
export const orthogonalInit: LoraInitializer = Object.freeze({
  name: 'orthogonal',
  peftValue: 'orthogonal',
  start({ rank, context }: LoraInitCall) {
    if (rank % 2 !== 0)
      throw new PeftError(
        'PEFT_CONFIG_INVALID',
        `lora: init 'orthogonal' needs an even rank, got ${rank}.`,
      );
    const key = context.randomKey('orthogonal');
    const random = Array.from({ length: rank }, (_, i) =>
      Float64Array.from({ length: rank }, (_value, j) => randomNormal(key, i * rank + j)),
    );
    const { q } = truncatedQr(random, rank);
    /** Σ_h n_hi·Q[2h + parity, k]/10 at feature i and rank k. */
    const mixed = (parity: 0 | 1, own: RandomKey, features: number, i: number, k: number) => {
      let sum = 0;
      for (let h = 0; h < rank / 2; h += 1)
        sum += randomNormal(own, h * features + i) * q[k]![2 * h + parity]!;
      return sum / 10;
    };
    return {
      a: ([, inputs]: readonly number[], own: RandomKey) =>
        Float32Array.from({ length: rank * inputs! }, (_, at) =>
          mixed(0, own, inputs!, at % inputs!, Math.floor(at / inputs!)),
        ),
      b: ([outputs]: readonly number[], own: RandomKey) =>
        Float32Array.from({ length: outputs! * rank }, (_, at) =>
          mixed(1, own, outputs!, Math.floor(at / rank), at % rank),
        ),
    };
  },
});

const NAMED: Readonly<Record<string, () => LoraInitializer>> = {
  default: () => defaultInit,
  gaussian: () => gaussianInit,
  random: () => randomInit,
  orthogonal: () => orthogonalInit,
  pissa: () => pissaInit,
  olora: () => oloraInit,
  mica: () => micaInit,
  loftq: () => loftqInit(),
  eva: () => awaitedStart('eva'),
  corda: () => awaitedStart('corda'),
  lora_ga: () => awaitedStart('lora_ga'),
};

/**
 * The initialiser of that name (`pissa_niter_16` for 16 rounds), or the given one itself.
 * @throws PEFT_CONFIG_INVALID
 */
export function loraInitializer(init: string | LoraInitializer): LoraInitializer {
  if (typeof init === 'object' && init !== null && typeof init.start === 'function') return init;
  const rounds = typeof init === 'string' ? /^pissa_niter_(\d+)$/.exec(init)?.[1] : undefined;
  if (rounds !== undefined) return fastPissaInit(Number(rounds));
  if (typeof init === 'string' && Object.hasOwn(NAMED, init)) return NAMED[init]!();
  const names = [...Object.keys(NAMED), 'pissa_niter_16'];
  throw new PeftError(
    'PEFT_CONFIG_INVALID',
    `lora: init must be one of ${names.join(', ')} or an initialiser, got ${show(init)}.`,
    typeof init === 'string'
      ? { hint: didYouMean(init, names) || 'pass { name, peftValue, start } for one of your own' }
      : {},
  );
}
