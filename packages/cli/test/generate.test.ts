import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { runCommandLine } from '../src/index.js';
import { fakeTerminal, peft } from './fake-terminal.js';
import { fixture, tinyLlama, type TinyLlama } from './tiny-llama.js';

let llama: TinyLlama;
/** After it was taught to answer "A friend." to everything. */
let friend = '';
beforeAll(async () => {
  llama = tinyLlama();
  friend = await llama.taught();
});
afterAll(() => llama.remove());

describe('peft generate', () => {
  const common = ['--max-new-tokens', '6', '--engine', 'portable'];

  test('generates for several prompts, as JSON too, by beams, and by sampling with a seed', async () => {
    const both = await peft(
      'generate',
      llama.path,
      '--prompt',
      'The cat',
      'A dog',
      ...common,
      '--json',
    );
    const rows = both.out.split('\n').map((line) => JSON.parse(line));
    expect(rows.map(({ prompt, tokens, finishReason }) => [prompt, tokens, finishReason])).toEqual([
      ['The cat', 6, 'length'],
      ['A dog', 6, 'length'],
    ]);
    const alone = await peft('generate', llama.path, '--prompt', 'The cat', ...common);
    expect(alone.out).toBe(rows[0].text);
    const beams = await peft(
      'generate',
      llama.path,
      '--prompt',
      'The cat',
      ...common,
      '--beams',
      '3',
      '--json',
    );
    expect(JSON.parse(beams.out).score).toBeLessThan(0);
    const drawn = async (seed: string) =>
      (
        await peft(
          'generate',
          llama.path,
          '--prompt',
          'The cat',
          ...common,
          '--temperature',
          '2',
          '--seed',
          seed,
        )
      ).out;
    expect(await drawn('1')).toBe(await drawn('1'));
    expect(await drawn('1')).not.toBe(await drawn('2'));
  });

  test('streams the text that it would print, and stops before a stop string', async () => {
    const whole = await peft(
      'generate',
      friend,
      '--chat',
      '--prompt',
      'Who is the dog?',
      '--engine',
      'portable',
    );
    expect(whole.out).toBe('A friend.');
    const terminal = fakeTerminal();
    expect(
      await runCommandLine(
        [
          'generate',
          friend,
          '--chat',
          '--prompt',
          'Who is the dog?',
          '--engine',
          'portable',
          '--stream',
        ],
        terminal,
      ),
    ).toBe(0);
    expect(terminal.printed.length).toBeGreaterThan(2);
    expect(terminal.printed.join('')).toBe('A friend.\n');
    const stopped = await peft(
      'generate',
      friend,
      '--chat',
      '--prompt',
      'Who is the dog?',
      '--engine',
      'portable',
      '--stop',
      'end',
      '--json',
    );
    expect(JSON.parse(stopped.out)).toMatchObject({ text: 'A fri', finishReason: 'stop' });
  });

  test('reads prompts from files and writes a file', async () => {
    const prompts = llama.lines('prompts.jsonl', [{ prompt: 'The cat' }, { prompt: 'A dog' }]);
    const output = join(llama.folder, 'written.jsonl');
    expect(
      (await peft('generate', llama.path, '--file', prompts, ...common, '--output', output)).err,
    ).toBe(`2 texts written to ${output}`);
    expect(
      readFileSync(output, 'utf8')
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line).prompt),
    ).toEqual(['The cat', 'A dog']);
  });

  test.each([
    ['neither prompt nor file', [], 'give either --prompt or --file'],
    [
      'a number that is none',
      ['--prompt', 'x', '--top-k', 'many'],
      '--top-k must be a number, got "many"',
    ],
    ['a number out of range', ['--prompt', 'x', '--top-p', '2'], 'topP must be in (0, 1]'],
    [
      'beams with streaming',
      ['--prompt', 'x', '--beams', '2', '--stream'],
      'beam search has no text before its end',
    ],
    [
      'a column that is not there',
      ['--file', 'CHATS', '--column', 'promt'],
      'has no column "promt"',
    ],
    ['a way to route nothing', ['--prompt', 'x', '--route-top', '2'], '--route-top needs --route'],
    [
      'an adapter beside those to choose among',
      ['--prompt', 'x', '--adapter', './a', '--route', './b'],
      '--adapter and --route exclude each other',
    ],
    ['an adapter that is not there', ['--prompt', 'x', '--adapter', './nowhere'], 'nowhere'],
  ])('%s is a named error', async (_, words, message) => {
    const { code, err } = await peft(
      'generate',
      llama.path,
      ...words.map((word) => (word === 'CHATS' ? llama.chats : word)),
      '--engine',
      'portable',
    );
    expect(code).toBe(1);
    expect(err).toContain(message);
  });

  test('chooses among adapters token by token', async () => {
    const folder = (name: string) =>
      fixture('llama').replace('models/llama', `adapters/arrow_llama/${name}`);
    const made = async (...words: readonly string[]) =>
      (await peft('generate', fixture('llama'), '--prompt', 'The cat', ...common, ...words)).out;
    const [a, b] = ['a', 'b'].map(folder) as [string, string];
    const alone = await made('--adapter', a);
    expect(await made('--route', a, '--route-top', '1')).toBe(alone);
    const routed = await made('--route', a, b, '--route-temperature', '0.1');
    expect(routed).not.toBe(await made());
    // what is left of an adapter without itself is the model
    expect(await made('--route', a, '--route-general', a)).toBe(await made());
  });

  test('a model that writes no text says so', async () => {
    expect(
      (await peft('generate', fixture('bert'), '--prompt', 'x', '--engine', 'portable')).err,
    ).toContain('PEFT_MODEL_HEAD');
  });
});
