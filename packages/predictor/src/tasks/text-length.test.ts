import type { TextTokenizer } from '@peft/data';
import { expect, it } from 'vitest';
import type { BaseModel } from '../model/base-model.js';
import { overrideHyperparameters, resolveHyperparameters } from '../settings/hyperparameters.js';
import { textLength } from './text-length.js';

const tokenizer = { modelMaxLength: 256 } as TextTokenizer;
const length = (config: Record<string, unknown>, wanted = 512, virtualTokens?: number): number =>
  textLength({
    base: { config, tokenizer, virtualTokens } as unknown as BaseModel, // all that is read of it
    settings: overrideHyperparameters(resolveHyperparameters(), {
      'model.hf_text.max_text_len': wanted,
    }),
  });
const roberta = { max_position_embeddings: 514, model_type: 'roberta', pad_token_id: 1 };

it('is bounded by the setting, the tokeniser of a relative model, and the position table of another', () => {
  expect(length({ relative_attention: true, max_position_embeddings: 128 })).toBe(256);
  expect(length({ max_position_embeddings: 128 })).toBe(128);
  expect(length(roberta)).toBe(512);
  expect(length(roberta, 64)).toBe(64);
});

it('leaves room for virtual tokens where there are positions', () => {
  expect(length({ max_position_embeddings: 128 }, 512, 20)).toBe(108);
  expect(length({ max_position_embeddings: 128 }, 100, 20)).toBe(100);
  expect(length({ relative_attention: true }, 512, 20)).toBe(256);
  expect(() => length({ max_position_embeddings: 32 }, 512, 31)).toThrow(
    expect.objectContaining({ code: 'PEFT_PROMPT_LENGTH' }),
  );
});
