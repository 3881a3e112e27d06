import { execFile } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';
import { MODEL, quickRows } from './quick.js';

const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url));
const csv = (rows: ReturnType<typeof quickRows>): string => ['topic,text', ...rows.map(({ topic, text }) => `${topic},${text}`)].join('\n');

it('the example of the README runs as it is written', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'peft-predictor-readme-'));
  try {
    symlinkSync(here('../../../node_modules'), join(folder, 'node_modules'));
    symlinkSync(MODEL, join(folder, 'model'));
    writeFileSync(join(folder, 'package.json'), '{"type": "module"}');
    writeFileSync(join(folder, 'train.csv'), csv(quickRows(30, 3)));
    writeFileSync(join(folder, 'test.csv'), csv(quickRows(12, 3)));
    writeFileSync(join(folder, 'example.ts'), /```ts\n([\s\S]*?)```/.exec(readFileSync(here('../README.md'), 'utf8'))![1]!);
    const { stdout } = await promisify(execFile)(process.execPath, ['--conditions=@peft/source', '--import', 'tsx', 'example.ts'], { cwd: folder });
    const lines = stdout.trim().split('\n');
    expect(lines.at(-2)).toMatch(/^\{ accuracy: [\d.]+, log_loss: [\d.]+ \}$/);
    expect(lines.at(-1)).toMatch(/^\[ '(sports|health|travel)' \]$/);
    expect(readdirSync(join(folder, 'topics')).sort()).toEqual(['adapter', 'model', 'predictor.json']);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
