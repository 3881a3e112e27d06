/**
 * A misspelt option or a wrong value of a method does not compile; run anyway, it is a named error.
 */
import { adalora } from '@peft/adalora';
import { bitfit, lnTuning } from '@peft/bitfit';
import { ia3 } from '@peft/ia3';
import { lora } from '@peft/lora';
import { loha, lokr } from '@peft/lycoris';
import { oft } from '@peft/oft';
import { qlora } from '@peft/qlora';
import { trainableTokens } from '@peft/trainable-tokens';
import { vera } from '@peft/vera';
import { expect, test } from 'vitest';

const unknown = expect.objectContaining({ code: 'PEFT_CONFIG_UNKNOWN_KEY' });
const invalid = expect.objectContaining({ code: 'PEFT_CONFIG_INVALID' });

test('names of options are checked by the compiler, and at run time with the nearest names', () => {
  // @ts-expect-error no such option
  expect(() => lora({ rnak: 8 })).toThrow(
    'lora: unknown option "rnak".\n  hint: Did you mean "rank"',
  );
  // @ts-expect-error no such option
  expect(() => lora({ target_modules: ['query'] })).toThrow(unknown);
  // @ts-expect-error no such option
  expect(() => ia3({ feedforward: [] })).toThrow(unknown);
  // @ts-expect-error no such option
  expect(() => bitfit({ bias: true })).toThrow(unknown);
  // @ts-expect-error no such option
  expect(() => lnTuning({ norms: 'all' })).toThrow(unknown);
  // @ts-expect-error no such option
  expect(() => adalora({ rank: 8, totalSteps: 10 })).toThrow(unknown);
  // @ts-expect-error no such option
  expect(() => vera({ alpha: 8 })).toThrow(unknown);
  // @ts-expect-error no such option
  expect(() => loha({ decomposeFactor: 8 })).toThrow(unknown);
  // @ts-expect-error no such option
  expect(() => lokr({ factor: 8 })).toThrow(unknown);
  // @ts-expect-error no such option
  expect(() => oft({ block: 8 })).toThrow(unknown);
  // @ts-expect-error no such option
  expect(() => trainableTokens({ tokens: [1] })).toThrow(unknown);
  // @ts-expect-error no such option
  expect(() => qlora({ quantization: { bits: 4 } })).toThrow(unknown);
});

test('values of options are checked by the compiler and at run time', () => {
  // @ts-expect-error not a number
  expect(() => lora({ rank: '8' })).toThrow(invalid);
  // @ts-expect-error not one of the words
  expect(() => lora({ bias: 'some' })).toThrow(invalid);
  // @ts-expect-error neither names nor roles
  expect(() => lora({ targets: 3 })).toThrow(invalid);
  // @ts-expect-error not true or false
  expect(() => lora({ modulesToSave: ['embed_tokens'], ensureWeightTying: 'yes' })).toThrow(
    invalid,
  );
  // @ts-expect-error not one of the words
  expect(() => bitfit({ norms: 'rms' })).toThrow(invalid);
  // @ts-expect-error not a list
  expect(() => trainableTokens({ tokenIndices: 3 })).toThrow(invalid);
  // @ts-expect-error not one of the formats
  expect(() => qlora({ quantization: { format: 'nf5' } })).toThrow(invalid);
  // @ts-expect-error not true or false
  expect(() => oft({ constrained: 1 })).toThrow(invalid);
});
