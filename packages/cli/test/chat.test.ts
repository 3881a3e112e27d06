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

describe('peft chat', () => {
  const talk = async (typed: readonly string[], ...words: readonly string[]) => {
    const terminal = fakeTerminal(typed);
    const code = await runCommandLine(['chat', friend, '--engine', 'portable', ...words], terminal);
    return { code, out: terminal.printed.join(''), err: terminal.complained.join('\n') };
  };

  test('answers line by line until input ends, and remembers what was said', async () => {
    const { code, out, err } = await talk(['Who is the cat?', '', '/history', 'Who is the dog?']);
    expect(code).toBe(0);
    expect(out.startsWith('A friend.\n')).toBe(true);
    expect(err).toContain('user: Who is the cat?\nassistant: A friend.');
  });

  test('has commands, and names the nearest for a typo', async () => {
    const { out, err } = await talk(
      [
        '/system Be kind.',
        'Who is the cat?',
        '/retry',
        '/undo',
        '/history',
        '/reset',
        '/rest',
        '/help',
        '/exit',
        'Who is the dog?',
      ],
      '--max-new-tokens',
      '5',
    );
    expect(out.split('\n')).toHaveLength(3); // an answer, the same question again, the end
    expect(err).toContain('(the last question is taken back)\nsystem: Be kind.');
    expect(err).toContain('Did you mean "/reset"');
    expect(err).toContain('/exit');
  });

  test('Ctrl-C stops the answer and not the conversation', async () => {
    const terminal = fakeTerminal(['Who is the cat?', 'Who is the dog?']);
    let pieces = 0;
    const stopping = {
      ...terminal,
      write: (text: string) => {
        terminal.write(text);
        if ((pieces += 1) === 2) terminal.interrupt();
      },
    };
    expect(await runCommandLine(['chat', friend, '--engine', 'portable'], stopping)).toBe(0);
    const [first, second] = terminal.printed.join('').split('\n');
    expect(first).toMatch(/^A.{0,3} …$/);
    expect(second!.length).toBeGreaterThan(3);
  });

  test('a model without a chat template says so', async () => {
    expect((await peft('chat', fixture('llama'), '--engine', 'portable')).err).toContain(
      'PEFT_CHAT_TEMPLATE_MISSING',
    );
  });
});
