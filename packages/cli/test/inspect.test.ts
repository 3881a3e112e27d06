import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { peft } from './fake-terminal.js';

const config = (name: string) =>
  fileURLToPath(
    new URL(`../../testing/fixtures/autogluon/configs/${name}/config.json`, import.meta.url),
  );

describe('peft inspect', () => {
  test("counts AutoGluon's ia3_bias on mDeBERTa-v3-base to the digit, from a bare config.json", async () => {
    const { code, out } = await peft('inspect', config('mdeberta-v3-base'), '--method', 'ia3_bias');
    expect(code).toBe(0);
    expect(out).toContain(
      'ia3_bias: 122,882 trainable of 278,238,722 parameters (0.0442 %), 24 sites wrapped, 1,112.955 MB in float32',
    );
  });

  test("counts FLAN-T5-XL's encoder as the tutorial prints it", async () => {
    const { out } = await peft('inspect', config('flan-t5-xl'), '--method', 'ia3_bias', '--json');
    expect(JSON.parse(out).methods).toEqual([
      {
        method: 'ia3_bias',
        trainable: 203778,
        total: 1223728130,
        percent: expect.closeTo(0.01665, 5),
        wrappedSites: 96,
        sizeMegabytes: 4894.913,
      },
    ]);
  });

  test('lists sites by kind, role or path', async () => {
    const { out } = await peft(
      'inspect',
      config('bert-base-uncased'),
      '--sites',
      'attention.query',
    );
    expect(out.split('\n').filter((line) => line.startsWith('linear'))).toHaveLength(12);
    expect(out).toContain('encoder.layer.11.attention.self.query');
  });

  test('takes options of a method, and names the nearest target for a typo', async () => {
    const { out } = await peft(
      'inspect',
      config('bert-base-uncased'),
      '--method',
      'lora',
      '--option',
      'rank=4',
      'targets=["query"]',
      '--json',
    );
    expect(JSON.parse(out).methods[0].trainable).toBe(12 * 4 * (768 + 768) + 768 * 2 + 2); // A and B of 12 queries, and the head
    const typo = await peft(
      'inspect',
      config('bert-base-uncased'),
      '--method',
      'lora',
      '--option',
      'targets=["qeury"]',
    );
    expect(typo.code).toBe(1);
    expect(typo.err).toContain('Did you mean "query"');
    const bare = await peft(
      'inspect',
      config('bert-base-uncased'),
      '--method',
      'lora',
      '--option',
      'rank',
    );
    expect(bare.err).toContain('inspect: --option: "rank" is not of the form key=value.');
  });

  test('names the nearest method, command and option', async () => {
    expect(
      (await peft('inspect', config('bert-base-uncased'), '--method', 'ia3_bais')).err,
    ).toContain('PEFT_METHOD_UNKNOWN');
    expect((await peft('inpsect')).err).toContain('Did you mean inspect?');
    const option = await peft('inspect', config('bert-base-uncased'), '--metod', 'x');
    expect(option.code).toBe(2);
    expect(option.err).toContain('Did you mean --method?');
  });

  test('says what is wrong with a model that is not there', async () => {
    const { code, err } = await peft('inspect', './no-such-folder');
    expect(code).toBe(1);
    expect(err).toContain('no-such-folder');
  });
});
