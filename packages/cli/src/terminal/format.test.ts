import { expect, test } from 'vitest';
import { modelSummary } from './format.js';

test("the summary of FLAN-T5-XL's encoder with ia3_bias is that of AutoGluon's tutorial", () => {
  // 96 vectors of 2048, 32·32 relative positions, the final norm, and a head of 2·2048 + 2; 4 bytes
  // an element.
  expect(modelSummary(96 * 2048 + 32 * 32 + 2048 + 2 * 2048 + 2, 1_223_728_130))
    .toMatchInlineSnapshot(`
    "parameters
    ────────────────────  ─────────────
    trainable                   203,778
    non-trainable         1,223,524,352
    total                 1,223,728,130
    size in float32 (MB)      4,894.913"
  `);
});
