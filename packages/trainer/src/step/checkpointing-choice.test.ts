import { describeModel } from '@peft/core';
import { bert } from '@peft/models';
import { describe, expect, it } from 'vitest';
import { activationBytes, chooseCheckpointing } from './checkpointing-choice.js';

const description = describeModel(
  bert,
  bert.parseConfig({
    model_type: 'bert',
    hidden_size: 768,
    num_hidden_layers: 12,
    num_attention_heads: 12,
    intermediate_size: 3072,
  }),
);

describe('gradient checkpointing by default', () => {
  it('is judged by tokens, blocks and widths', () => {
    expect(activationBytes(description, 1024)).toBe(1024 * 12 * 4 * (10 * 768 + 2 * 3072)); // 680 MB
  });

  it('comes on when the activations would take over half of what is free', () => {
    expect(chooseCheckpointing('auto', description, 1024, 2e9)).toBe(false);
    expect(chooseCheckpointing('auto', description, 1024, 1e9)).toBe(true);
  });

  it('leaves what was chosen as it is', () => {
    const blocks = new Set([0, 3]);
    expect(chooseCheckpointing(blocks, description, 1024, 1)).toBe(blocks);
    expect(chooseCheckpointing(false, description, 1024, 1)).toBe(false);
  });
});
