/** A tiny Llama that chats, and what it is taught with. */
import { cpSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { peft } from './fake-terminal.js';

const CHAT_TEMPLATE =
  "{% for message in messages %}<{{ message['role'] }}>{{ message['content'] }}{% if " +
  "message['role'] == 'assistant' %}{{ eos_token }}{% endif %}{% endfor %}{% if " +
  'add_generation_prompt %}<assistant>{% endif %}';

export const NOUNS = Object.freeze([
  'cat',
  'dog',
  'bird',
  'fish',
  'horse',
  'mouse',
  'sheep',
  'goat',
] as const);

/** Flags of a fit that takes a moment. */
export const QUICK = Object.freeze([
  '--batch-size',
  '4',
  '--epochs',
  '1',
  '--engine',
  'portable',
  '--set',
  'model.hf_text.max_text_len=48',
  'model.hf_text.max_target_len=8',
  'optim.lr=1e-2',
] as const);

export const fixture = (name: string): string =>
  fileURLToPath(new URL(`../../testing/fixtures/models/${name}`, import.meta.url));

/** A temporary folder with a model. */
export interface TinyLlama {
  readonly folder: string;
  /** The checkpoint's folder. */
  readonly path: string;
  /** Eight conversations in which every answer is "A friend.". */
  readonly chats: string;
  /** Writes rows as JSON Lines. @returns the file */
  lines(name: string, rows: readonly object[]): string;
  /** Teaches the model to answer "A friend." to everything. @returns the saved folder */
  taught(): Promise<string>;
  remove(): void;
}

export function tinyLlama(): TinyLlama {
  const folder = mkdtempSync(join(tmpdir(), 'peft-cli-tasks-'));
  const path = join(folder, 'llama');
  cpSync(fixture('llama'), path, { recursive: true });
  writeFileSync(join(path, 'chat_template.jinja'), CHAT_TEMPLATE);
  const lines = (name: string, rows: readonly object[]): string => {
    const file = join(folder, name);
    writeFileSync(file, rows.map((row) => JSON.stringify(row)).join('\n'));
    return file;
  };
  const conversation = (noun: string) => [
    { role: 'user', content: `Who is the ${noun}?` },
    { role: 'assistant', content: 'A friend.' },
  ];
  const chats = lines(
    'chats.jsonl',
    NOUNS.map((noun) => ({ messages: conversation(noun) })),
  );
  return {
    folder,
    path,
    chats,
    lines,
    async taught() {
      const output = join(folder, 'friend');
      const words = ['fit', chats, '--task', 'causal-lm', '--model', path, '--tune', chats];
      const further = ['--epochs', '20', '--set', 'optim.peft=null', '--output', output];
      const { code, err, out } = await peft(...words, ...QUICK, ...further);
      if (code !== 0) throw new Error(err);
      if (!out.endsWith(`peft chat ${output}`)) throw new Error(`the last line is: ${out}`);
      return output;
    },
    remove: () => rmSync(folder, { recursive: true, force: true }),
  };
}
