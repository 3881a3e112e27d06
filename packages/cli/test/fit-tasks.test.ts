import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { runCommandLine } from '../src/index.js';
import { fakeTerminal, peft } from './fake-terminal.js';
import { fixture, NOUNS, QUICK, tinyLlama, type TinyLlama } from './tiny-llama.js';

let llama: TinyLlama;
beforeAll(() => {
  llama = tinyLlama();
});
afterAll(() => llama.remove());

describe('peft fit --task', () => {
  test('causal-lm: learns prompts with completions under other column names, scores and writes', async () => {
    const rows = llama.lines(
      'questions.jsonl',
      NOUNS.map((noun) => ({ question: `A ${noun} says`, answer: ' hello' })),
    );
    const output = join(llama.folder, 'lora');
    const fit = await peft(
      'fit',
      rows,
      '--task',
      'causal-lm',
      '--map',
      'prompt=question',
      'completion=answer',
      '--model',
      llama.path,
      '--method',
      'lora',
      '--option',
      'rank=4',
      '--tune',
      rows,
      ...QUICK,
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
      llama.path,
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
      const train = llama.lines(`${task}.jsonl`, rows);
      const file = join(llama.folder, `${task}.yaml`);
      writeFileSync(
        file,
        JSON.stringify({
          task,
          train,
          tune: train,
          map,
          model: fixture(model),
          output: join(llama.folder, task),
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
        join(llama.folder, task),
        '--text',
        word,
        '--engine',
        'portable',
        '--json',
      );
      expect(Object.keys(JSON.parse(out)), task).toEqual([kind]);
    }
  });

  test('multi-label-classification: labels between separators, tuned thresholds, columns of 0 and 1', async () => {
    const train = join(llama.folder, 'labels.csv');
    writeFileSync(
      train,
      `text,tags,good,here\n${NOUNS.map((noun, i) => {
        const tags = [...(i % 2 ? ['good'] : []), ...(i % 3 ? ['here'] : [])];
        const [good, here] = ['good', 'here'].map((tag) => Number(tags.includes(tag)));
        return `the ${noun} is ${i % 2 ? 'fine' : 'bad'},${tags.join('|')},${good},${here}`;
      }).join('\n')}\n`,
    );
    const output = join(llama.folder, 'labels');
    const common = ['--tune', train, '--model', fixture('bert'), '--method', 'lora', ...QUICK];
    const fit = await peft(
      'fit',
      train,
      '--label',
      'tags',
      '--label-separator',
      '|',
      '--threshold',
      'tuned',
      '--text',
      'text',
      ...common,
      '--output',
      output,
    );
    expect(fit.code, fit.err).toBe(0);
    expect(fit.err).toContain('the task is multi-label classification of 2 labels');
    expect(fit.out).toMatch(/^average_precision_micro \d\.\d{4} on 8 validation rows/);
    const { out } = await peft(
      'predict',
      output,
      '--text',
      'the cat is fine',
      '--engine',
      'portable',
      '--probabilities',
      '--json',
    );
    const row = JSON.parse(out) as { labels: string[]; probabilities: Record<string, number> };
    expect(Object.keys(row.probabilities)).toEqual(['good', 'here']);
    expect(row.labels.every((label) => ['good', 'here'].includes(label))).toBe(true);
    const scores = await peft(
      'evaluate',
      output,
      train,
      '--metrics',
      'f1_micro,f1_macro,f1_samples,hamming_loss,subset_accuracy',
      '--engine',
      'portable',
    );
    expect(scores.out).toMatch(/f1_micro +f1_macro +f1_samples +hamming_loss +subset_accuracy/);
    const columns = await peft(
      'fit',
      train,
      '--labels',
      'good,here',
      '--text',
      'text',
      ...common,
      '--output',
      join(llama.folder, 'columns'),
      '--json',
    );
    expect(JSON.parse(columns.out), columns.err).toMatchObject({
      metric: 'average_precision_micro',
      trainingRows: 8,
    });
  });

  test('ranking: learns lists, orders documents of a table and of the command line', async () => {
    const train = llama.lines(
      'ranking.jsonl',
      NOUNS.slice(0, 4).flatMap((noun) => [
        { question: `who is the ${noun}`, answer: `the ${noun} is good`, grade: 2 },
        { question: `who is the ${noun}`, answer: 'a house of London', grade: 0 },
      ]),
    );
    const output = join(llama.folder, 'ranker');
    const fit = await peft(
      'fit',
      train,
      '--task',
      'ranking',
      '--map',
      'query=question',
      'document=answer',
      'relevance=grade',
      '--tune',
      train,
      '--model',
      fixture('bert'),
      '--method',
      'lora',
      ...QUICK,
      'optim.ranking_loss=list',
      '--epochs',
      '12',
      '--output',
      output,
    );
    expect(fit.out, fit.err).toMatch(/^ndcg@10 1\.0000 on 8 validation rows/);
    expect(fit.out).toContain(`peft rank ${output} TABLE --query TEXT`);
    const texts = ['a house of London', 'the dog is good'];
    const ranked = await peft(
      'rank',
      output,
      '--query',
      'who is the dog',
      '--text',
      ...texts,
      '--engine',
      'portable',
    );
    expect(ranked.out.split('\n').map((line) => line.split('\t')[1])).toEqual(texts.toReversed());
    const top = await peft(
      'rank',
      output,
      train,
      '--query',
      'who is the cat',
      '--top',
      '3',
      '--engine',
      'portable',
      '--json',
    );
    const lines = top.out.split('\n').map((line) => JSON.parse(line) as { document: string });
    expect(lines).toHaveLength(3);
    expect(lines[0]!.document).toMatch(/is good$/);
    expect((await peft('rank', output, '--query', 'x')).err).toContain('either a table or --text');
  });

  test('plain texts from a .txt file, stopped and resumed to the same bytes', async () => {
    const train = join(llama.folder, 'texts.txt');
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
      llama.path,
      ...QUICK,
      '--epochs',
      '3',
      '--set',
      'optim.val_check_interval=1',
      '--output',
      output,
    ];
    const [whole, stopped] = [join(llama.folder, 'whole'), join(llama.folder, 'stopped')];
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
      llama.chats,
      ...words,
      '--output',
      join(llama.folder, 'none'),
    );
    expect(code).toBe(1);
    expect(err).toMatch(message);
    expect(existsSync(join(llama.folder, 'none'))).toBe(false);
  });
});
