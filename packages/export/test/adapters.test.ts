import { cpSync, existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import * as tf from '@tensorflow/tfjs';
import { saveAdapter } from '@peft/core';
import { CHAT_TEMPLATES } from '@peft/data';
import { openGguf } from '@peft/hub';
import { lora } from '@peft/lora';
import { loadLanguageModel } from '@peft/predictor';
import { moveParameters, useTemporaryFolder } from '@peft/testing';
import { afterAll, describe, expect, test } from 'vitest';
import { exportModel } from '../src/index.js';
import { fixtureAdapter, fixtureModel } from './fixtures.js';
import { llamaProbabilities, openLlamaCpp } from './llama-cpp.js';

const engine = 'portable';
let folder = '';
useTemporaryFolder((made) => (folder = made));
const llama = await openLlamaCpp();
afterAll(async () => llama?.dispose());

const IDS = [5, 99, 200, 31, 7, 140, 311];

/** A LoRA that was moved, saved in PEFT's layout. @returns its folder and what the model says with it */
async function trained(
  name: string,
  options: Parameters<typeof lora>[0],
): Promise<{ readonly adapter: string; readonly probabilities: readonly Float32Array[] }> {
  const { model, dispose } = await loadLanguageModel(fixtureModel(name), { engine });
  try {
    moveParameters(model.addAdapter('a', lora(options)), 'adapter', 0.2);
    const adapter = join(folder, `${name}-adapter`);
    await saveAdapter(model, 'a', adapter);
    const probabilities = tf.tidy(() => {
      const offsets = Int32Array.of(0, IDS.length);
      const { logits } = model.forward({ inputIds: Int32Array.from(IDS), offsets });
      const values = tf.softmax(logits!).dataSync<'float32'>();
      const width = logits!.shape[1];
      return IDS.map((_, row) => values.slice(row * width, (row + 1) * width));
    });
    return { adapter, probabilities };
  } finally {
    dispose();
  }
}

const LLAMA = {
  rank: 4,
  alpha: 6,
  targets: ['q_proj', 'k_proj', 'v_proj', 'o_proj', 'down_proj', 'lm_head'],
  rankPattern: { k_proj: 2 },
  alphaPattern: { v_proj: 3 },
  rankStabilized: true,
};

describe('gguf-lora', () => {
  test('holds A and B of every place, the strength in B', async () => {
    const { adapter } = await trained('llama', LLAMA);
    const output = join(folder, 'lora.gguf');
    await exportModel(fixtureModel('llama'), { to: 'gguf-lora', adapter, output, engine });
    const file = openGguf(output);
    expect(Object.fromEntries(file.metadata)).toMatchObject({
      'general.type': 'adapter',
      'adapter.type': 'lora',
      'adapter.lora.alpha': 1,
    });
    expect(file.tensors.get('blk.1.attn_k.weight.lora_a')!.shape).toEqual([2, 64]);
    expect(file.tensors.get('output.weight.lora_b')!.shape).toEqual([460, 4]);
    expect(file.tensors.size).toBe(2 * (2 * 5 + 1));
    file.close();
  });

  test('is refused where it is more than LoRA, or no LoRA', async () => {
    const output = join(folder, 'no.gguf');
    for (const [name, words] of [
      ['oft_llama', 'the adapter is OFT'],
      ['lora_llama_dora_embed', 'use_dora'],
      ['lora_llama_pissa', 'init_lora_weights: pissa'],
    ] as const)
      await expect(
        exportModel(fixtureModel('llama'), {
          to: 'gguf-lora',
          adapter: fixtureAdapter(name),
          output,
          engine,
        }),
      ).rejects.toMatchObject({
        code: 'PEFT_EXPORT_UNSUPPORTED',
        message: expect.stringContaining(words) as string,
      });
    expect(existsSync(output)).toBe(false);
  });

  test.skipIf(!llama).each([
    ['llama', LLAMA],
    ['qwen3', { rank: 3, targets: ['q_proj', 'v_proj', 'gate_proj'] }],
    ['gpt2', { rank: 3, targets: ['c_attn', 'c_fc'] }],
  ] as const)('on %s gives in node-llama-cpp what it gives here', async (name, options) => {
    const { adapter, probabilities } = await trained(name, options);
    const [base, output] = [join(folder, 'base.gguf'), join(folder, 'lora.gguf')];
    await exportModel(fixtureModel(name), { to: 'gguf', type: 'F32', output: base, engine });
    await exportModel(fixtureModel(name), { to: 'gguf-lora', adapter, output, engine });
    const model = await llama!.loadModel({ modelPath: base });
    const [bare, adapted] = [
      await llamaProbabilities(model, IDS),
      await llamaProbabilities(model, IDS, { lora: output }),
    ];
    await model.dispose();
    const distance = (rows: readonly Float64Array[]): number =>
      Math.max(
        ...probabilities.flatMap((row, at) =>
          [...row].map((p, id) => Math.abs(p - rows[at]![id]!)),
        ),
      );
    expect(distance(adapted)).toBeLessThan(5e-4);
    expect(distance(bare)).toBeGreaterThan(5e-3);
  });
});

describe('ollama', () => {
  const withTemplate = (template: string): string => {
    const base = join(folder, 'chat');
    cpSync(fixtureModel('qwen2'), base, { recursive: true });
    writeFileSync(join(base, 'chat_template.jinja'), template);
    return base;
  };

  test('gets a Modelfile with template and stop tokens beside the file', async () => {
    // the same format in other words
    const template = CHAT_TEMPLATES['chatml']!.replace(
      '{% for message',
      '{#- own -#}{% for message',
    );
    const output = join(folder, 'My-Chat');
    const { next } = await exportModel(withTemplate(template), { to: 'ollama', output, engine });
    expect(readdirSync(output).sort()).toEqual(['Modelfile', 'My-Chat-Q8_0.gguf']);
    expect(readFileSync(join(output, 'Modelfile'), 'utf8')).toBe(
      'FROM ./My-Chat-Q8_0.gguf\n' +
        'TEMPLATE """{{ range .Messages }}<|im_start|>{{ .Role }}\n{{ .Content }}<|im_end|>\n{{ end }}<|im_start|>assistant\n"""\n' +
        'PARAMETER stop "<|im_end|>"\n',
    );
    expect(next[0]).toBe(`ollama create my-chat -f ${join(output, 'Modelfile')}`);
  });

  test('is refused for a template that is not known', async () => {
    const base = withTemplate("{% for message in messages %}{{ message['content'] }}{% endfor %}");
    await expect(
      exportModel(base, { to: 'ollama', output: join(folder, 'no'), engine }),
    ).rejects.toMatchObject({ code: 'PEFT_EXPORT_UNSUPPORTED' });
  });
});

test("mlx is MLX-LM's layout", async () => {
  const { adapter } = await trained('qwen3', { rank: 3, targets: ['q_proj', 'v_proj'] });
  const output = join(folder, 'mlx');
  await exportModel(fixtureModel('qwen3'), { to: 'mlx', adapter, output, engine });
  expect(readdirSync(output)).toEqual(
    expect.arrayContaining(['adapter_config.json', 'adapters.safetensors']),
  );
});
