/**
 * Every method's contract on the native engine, in its main forms; its own package runs all forms
 * on the portable one.
 */
import { adalora } from '@peft/adalora';
import { adapter, NAMED_ADAPTERS } from '@peft/adapter';
import { bitfit, lnTuning } from '@peft/bitfit';
import type { AnyMethod, MethodName, PeftMethod } from '@peft/core';
import { ia3 } from '@peft/ia3';
import { lora } from '@peft/lora';
import { loha, lokr } from '@peft/lycoris';
import { mam, unipelt } from '@peft/mam';
import { oft } from '@peft/oft';
import type { Engine } from '@peft/ops';
import { attentionPrefix, prefixTuning, promptTuning, pTuning } from '@peft/prompt-tuning';
import { qlora } from '@peft/qlora';
import { reft } from '@peft/reft';
import { ladder } from '@peft/side';
import {
  describePeftMethod,
  onShapesInTurn,
  type MethodCase,
  type MethodContractOptions,
} from '@peft/testing';
import { trainableTokens } from '@peft/trainable-tokens';
import { vera } from '@peft/vera';
import { describe } from 'vitest';
import { openEngine } from '../golden/engines.js';

let reason: string | undefined;
await openEngine('native').then(
  (engine) => engine.dispose(),
  (error: Error) => (reason = error.message.split('\n')[0]),
);

const options = { createEngine: (): Promise<Engine> => openEngine('native') };
const title = 'by default';
const SMALL = { reductionFactor: 3 };
/**
 * Not a sum or product with the base's weights: nothing to merge, and no row of a batch without it.
 */
const APART = { identityAtStart: false, merges: false, mixes: false } as const;
const prefix = { prefixLength: 2, bottleneckSize: 4 };
const union = {
  ...options,
  methods: [attentionPrefix, adapter, lora] as unknown as readonly AnyMethod[],
};

/** Each form on one shape of models, by turns; on all with `PEFT_LONG_TESTS=1`. */
const isLong = process.env['PEFT_LONG_TESTS'] === '1';
let turn = 0;
function declare<Name extends MethodName>(
  method: PeftMethod<Name>,
  cases: readonly MethodCase<Name>[],
  given: MethodContractOptions<Name>,
): void {
  describePeftMethod(method, isLong ? cases : onShapesInTurn(cases, turn), given);
  turn += cases.length;
}

describe.skipIf(reason !== undefined)(
  reason === undefined
    ? `on the native engine${isLong ? '' : ', each form on one shape'}`
    : `on the native engine (skipped: ${reason})`,
  () => {
    declare(
      lora,
      [
        { title, options: { rank: 3 } },
        {
          title: 'with DoRA',
          options: { rank: 3, dora: true, targets: 'all-linear' },
          exactGradient: false,
        },
        {
          title: 'rank-stabilised, from the singular values',
          options: { rank: 2, alpha: 3, rankStabilized: true, init: 'pissa' },
        },
        {
          title: 'on the word embedding',
          options: { rank: 2, targets: { roles: ['embedding.word', 'attention.query'] } },
          on: ['encoder', 'decoder'],
        },
        {
          title: 'on the embeddings of two stacks, which read one table',
          options: { rank: 2, targets: { roles: ['embedding.word', 'attention.query'] } },
          on: ['encoder-decoder'],
          merges: false,
        },
      ],
      options,
    );
    declare(lora, [{ title: 'QLoRA', options: { rank: 2 } }], {
      ...options,
      load: qlora().load,
      spec: (given) => qlora(given).method,
    });
    declare(ia3, [{ title }], options);
    declare(
      bitfit,
      [
        { title, options: { norms: 'layer' }, on: ['encoder'], withoutGradient: /key\.bias$/ },
        {
          title: "T5's table of relative positions, which a batch shares",
          on: ['encoder-decoder'],
          mixes: false,
        },
        {
          title: 'norms of any kind',
          options: { biases: false, norms: 'all' },
          on: ['encoder-decoder', 'decoder'],
        },
      ],
      options,
    );
    declare(lnTuning, [{ title }], options);
    declare(
      adapter,
      [
        { title: "as Houlsby's", options: { ...NAMED_ADAPTERS['houlsby'], ...SMALL }, ...APART },
        { title: "as Pfeiffer's", options: { ...NAMED_ADAPTERS['pfeiffer'], ...SMALL }, ...APART },
        {
          title: 'parallel',
          options: { ...NAMED_ADAPTERS['parallel'], ...SMALL },
          ...APART,
          identityAtStart: true,
        },
        {
          title: 'parallel with a learned scale',
          options: { ...NAMED_ADAPTERS['scaled_parallel'], ...SMALL },
          ...APART,
          identityAtStart: true,
        },
        {
          title: 'compacter',
          options: { ...NAMED_ADAPTERS['compacter'], ...SMALL, phmDim: 2 },
          ...APART,
        },
        { title: 'invertible', options: { ...NAMED_ADAPTERS['seq_bn_inv'], ...SMALL }, ...APART },
      ],
      options,
    );
    declare(promptTuning, [{ title, options: { virtualTokens: 3 }, ...APART }], options);
    declare(
      pTuning,
      [
        { title, options: { virtualTokens: 3, encoderHiddenSize: 5 }, ...APART },
        {
          title: 'with an LSTM',
          options: { virtualTokens: 3, encoder: 'lstm', encoderHiddenSize: 4 },
          ...APART,
        },
      ],
      options,
    );
    declare(
      prefixTuning,
      [
        { title, options: { virtualTokens: 3 }, ...APART },
        {
          title: 'projected',
          options: { virtualTokens: 3, prefixProjection: true, encoderHiddenSize: 5 },
          ...APART,
        },
      ],
      options,
    );
    declare(attentionPrefix, [{ title, options: prefix, ...APART }], options);
    declare(adapter, [{ title: 'MAM', ...APART }], {
      ...union,
      spec: () => mam({ prefix, adapter: SMALL }),
    });
    declare(lora, [{ title: 'UniPELT', ...APART }], {
      ...union,
      spec: () => unipelt({ prefix, adapter: SMALL, lora: { rank: 2 } }),
    });
    declare(
      adalora,
      [{ title, options: { initialRank: 3, targetRank: 2, totalSteps: 10 } }],
      options,
    );
    declare(vera, [{ title, options: { rank: 4 } }], options);
    declare(loha, [{ title, options: { rank: 2 } }], options);
    declare(lokr, [{ title, options: { rank: 2 } }], options);
    declare(oft, [{ title, options: { blockSize: 4 } }], options);
    // LoReFT's gradients are tested apart: only the integer part of a diagonal counts, and off its
    // start that is 0 here and there.
    declare(
      reft,
      [
        {
          title,
          options: { dropout: 0, rank: 2, prefixPositions: 2, suffixPositions: 1 },
          ...APART,
          withoutGradient: /units/,
        },
        {
          title: 'NoReFT',
          options: { rank: 2, orthogonality: false, suffixPositions: 1, dropout: 0 },
          ...APART,
        },
      ],
      options,
    );
    const small = { reductionFactor: 2, dropout: 0 };
    const beside = { ...APART, identityAtStart: true, withoutGradient: /key\.bias$/ };
    declare(ladder, [{ title, options: small, ...beside }], options);
    declare(ladder, [{ title: 'on a base in 4 bits', options: small, ...beside }], {
      ...options,
      load: qlora().load,
    });
    declare(trainableTokens, [{ title, options: { tokenIndices: [6, 3, 13] } }], options);
  },
);
