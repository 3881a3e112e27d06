/** README and guides run as they are written, in a folder with the files that they name. */
import { execFile } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { packageFolders, ROOT } from '../packages.mjs';
import { blocksOf } from './snippets/markdown-blocks.js';

const run = promisify(execFile);
const CHAT_TEMPLATE =
  "{% for message in messages %}<{{ message['role'] }}>{{ message['content'] }}{% endfor %}" +
  '{% if add_generation_prompt %}<assistant>{% endif %}';

const folder = mkdtempSync(join(tmpdir(), 'peft-guides-'));
beforeAll(() => {
  symlinkSync(join(ROOT, 'node_modules'), join(folder, 'node_modules'));
  writeFileSync(join(folder, 'package.json'), '{"type": "module"}');
  // A folder of that name comes before the hub.
  cpSync(
    join(ROOT, 'node_modules/.cache/peft/quick-model'),
    join(folder, 'microsoft/mdeberta-v3-base'),
    {
      recursive: true,
    },
  );
  const rows = (name: string, count: number) =>
    readFileSync(join(ROOT, 'examples/quickstart/data', name), 'utf8')
      .split('\n')
      .slice(0, count)
      .join('\n');
  writeFileSync(join(folder, 'train.tsv'), rows('en_train.tsv', 24));
  writeFileSync(join(folder, 'test.tsv'), rows('en_train.tsv', 12)); // topics of the training's
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** `npx peft` is the command of this repository; installing is another test's (`packed-install`). */
const PRELUDE =
  'set -e\nnpm() { :; }\n' +
  `npx() { shift; "${process.execPath}" "${join(ROOT, 'packages/cli/bin/peft.mjs')}" "$@"; }\n`;

/** Puts the model there that a page means by `./model`. */
function placeModel(name: string): void {
  rmSync(join(folder, 'model'), { recursive: true, force: true });
  const fixture = join(ROOT, 'packages/testing/fixtures/models', name);
  cpSync(fixture, join(folder, 'model'), { recursive: true });
}

async function runPage(page: string): Promise<string[]> {
  const printed: string[] = [];
  for (const { language, code, place } of blocksOf(page)) {
    if (language === 'sh')
      printed.push((await run('bash', ['-c', PRELUDE + code], { cwd: folder })).stdout);
    if (language !== 'ts') continue;
    const file = join(folder, `${place.replace(/\W/g, '_')}.ts`);
    writeFileSync(file, code);
    const words = ['--conditions=@peft/source', '--import', 'tsx', file];
    printed.push((await run(process.execPath, words, { cwd: folder })).stdout);
  }
  return printed;
}

describe('as they are written run', { timeout: 400_000 }, () => {
  test('README.md', async () => {
    placeModel('bert');
    const printed = await runPage('README.md');
    expect(printed.join('\n')).toMatch(/trainable of [\d,]+ parameters/);
    const losses = printed.at(-1)!.trim().split('\n').map(Number);
    expect(losses).toHaveLength(20);
    expect(losses.at(-1)).toBeLessThan(losses[0]!);
  });

  test('docs/fine-tune-on-chats.md', async () => {
    placeModel('llama');
    writeFileSync(join(folder, 'model/chat_template.jinja'), CHAT_TEMPLATE);
    const printed = await runPage('docs/fine-tune-on-chats.md');
    expect(existsSync(join(folder, 'out/chat/adapter/adapter_config.json'))).toBe(true);
    expect(printed.at(-1)!.trim()).toBe('string');
  });

  test('docs/write-a-method.md', async () => {
    const [printed] = await runPage('docs/write-a-method.md');
    // a factor for each output of 2 × (4 × 32 + 64 + 32), pooler and classifier left alone or not
    expect(printed).toMatch(/trainable: \d+/);
  });

  test('docs/write-an-engine.md', async () => {
    const [printed] = await runPage('docs/write-an-engine.md');
    expect(printed).toContain('[ 1, 3 ]');
  });
});

test('the walks of CONTRIBUTING.md lead through files that are there', () => {
  const page = readFileSync(join(ROOT, 'CONTRIBUTING.md'), 'utf8');
  const paths = [...page.matchAll(/`(packages\/[\w./-]+)`/g)].map(([, path]) => path!);
  expect(paths.length).toBeGreaterThan(8);
  expect(paths.filter((path) => !existsSync(join(ROOT, path)))).toEqual([]);
  const walk = (file: string): string => readFileSync(join(ROOT, file), 'utf8');
  expect(walk('packages/methods/lora/src/variants/lora-linear.ts')).toMatch(/forward/);
  expect(walk('packages/trainer/src/checkpoints/run-checkpoints.ts')).toMatch(/saveCheckpoint/);
  expect(walk('packages/cli/src/options/fit-option-table.ts')).toMatch(/--option/);
});

test('every package is on the map', () => {
  const page = readFileSync(join(ROOT, 'README.md'), 'utf8');
  const missing = packageFolders()
    .map((place) => basename(place))
    .filter((name) => !new RegExp(`\\b${name}\\b`).test(page));
  expect(missing).toEqual([]);
});
