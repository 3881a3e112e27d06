/** What `parseConfig` of each family accepts and refuses. */
import { describe, expect, test } from 'vitest';
import { PeftError } from '@peft/errors';
import {
  architectures,
  bert,
  debertaV2,
  gemma2,
  gemma3,
  llama,
  mistral,
  modernbert,
  phi3,
  qwen2,
  roberta,
  t5,
  type DecoderConfig,
} from '@peft/models';
import { readConfigJson } from './fixtures.js';

const messageOf = (run: () => unknown): string => {
  try {
    run();
  } catch (error) {
    return error instanceof PeftError ? `${error.code} ${error.message}` : String(error);
  }
  return 'nothing was thrown';
};
const small = {
  hidden_size: 24,
  num_attention_heads: 3,
  intermediate_size: 40,
  num_hidden_layers: 2,
  vocab_size: 60,
};

describe('a config of transformers 4 and one of transformers 5 mean the same', () => {
  const rest = { model_type: 'llama', ...small, num_key_value_heads: 1 };

  test('rotary positions', () => {
    const scaling = {
      rope_type: 'llama3',
      factor: 8,
      low_freq_factor: 1,
      high_freq_factor: 4,
      original_max_position_embeddings: 32,
    };
    const old = llama.parseConfig({
      ...rest,
      rope_theta: 500000,
      rope_scaling: scaling,
      torch_dtype: 'float16',
    });
    const young = llama.parseConfig({
      ...rest,
      rope_parameters: { ...scaling, rope_theta: 500000 },
      dtype: 'float16',
    });
    expect({ ...old, rope: { ...old.rope!, scaling: undefined } }).toEqual({
      ...young,
      rope: { ...young.rope!, scaling: undefined },
    });
    expect(young.rope!.scaling).toMatchObject(scaling);
    expect(old.rope!.theta).toBe(500000);
  });

  test('windows of Gemma 3 and ModernBERT, and their two kinds of rotary positions', () => {
    const types = (windows: readonly number[]) =>
      windows.map((window) => (window > 0 ? 'sliding_attention' : 'full_attention'));
    const gemma = {
      model_type: 'gemma3_text',
      ...small,
      num_key_value_heads: 1,
      num_hidden_layers: 6,
      num_attention_heads: 3,
      sliding_window: 4,
    };
    const oldGemma = gemma3.parseConfig({
      ...gemma,
      sliding_window_pattern: 3,
      rope_theta: 1e6,
      rope_local_base_freq: 1e4,
      rope_scaling: { rope_type: 'linear', factor: 8 },
    });
    const youngGemma = gemma3.parseConfig({
      ...gemma,
      layer_types: types(oldGemma.windows),
      rope_parameters: {
        full_attention: { rope_type: 'linear', factor: 8, rope_theta: 1e6 },
        sliding_attention: { rope_type: 'default', rope_theta: 1e4 },
      },
    });
    expect(oldGemma.windows).toEqual([4, 4, 0, 4, 4, 0]);
    expect(youngGemma.windows).toEqual(oldGemma.windows);
    for (const parsed of [oldGemma, youngGemma])
      expect([
        parsed.rope!.theta,
        parsed.rope!.scaling?.['factor'],
        parsed.localRope!.theta,
        parsed.localRope!.scaling?.['rope_type'],
      ]).toEqual([1e6, 8, 1e4, 'default']);
    const modern = modernbert.parseConfig({
      model_type: 'modernbert',
      ...small,
      num_hidden_layers: 4,
      global_attn_every_n_layers: 2,
      local_rope_theta: null,
    });
    expect(modern.windows).toEqual([0, 128, 0, 128]);
    expect([modern.rope.theta, modern.localRope.theta]).toEqual([160000, 160000]);
  });

  test('T5 scales its output by either key, mT5 never', () => {
    const base = { d_model: 8, d_kv: 4, num_heads: 2, d_ff: 16, num_layers: 1, vocab_size: 9 };
    const scales = (json: object) =>
      t5.parseConfig({ model_type: 't5', ...base, ...json }).scalesOutput;
    expect([
      scales({}),
      scales({ tie_word_embeddings: false }),
      scales({ tie_word_embeddings: true, scale_decoder_outputs: false }),
      scales({ model_type: 'mt5', tie_word_embeddings: true }),
    ]).toEqual([true, false, false, false]);
    expect(
      t5.parseConfig({ model_type: 't5', ...base, feed_forward_proj: 'gated-gelu' }),
    ).toMatchObject({ isGated: true, activation: 'gelu_tanh' });
    expect(
      t5.parseConfig({ model_type: 't5', ...base, feed_forward_proj: 'gated-silu' }),
    ).toMatchObject({ isGated: true, activation: 'silu' });
  });
});

describe('windows', () => {
  const windowsOf = (config: DecoderConfig) => config.windows;
  const rest = { ...small, num_key_value_heads: 1, num_hidden_layers: 3 };

  test('Mistral has one unless the config says null', () => {
    expect(windowsOf(mistral.parseConfig({ model_type: 'mistral', ...rest }))).toEqual([
      4096, 4096, 4096,
    ]);
    expect(
      windowsOf(mistral.parseConfig({ model_type: 'mistral', ...rest, sliding_window: null })),
    ).toEqual([0, 0, 0]);
  });

  test('Qwen2 has one where it is switched on, from a block on', () => {
    expect(
      windowsOf(
        qwen2.parseConfig({
          model_type: 'qwen2',
          ...rest,
          sliding_window: 8,
          max_window_layers: 1,
        }),
      ),
    ).toEqual([0, 0, 0]);
    expect(
      windowsOf(
        qwen2.parseConfig({
          model_type: 'qwen2',
          ...rest,
          sliding_window: 8,
          max_window_layers: 1,
          use_sliding_window: true,
        }),
      ),
    ).toEqual([0, 8, 8]);
  });

  test('Gemma 2 has one in every second block, Phi-3 where the config names it', () => {
    expect(
      windowsOf(gemma2.parseConfig({ model_type: 'gemma2', ...rest, sliding_window: 8 })),
    ).toEqual([8, 0, 8]);
    expect(windowsOf(phi3.parseConfig({ model_type: 'phi3', ...rest }))).toEqual([0, 0, 0]);
  });
});

describe('nonsense is refused by field and value', () => {
  test('an activation that is not known', () => {
    expect(messageOf(() => bert.parseConfig({ ...small, hidden_act: 'gelo' }))).toMatch(
      /^PEFT_MODEL_CONFIG BERT: config.json: hidden_act must be a known activation, got "gelo"\.\n {2}hint: Did you mean "gelu"/,
    );
  });

  test('sizes that do not divide, are not whole, or are missing their sense', () => {
    expect(messageOf(() => bert.parseConfig({ ...small, num_attention_heads: 5 }))).toBe(
      'PEFT_MODEL_CONFIG BERT: config.json: num_attention_heads must be a divisor of the width 24, got 5.',
    );
    expect(messageOf(() => bert.parseConfig({ ...small, vocab_size: 3.5 }))).toBe(
      'PEFT_MODEL_CONFIG BERT: config.json: vocab_size must be a positive integer, got 3.5.',
    );
    expect(
      messageOf(() => llama.parseConfig({ model_type: 'llama', ...small, num_key_value_heads: 2 })),
    ).toBe(
      'PEFT_MODEL_CONFIG Llama: config.json: num_key_value_heads must be a divisor of num_attention_heads (3), got 2.',
    );
    expect(
      messageOf(() =>
        roberta.parseConfig({ model_type: 'roberta', ...small, max_position_embeddings: 2 }),
      ),
    ).toMatch(/max_position_embeddings must be more than pad_token_id \+ 1 = 2, got 2/);
  });

  test('what a family does not do', () => {
    expect(
      messageOf(() => bert.parseConfig({ ...small, position_embedding_type: 'relative_key' })),
    ).toBe(
      'PEFT_MODEL_CONFIG BERT: config.json: position_embedding_type must be "absolute"; ' +
        'relative positions in attention are not supported, got "relative_key".',
    );
    expect(messageOf(() => bert.parseConfig({ ...small, is_decoder: true }))).toMatch(
      /is_decoder must be false; only the encoder is supported, got true/,
    );
    expect(
      messageOf(() => debertaV2.parseConfig({ ...small, pos_att_type: ['c2p', 'p2p'] })),
    ).toMatch(/pos_att_type must be made of "c2p" and "p2c", got \["c2p","p2p"\]/);
    expect(messageOf(() => debertaV2.parseConfig({ ...small, conv_kernel_size: 4 }))).toMatch(
      /conv_kernel_size must be odd/,
    );
    expect(
      messageOf(() => debertaV2.parseConfig({ ...small, conv_kernel_size: 3, conv_groups: 2 })),
    ).toMatch(/conv_groups must be 1; grouped convolutions are not supported, got 2/);
    expect(
      messageOf(() => t5.parseConfig({ model_type: 't5', feed_forward_proj: 'gated-gelu-new' })),
    ).toMatch(/feed_forward_proj must be an activation or "gated-" and an activation/);
    expect(
      messageOf(() =>
        gemma2.parseConfig({
          model_type: 'gemma2',
          ...small,
          num_key_value_heads: 1,
          use_bidirectional_attention: true,
        }),
      ),
    ).toMatch(/use_bidirectional_attention must be false/);
  });

  test('rotary positions of an unknown kind, or with a number missing', () => {
    expect(
      messageOf(() =>
        llama.parseConfig({ model_type: 'llama', ...small, rope_scaling: { rope_type: 'mrope' } }),
      ),
    ).toMatch(
      /^PEFT_MODEL_CONFIG Llama: config.json: rope_scaling must be a supported kind .*\n {2}hint: .* one of default, linear/,
    );
    expect(() =>
      llama.parseConfig({ model_type: 'llama', ...small, partial_rotary_factor: 1e7 }),
    ).toThrow('partial_rotary_factor');
    expect(
      messageOf(() =>
        llama.parseConfig({
          model_type: 'llama',
          ...small,
          rope_parameters: { rope_type: 'linear' },
        }),
      ),
    ).toMatch(
      /rope_parameters must be .*\n {2}hint: rope: factor of linear scaling must be a number/,
    );
    expect(
      messageOf(() =>
        qwen2.parseConfig({
          model_type: 'qwen2',
          ...small,
          num_key_value_heads: 3,
          layer_types: ['full_attention'],
        }),
      ),
    ).toMatch(/layer_types must be a list of 2 times "full_attention" or "sliding_attention"/);
  });
});

test('every family reads its model types, and none twice', () => {
  const types = architectures.flatMap(({ modelTypes }) => modelTypes);
  expect(new Set(types).size).toBe(types.length);
  expect(types).toEqual(
    expect.arrayContaining([
      'bert',
      'roberta',
      'xlm-roberta',
      'electra',
      'deberta-v2',
      't5',
      'mt5',
      'llama',
      'mistral',
      'qwen2',
      'qwen3',
      'gpt2',
      'gemma2',
      'gemma3_text',
      'phi3',
      'distilbert',
      'modernbert',
    ]),
  );
  expect(readConfigJson('models/bert')['model_type']).toBe('bert');
});

describe('sizes that no model has are refused before anything is made', () => {
  test.each([
    ['num_hidden_layers', 1_000_000_000, 'at most 10000'],
    ['hidden_size', 2 ** 40, 'at most 134217728'],
    ['vocab_size', 10 ** 12, 'at most 134217728'],
  ])('%s: %d', (field, value, must) => {
    const parse = () => bert.parseConfig({ ...readConfigJson('models/bert'), [field]: value });
    expect(messageOf(parse)).toBe(
      `PEFT_MODEL_CONFIG BERT: config.json: ${field} must be ${must}, got ${value}.`,
    );
  });
});
