import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { runCommandLine } from '../src/index.js';
import { fakeTerminal, peft } from './fake-terminal.js';

const fixture = (name: string) =>
  fileURLToPath(new URL(`../../testing/fixtures/models/${name}`, import.meta.url));
const CHAT_TEMPLATE =
  "{% for message in messages %}<{{ message['role'] }}>{{ message['content'] }}{% if message['role'] == 'assistant' %}{{ eos_token }}{% endif %}{% endfor %}{% if add_generation_prompt %}<assistant>{% endif %}";
const NOUNS = ['cat', 'dog', 'bird', 'fish', 'horse', 'mouse', 'sheep', 'goat'];

let folder = '';
/** A tiny Llama that chats. */
let llama = '';
/** The same, after it was taught to answer "A friend." to everything. */
let friend = '';

const lines = (name: string, rows: readonly object[]): string => {
  const path = join(folder, name);
  writeFileSync(path, rows.map((row) => JSON.stringify(row)).join('\n'));
  return path;
};
const quick = [
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
];

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'peft-cli-tasks-'));
  llama = join(folder, 'llama');
  cpSync(fixture('llama'), llama, { recursive: true });
  writeFileSync(join(llama, 'chat_template.jinja'), CHAT_TEMPLATE);
  friend = join(folder, 'friend');
  const chats = lines(
    'chats.jsonl',
    NOUNS.map((noun) => ({
      messages: [
        { role: 'user', content: `Who is the ${noun}?` },
        { role: 'assistant', content: 'A friend.' },
      ],
    })),
  );
  const { code, err } = await peft(
    'fit',
    chats,
    '--task',
    'causal-lm',
    '--model',
    llama,
    '--tune',
    chats,
    ...quick,
    '--epochs',
    '20',
    '--set',
    'optim.peft=null',
    '--output',
    friend,
  );
  if (code !== 0) throw new Error(err);
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe('peft fit --task', () => {
  test('causal-lm: learns prompts with completions under other column names, scores and writes', async () => {
    const rows = lines(
      'questions.jsonl',
      NOUNS.map((noun) => ({ question: `A ${noun} says`, answer: ' hello' })),
    );
    const output = join(folder, 'lora');
    const fit = await peft(
      'fit',
      rows,
      '--task',
      'causal-lm',
      '--map',
      'prompt=question',
      'completion=answer',
      '--model',
      llama,
      '--method',
      'lora',
      '--option',
      'rank=4',
      '--tune',
      rows,
      ...quick,
      '--output',
      output,
    );
    expect(fit.err).toContain('lora on llama');
    // rank 4 on queries and values of 2 blocks: D 64, 4 heads and 2 key heads of 16
    expect(fit.err).toMatch(
      new RegExp(`trainable +${(2 * 4 * (64 + 64 + 64 + 32)).toLocaleString('en-US')}\n`),
    );
    expect(fit.out).toMatch(/^perplexity \d+\.\d{4} on 8 validation rows/);
    expect(fit.out).toContain(`peft generate ${output}`);
    const evaluate = await peft(
      'evaluate',
      output,
      rows,
      '--metrics',
      'perplexity',
      'rougeL',
      '--max-new-tokens',
      '4',
      '--engine',
      'portable',
      '--json',
    );
    expect(Object.keys(JSON.parse(evaluate.out).results[0].scores)).toEqual([
      'perplexity',
      'rougeL',
    ]);
    const predict = await peft(
      'predict',
      output,
      '--text',
      'A cat says',
      '--max-new-tokens',
      '3',
      '--engine',
      'portable',
      '--json',
    );
    expect(Object.keys(JSON.parse(predict.out))).toEqual(['text']);
    // The adapter alone, on the checkpoint that it was trained on, writes the same.
    const same = await peft(
      'generate',
      llama,
      '--adapter',
      join(output, 'adapter'),
      '--prompt',
      'A cat says',
      '--max-new-tokens',
      '3',
      '--engine',
      'portable',
      '--json',
    );
    expect(JSON.parse(same.out).text).toBe(JSON.parse(predict.out).text);
  });

  test('seq2seq, token-classification and embeddings, each with a run file', async () => {
    const runs = [
      {
        task: 'seq2seq',
        model: 't5',
        rows: NOUNS.map((noun) => ({ facts: `two ${noun}`, text: `${noun} ${noun}` })),
        map: { source: 'facts', target: 'text' },
        metric: 'perplexity',
        word: 'two cat',
        kind: 'text',
      },
      {
        task: 'token-classification',
        model: 'bert',
        rows: NOUNS.map((noun) => ({
          tokens: ['the', noun],
          tags: [noun === 'cat' ? 'B-PET' : 'O', 'B-X'],
        })),
        map: {},
        metric: 'entity_f1',
        word: 'the cat',
        kind: 'tags',
      },
      {
        task: 'embeddings',
        model: 'bert',
        rows: NOUNS.map((noun) => ({ anchor: `the ${noun}`, positive: `a ${noun}` })),
        map: {},
        metric: 'mean_reciprocal_rank',
        word: 'the cat',
        kind: 'embedding',
      },
    ];
    for (const { task, model, rows, map, metric, word, kind } of runs) {
      const train = lines(`${task}.jsonl`, rows);
      const file = join(folder, `${task}.yaml`);
      writeFileSync(
        file,
        JSON.stringify({
          task,
          train,
          tune: train,
          map,
          model: fixture(model),
          output: join(folder, task),
          engine: 'portable',
          hyperparameters: {
            optim: { max_epochs: 1 },
            env: { batch_size: 4 },
            model: { hf_text: { max_text_len: 32, max_target_len: 4 } },
          },
        }),
      );
      const fit = await peft('fit', '-c', file, '--json');
      expect(fit.code, fit.err).toBe(0);
      expect(JSON.parse(fit.out)).toMatchObject({ metric, trainingRows: 8 });
      const { out } = await peft(
        'predict',
        join(folder, task),
        '--text',
        word,
        '--engine',
        'portable',
        '--json',
      );
      expect(Object.keys(JSON.parse(out)), task).toEqual([kind]);
    }
  });

  test('plain texts from a .txt file, stopped and resumed to the same bytes', async () => {
    const train = join(folder, 'texts.txt');
    writeFileSync(
      train,
      NOUNS.map((noun) => `The ${noun} sleeps in the house of the old man.`).join('\n'),
    );
    const words = (output: string) => [
      'fit',
      train,
      '--task',
      'causal-lm',
      '--model',
      llama,
      ...quick,
      '--epochs',
      '3',
      '--set',
      'optim.val_check_interval=1',
      '--output',
      output,
    ];
    const [whole, stopped] = [join(folder, 'whole'), join(folder, 'stopped')];
    expect((await peft(...words(whole))).code).toBe(0);
    const terminal = fakeTerminal();
    expect(
      await runCommandLine(words(stopped), {
        ...terminal,
        err: (text) => (text.startsWith('step 1/') ? terminal.abort() : undefined),
      }),
    ).toBe(130);
    expect(existsSync(join(stopped, 'adapter'))).toBe(false);
    expect((await peft(...words(stopped), '--resume')).code).toBe(0);
    const adapter = (path: string) =>
      readFileSync(join(path, 'adapter', 'adapter_model.safetensors'));
    expect(adapter(stopped).equals(adapter(whole))).toBe(true);
  });

  test.each([
    [
      'an unknown task',
      ['--task', 'causal', '--model', 'x'],
      /--task must be one of classification.*got "causal"/,
    ],
    [
      'columns that the task does not have',
      ['--task', 'seq2seq', '--model', 'x'],
      /learns from the columns source, target.*--map source=COLUMN/s,
    ],
    [
      'a role that the task does not have',
      ['--task', 'causal-lm', '--map', 'promt=messages', '--model', 'x'],
      /no role "promt".*"prompt"/s,
    ],
    [
      'a label where there is none',
      ['--task', 'causal-lm', '--label', 'messages', '--model', 'x'],
      /causal-lm has no label column/,
    ],
  ])('%s is a named error', async (_, words, message) => {
    const { code, err } = await peft(
      'fit',
      join(folder, 'chats.jsonl'),
      ...words,
      '--output',
      join(folder, 'none'),
    );
    expect(code).toBe(1);
    expect(err).toMatch(message);
    expect(existsSync(join(folder, 'none'))).toBe(false);
  });
});

describe('peft generate', () => {
  const common = ['--max-new-tokens', '6', '--engine', 'portable'];

  test('writes on after several prompts, as JSON too, by beams, and by chance with a seed', async () => {
    const both = await peft('generate', llama, '--prompt', 'The cat', 'A dog', ...common, '--json');
    const rows = both.out.split('\n').map((line) => JSON.parse(line));
    expect(rows.map(({ prompt, tokens, finishReason }) => [prompt, tokens, finishReason])).toEqual([
      ['The cat', 6, 'length'],
      ['A dog', 6, 'length'],
    ]);
    const alone = await peft('generate', llama, '--prompt', 'The cat', ...common);
    expect(alone.out).toBe(rows[0].text);
    const beams = await peft(
      'generate',
      llama,
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
          llama,
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
    const prompts = lines('prompts.jsonl', [{ prompt: 'The cat' }, { prompt: 'A dog' }]);
    const output = join(folder, 'written.jsonl');
    expect(
      (await peft('generate', llama, '--file', prompts, ...common, '--output', output)).out,
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
      'beam search writes no text before its end',
    ],
    [
      'a column that is not there',
      ['--file', 'CHATS', '--column', 'promt'],
      'has no column "promt"',
    ],
    ['an adapter that is not there', ['--prompt', 'x', '--adapter', './nowhere'], 'nowhere'],
  ])('%s is a named error', async (_, words, message) => {
    const { code, err } = await peft(
      'generate',
      llama,
      ...words.map((word) => (word === 'CHATS' ? join(folder, 'chats.jsonl') : word)),
      '--engine',
      'portable',
    );
    expect(code).toBe(1);
    expect(err).toContain(message);
  });

  test('a model that writes no text says so', async () => {
    expect(
      (await peft('generate', fixture('bert'), '--prompt', 'x', '--engine', 'portable')).err,
    ).toContain('PEFT_MODEL_HEAD');
  });
});

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
