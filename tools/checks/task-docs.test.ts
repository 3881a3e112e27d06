/** The commands and the program of docs/tasks.md run as they are written. */
import { execFileSync } from 'node:child_process';
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, it } from 'vitest';

const root = fileURLToPath(new URL('../..', import.meta.url));
const page = readFileSync(join(root, 'docs/tasks.md'), 'utf8');
const blocks = (language: string): string[] =>
  [...page.matchAll(new RegExp(`\`\`\`${language}\n([\\s\\S]*?)\`\`\``, 'g'))].map(
    ([, code]) => code!,
  );
const fixture = (name: string): string => join(root, 'packages/testing/fixtures/models', name);
const CHAT_TEMPLATE =
  "{% for message in messages %}<{{ message['role'] }}>{{ message['content'] }}{% if " +
  "message['role'] == 'assistant' %}{{ eos_token }}{% endif %}{% endfor %}{% if " +
  'add_generation_prompt %}<assistant>{% endif %}';

const folder = mkdtempSync(join(tmpdir(), 'peft-task-docs-'));
beforeAll(() => {
  for (const name of ['node_modules', 'examples'])
    symlinkSync(join(root, name), join(folder, name));
  mkdirSync(join(folder, 'out'));
  cpSync(fixture('llama'), join(folder, 'out/llama'), { recursive: true });
  cpSync(fixture('t5'), join(folder, 'out/t5'), { recursive: true });
  writeFileSync(join(folder, 'out/llama/chat_template.jinja'), CHAT_TEMPLATE);
  writeFileSync(join(folder, 'package.json'), '{"type": "module"}');
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** What the last line of each block's commands, or all that they print, looks like. */
const EXPECTED: readonly (readonly [
  section: string,
  look: (last: string, printed: string) => void,
])[] = [
  // a topic and the probability of each of the seven, among them science/technology
  ['topics', (last) => expect(last).toMatch(/^[\w/]+\t([\w/]+=[\d.]+ ?){7}$/)],
  ['weights', (last) => expect(last).toMatch(/^(sports|local)$/)],
  ['labels', (last) => expect(last).toMatch(/^.+\tlocal=0\.\d{4} sports=0\.\d{4}$/)],
  ['a tag per word', (last) => expect(last.split(' ')).toHaveLength(3)],
  ['chats', (_, printed) => expect(printed).toMatch(/perplexity [\d.]+ on 1 validation rows/)],
  ['texts', (_, printed) => expect(printed).toMatch(/rougeL +bleu +perplexity/)],
  ['embeddings', (last) => expect(embeddingIn(last)).toHaveLength(256)],
  ['cut embeddings', (last) => expect(embeddingIn(last)).toHaveLength(32)],
  ['ranking', (last) => expect(last).toMatch(/^-?\d\.\d{4}\t(a small cat|rain tomorrow)$/)],
];
const embeddingIn = (line: string): number[] =>
  (JSON.parse(line) as { embedding: number[] }).embedding;

it('each block of commands is looked at', () => {
  expect(blocks('sh')).toHaveLength(EXPECTED.length);
});

it.each(EXPECTED.map((each, block) => [each[0], block] as const))(
  'the commands run: %s',
  (_, block) => {
    const script =
      `set -e\nnpx() { shift; "${process.execPath}" ` +
      `"${join(root, 'packages/cli/bin/peft.mjs')}" "$@"; ` +
      `}\n${blocks('sh')[block]}`;
    const printed = execFileSync('bash', ['-c', script], {
      cwd: folder,
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    EXPECTED[block]![1](printed.trim().split('\n').at(-1)!, printed);
  },
);

it('the program runs', () => {
  const rows = Array.from({ length: 8 }, (_, i) =>
    JSON.stringify({ question: `Who is ${i}?`, answer: ' A number.' }),
  ).join('\n');
  writeFileSync(join(folder, 'answers.jsonl'), rows);
  writeFileSync(join(folder, 'test.jsonl'), rows);
  symlinkSync(join(folder, 'out/llama'), join(folder, 'llama'));
  writeFileSync(join(folder, 'program.ts'), blocks('ts')[0]!);
  const printed = execFileSync(
    process.execPath,
    ['--conditions=@peft/source', '--import', 'tsx', 'program.ts'],
    { cwd: folder, encoding: 'utf8' },
  );
  expect(printed).toMatch(/\{ perplexity: [\d.]+, rougeL: [\d.]+ \}/);
});
