/** Wrong options do not compile; run anyway, they are named errors. */
import { adapter, adapterFusion, houlsby } from '@peft/adapter';
import { attentionPrefix, prefixTuning, promptTuning, pTuning } from '@peft/prompt-tuning';
import { loReft } from '@peft/reft';
import { expect, test } from 'vitest';
import { mam, unipelt } from '../src/index.js';

const unknown = expect.objectContaining({ code: 'PEFT_CONFIG_UNKNOWN_KEY' });
const invalid = expect.objectContaining({ code: 'PEFT_CONFIG_INVALID' });

test('names of options are checked by the compiler, and at run time with the nearest names', () => {
  // @ts-expect-error no such option
  expect(() => houlsby({ reductionFaktor: 3 })).toThrow(
    'adapter: unknown option "reductionFaktor".\n  hint: Did you mean "reductionFactor"',
  );
  // @ts-expect-error no such option
  expect(() => pTuning({ layers: 3 })).toThrow(unknown);
  // @ts-expect-error no such option
  expect(() => attentionPrefix({ virtualTokens: 3 })).toThrow(unknown);
  // @ts-expect-error no such option
  expect(() => mam({ prefix: { length: 3 } })).toThrow(unknown);
  // @ts-expect-error no such option
  expect(() => loReft({ r: 3 })).toThrow(unknown);
});

test('values of options are checked by the compiler and at run time', () => {
  // @ts-expect-error neither a number nor one of the words
  expect(() => adapter({ scaling: 'row' })).toThrow(invalid);
  // @ts-expect-error not one of the networks
  expect(() => pTuning({ encoder: 'MLP' })).toThrow(invalid);
  // @ts-expect-error not one of the starts
  expect(() => promptTuning({ init: 'TEXT' })).toThrow(invalid);
  // @ts-expect-error not a number
  expect(() => prefixTuning({ virtualTokens: '20' })).toThrow(invalid);
  // @ts-expect-error not a list
  expect(() => adapterFusion({ adapters: 'first,second' })).toThrow(invalid);
  // @ts-expect-error not a number
  expect(() => unipelt({ lora: { rank: '8' } })).toThrow(invalid);
});
