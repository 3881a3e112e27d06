import { cpSync, existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { openCheckpoint, readFloat32 } from '@peft/hub';
import { useTemporaryFolder } from '@peft/testing';
import { describe, expect, test } from 'vitest';
import { checkAdapter, convertAdapter } from '../src/index.js';
import { fixtureAdapter, fixtureHubAdapter, fixtureModel } from './fixtures.js';

const engine = 'portable';
let folder = '';
useTemporaryFolder((made) => (folder = made));

/** Every tensor of an adapter's files. */
function tensorsOf(adapter: string): Record<string, number[]> {
  const file = readdirSync(adapter).find((name) => /^adapter.*\.(safetensors|bin)$/.test(name))!;
  const store = openCheckpoint(join(adapter, file));
  try {
    return Object.fromEntries(
      store.names().map((name) => [name, [...readFloat32(store.get(name)!)]]),
    );
  } finally {
    store.close();
  }
}

describe('any method as LoRA', () => {
  test('of full rank is the same, and loads where the method did not', async () => {
    const output = join(folder, 'lora');
    const adapter = fixtureAdapter('oft_llama');
    const baseModel = fixtureModel('llama');
    const { approximation, deviation, files } = await convertAdapter(adapter, {
      to: 'lora',
      rank: 64,
      output,
      baseModel,
      engine,
    });
    expect(approximation!.keptShare).toBeCloseTo(1, 12);
    expect(deviation!.relative).toBeLessThan(1e-5);
    expect(files.map(({ name }) => name)).toEqual([
      'README.md',
      'adapter_config.json',
      'adapter_model.safetensors',
    ]);
    expect(checkAdapter(adapter, 'vllm')[0]!.loads).toBe(false);
    expect(checkAdapter(output, 'llama.cpp')[0]!.loads).toBe(true);
    const gguf = join(folder, 'lora.gguf');
    await convertAdapter(output, { to: 'gguf-lora', output: gguf, baseModel, engine });
    expect(existsSync(gguf)).toBe(true);
  });

  test('of a small rank says what it kept, at each place and in all', async () => {
    const { approximation, deviation } = await convertAdapter(fixtureAdapter('type_hra_llama'), {
      to: 'lora',
      rank: 1,
      output: join(folder, 'lora'),
      baseModel: fixtureModel('llama'),
      engine,
    });
    const { keptShare, parts } = approximation!;
    const sum = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0);
    expect(keptShare).toBeCloseTo(
      sum(parts.map((part) => part.keptEnergy)) / sum(parts.map((part) => part.energy)),
      12,
    );
    expect(keptShare).toBeGreaterThan(0.1);
    expect(keptShare).toBeLessThan(0.99);
    expect(deviation!.relative).toBeGreaterThan(1e-4);
    expect(parts[0]!.path).toMatch(/^model\.layers\.0\.self_attn\./);
  });

  test('is refused for what does not merge, and without a rank', async () => {
    const output = join(folder, 'lora');
    const common = { to: 'lora', output, baseModel: fixtureModel('llama'), engine } as const;
    await expect(
      convertAdapter(fixtureAdapter('prefix_llama'), { ...common, rank: 4 }),
    ).rejects.toMatchObject({
      code: 'PEFT_MERGE_INEXACT',
      message: expect.stringMatching(/^prefix-tuning: /) as string,
    });
    await expect(convertAdapter(fixtureAdapter('oft_llama'), common)).rejects.toMatchObject({
      code: 'PEFT_CONFIG_INVALID',
    });
    await expect(
      convertAdapter(fixtureAdapter('oft_llama'), { ...common, to: 'peft', rank: 4 }),
    ).rejects.toMatchObject({ code: 'PEFT_CONFIG_INVALID' });
    expect(existsSync(output)).toBe(false);
  });
});

describe("Python's two layouts", () => {
  test('an adapter of the adapters library becomes one of PEFT, and back', async () => {
    const [peft, back] = [join(folder, 'peft'), join(folder, 'back')];
    const original = fixtureHubAdapter('lora_bert');
    const common = { baseModel: fixtureModel('bert'), engine } as const;
    const made = await convertAdapter(original, { ...common, to: 'peft', output: peft });
    expect(made.deviation!.largest).toBe(0);
    const config = JSON.parse(readFileSync(join(peft, 'adapter_config.json'), 'utf8')) as object;
    expect(config).toMatchObject({ peft_type: 'LORA' });
    await convertAdapter(peft, { ...common, to: 'adapter-hub', output: back });
    const [first, last] = [tensorsOf(original), tensorsOf(back)];
    const values = (tensors: Record<string, number[]>): string[] =>
      Object.values(tensors).map((numbers) => JSON.stringify(numbers));
    expect(values(last).sort()).toEqual(values(first).sort());
  });

  test('what a library does not have is refused by name', async () => {
    const output = join(folder, 'no');
    await expect(
      convertAdapter(fixtureHubAdapter('compacter_bert'), {
        to: 'peft',
        output,
        baseModel: fixtureModel('bert'),
        engine,
      }),
    ).rejects.toMatchObject({
      code: 'PEFT_EXPORT_UNSUPPORTED',
      message: expect.stringContaining('has no method adapter') as string,
    });
    expect(existsSync(output)).toBe(false);
  });
});

test('the base is the one that the adapter names', async () => {
  const adapter = join(folder, 'adapter');
  cpSync(fixtureAdapter('oft_llama'), adapter, { recursive: true });
  const file = join(adapter, 'adapter_config.json');
  const config = JSON.parse(readFileSync(file, 'utf8')) as Record<string, unknown>;
  writeFileSync(
    file,
    JSON.stringify({ ...config, base_model_name_or_path: fixtureModel('llama') }),
  );
  const output = join(folder, 'again');
  expect((await convertAdapter(adapter, { to: 'peft', output, engine })).format).toBe('peft');
  writeFileSync(file, JSON.stringify({ ...config, base_model_name_or_path: null }));
  await expect(
    convertAdapter(adapter, { to: 'peft', output: join(folder, 'none'), engine }),
  ).rejects.toMatchObject({ code: 'PEFT_ADAPTER_BASE' });
});

test('a format of whole models, an unknown one, and a folder without an adapter, are refused', async () => {
  const output = join(folder, 'no');
  const unknown = convertAdapter(fixtureAdapter('oft_llama'), { to: 'ggfu', output, engine });
  await expect(unknown).rejects.toMatchObject({
    code: 'PEFT_EXPORT_FORMAT',
    hint: 'Formats: gguf-lora, mlx, peft, adapter-hub, lora.', // of whole models none
  });
  await expect(
    convertAdapter(fixtureAdapter('oft_llama'), { to: 'gguf', output, engine }),
  ).rejects.toMatchObject({ code: 'PEFT_EXPORT_FORMAT' });
  await expect(convertAdapter(folder, { to: 'peft', output, engine })).rejects.toMatchObject({
    code: 'PEFT_ADAPTER_MISSING',
  });
});
