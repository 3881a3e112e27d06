import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { countTable } from './count-parameters.js';

it('docs/trainable-parameters.md is what the script counts', () => {
  expect(readFileSync(new URL('../docs/trainable-parameters.md', import.meta.url), 'utf8')).toBe(countTable());
});

// As PEFT's print_trainable_parameters says, which its documentation and papers quote for these models.
it.each([
  ['`lora({ rank: 8 })`', ['294,912', '884,736', '3,407,872']],
  ["`lora({ rank: 8, targets: 'all-linear' })`", [undefined, '3,244,032', '20,971,520']],
  ['`promptTuning({ virtualTokens: 20 })`', ['15,360', '30,720', '81,920']],
])('%s trains %j', (method, counts) => {
  const row = countTable().split('\n').find((line) => line.startsWith(`| ${method} |`))!;
  counts.forEach((count, i) => count && expect(row.split(' | ')[i + 1]!.replace(' |', '')).toBe(count));
});
