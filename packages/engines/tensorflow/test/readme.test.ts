import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { runReadmeExample } from '../../../../tools/checks/readme-example.js';
import { missingLibrary } from './missing-library.js';

const reason = missingLibrary();

test.skipIf(reason)(
  `the example of the README runs as it is written and prints what its comments say${reason ? ` (skipped: ${reason})` : ''}`,
  async () => {
    const readme = readFileSync(new URL('../README.md', import.meta.url), 'utf8');
    const promised = [...readme.matchAll(/^console\.log\(.*\/\/ (.*)$/gm)].map(
      ([, comment]) => comment!,
    );
    const { printed } = await runReadmeExample('tensorflow');
    const [description, product] = printed.trim().split('\n').slice(-promised.length);
    // which depend on the machine
    const general = (text: string) => text.replace(/\d+(\.\d+)* \(.*(?=, )/, 'VERSION (DEVICE');
    expect([general(description!), product!.replace(/\s/g, '')]).toEqual([
      general(promised[0]!),
      promised[1]!.replace(/\s/g, ''),
    ]);
    expect(general(description!)).toBe('tensorflow VERSION (DEVICE, float32)');
  },
);
