import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { countTable } from './count-parameters.js';

it('docs/trainable-parameters.md is what the script counts', () => {
  expect(readFileSync(new URL('../../docs/trainable-parameters.md', import.meta.url), 'utf8')).toBe(
    countTable(),
  );
});

// From the layers' sizes: 12 blocks of 768 (12 + 12 in T5, with 12 attentions more), 32 of 4096;
// keys and values of Llama are 1024 wide.
const bottleneck = (width: number, size: number): number => 2 * width * size + width + size;
const prefix = (
  width: number,
  blocks: number,
  { keys = width, bottleneck = 800, length = 30 } = {},
): number =>
  length * width + width * bottleneck + bottleneck + (bottleneck + 1) * blocks * 2 * keys;
const gates = (count: number, width: number): number => count * (width + 1);
const text = (count: number): string => count.toLocaleString('en');
it.each([
  ['`lora({ rank: 8 })`', ['294,912', '884,736', '3,407,872']],
  ["`lora({ rank: 8, targets: 'all-linear' })`", [undefined, '3,244,032', '20,971,520']],
  ['`promptTuning({ virtualTokens: 20 })`', ['15,360', '30,720', '81,920']],
  // T5 has its relative_attention_bias alone
  ['`bitfit()`', [text(12 * (4 * 768 + 3072 + 768 + 2 * 768) + 768 + 768), text(2 * 32 * 12), '–']],
  [
    '`houlsby()`',
    [
      text(24 * bottleneck(768, 48)),
      text(48 * bottleneck(768, 48)),
      text(64 * bottleneck(4096, 256)),
    ],
  ],
  [
    '`pfeiffer()`',
    [
      text(12 * bottleneck(768, 48)),
      text(24 * bottleneck(768, 48)),
      text(32 * bottleneck(4096, 256)),
    ],
  ],
  [
    '`parallelAdapter()`',
    [
      text(12 * bottleneck(768, 384)),
      text(24 * bottleneck(768, 384)),
      text(32 * bottleneck(4096, 2048)),
    ],
  ],
  [
    '`mam()`',
    [
      text(12 * bottleneck(768, 384) + prefix(768, 12)),
      text(24 * bottleneck(768, 384) + 3 * prefix(768, 12)),
      text(32 * bottleneck(4096, 2048) + prefix(4096, 32, { keys: 1024 })),
    ],
  ],
  // Gates of prefixes, adapters and LoRA's queries and values.
  [
    '`unipelt()`',
    [
      text(
        12 * bottleneck(768, 48) +
          prefix(768, 12, { length: 10, bottleneck: 512 }) +
          294912 +
          gates(12 + 12 + 24, 768),
      ),
      text(
        24 * bottleneck(768, 48) +
          3 * prefix(768, 12, { length: 10, bottleneck: 512 }) +
          884736 +
          gates(36 + 24 + 72, 768),
      ),
      text(
        32 * bottleneck(4096, 256) +
          prefix(4096, 32, { length: 10, bottleneck: 512, keys: 1024 }) +
          3407872 +
          gates(32 + 32 + 64, 4096),
      ),
    ],
  ],
])('%s trains %j', (method, counts) => {
  const row = countTable()
    .split('\n')
    .find((line) => line.startsWith(`| ${method} |`))!;
  counts.forEach(
    (count, i) => count && expect(row.split(' | ')[i + 1]!.replace(' |', '')).toBe(count),
  );
});
