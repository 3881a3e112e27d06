import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

const readme = readFileSync(new URL('../README.md', import.meta.url), 'utf8');
const examples = [...readme.matchAll(/```ts\n([\s\S]*?)```/g)].map(([, code]) => code!);

test.each(examples)(
  'an example of the README runs as written and prints what it says: %#',
  (example) => {
    const output = execFileSync(
      process.execPath,
      ['--conditions=@peft/source', '--import', 'tsx', '--input-type=module', '--eval', example],
      {
        cwd: fileURLToPath(new URL('..', import.meta.url)),
        encoding: 'utf8',
        stdio: ['ignore', 'pipe', 'pipe'],
      },
    );
    const [, printed] = /console\.log\(.*\); \/\/ (.*)/.exec(example)!;
    expect(output.trim().split('\n').at(-1)).toBe(printed);
  },
);
