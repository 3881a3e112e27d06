import { describe, expect, it } from 'vitest';
import type { ModelDescription } from './model-description.js';
import type { Site } from './sites.js';
import { parseCommonConfig, selectSites, type TargetSelection } from './target-selection.js';

const linear = (
  path: string,
  role: string,
  extra: Partial<Extract<Site, { kind: 'linear' }>> = {},
): Site => ({
  kind: 'linear',
  path,
  role,
  inFeatures: 4,
  outFeatures: 4,
  weight: `${path}.weight`,
  ...extra,
});
const blocks = [0, 1, 2].flatMap((layer) => [
  linear(`model.layers.${layer}.self_attn.q_proj`, 'attention.query', { layer }),
  linear(`model.layers.${layer}.self_attn.v_proj`, 'attention.value', { layer }),
  linear(`model.layers.${layer}.mlp.experts.5.up_proj`, 'ffn.up', { layer }),
]);
const description: ModelDescription = {
  modelType: 'toy',
  head: { kind: 'causal-lm' },
  hiddenSize: 4,
  vocabularySize: 9,
  layers: { encoder: 0, decoder: 3 },
  parameters: [],
  sites: [
    {
      kind: 'embedding',
      path: 'model.embed_tokens',
      role: 'embedding.word',
      rows: 9,
      size: 4,
      weight: 'model.embed_tokens.weight',
    },
    ...blocks,
    linear('lm_head', 'head', { isOutputHead: true }),
  ],
  headModules: [],
  basePrefix: 'model',
};
const select = (
  selection: TargetSelection,
  options: Partial<Parameters<typeof selectSites>[2]> = {},
) =>
  selectSites(description, selection, {
    owner: 'lora',
    kinds: ['linear', 'embedding'],
    ...options,
  }).map(({ path }) => path);

describe('selectSites follows PEFT', () => {
  it('takes paths that equal a name or end with it after a dot', () => {
    expect(select({ targets: ['q_proj', 'lm_head'] })).toEqual(
      [0, 1, 2].map((i) => `model.layers.${i}.self_attn.q_proj`).concat('lm_head'),
    );
    expect(select({ targets: ['self_attn.v_proj'], layersToTransform: 1 })).toEqual([
      'model.layers.1.self_attn.v_proj',
    ]);
    expect(() => select({ targets: ['_proj'] })).toThrow(
      'no linear or embedding site matches "_proj"',
    );
  });

  it('reads a string as a regular expression for the whole path', () => {
    expect(select({ targets: '.*layers\\.[02]\\..*(q|v)_proj' })).toEqual([
      'model.layers.0.self_attn.q_proj',
      'model.layers.0.self_attn.v_proj',
      'model.layers.2.self_attn.q_proj',
      'model.layers.2.self_attn.v_proj',
    ]);
    expect(() => select({ targets: 'q_proj' })).toThrow('matches "q_proj"');
  });

  it("understands Python's named groups", () => {
    expect(select({ targets: '(?P<stack>model)\\.layers\\.1\\.self_attn\\.q_proj\\Z' })).toEqual([
      'model.layers.1.self_attn.q_proj',
    ]);
  });

  it("understands Python's flags at the start", () => {
    expect(select({ targets: '(?i)MODEL\\.Layers\\.1\\..*Q_proj' })).toEqual([
      'model.layers.1.self_attn.q_proj',
    ]);
  });

  it('leaves the output head out of all-linear', () => {
    expect(select({ targets: 'all-linear' })).toEqual(blocks.map(({ path }) => path));
  });

  it('takes the first number after a name as the block, so that experts are not blocks', () => {
    expect(select({ targets: ['up_proj'], layersToTransform: [0, 2] })).toEqual([
      'model.layers.0.mlp.experts.5.up_proj',
      'model.layers.2.mlp.experts.5.up_proj',
    ]);
    expect(
      select({ targets: ['up_proj'], layersToTransform: 5, layersPattern: 'experts' }),
    ).toHaveLength(3);
    expect(() =>
      select({ targets: ['up_proj'], layersToTransform: 0, layersPattern: '(' }),
    ).toThrow('layersPattern');
  });

  it('leaves excluded modules out, and modules that are saved whole', () => {
    expect(
      select({ targets: 'all-linear', excludeModules: ['up_proj', 'layers.0.self_attn.q_proj'] }),
    ).toHaveLength(5);
    expect(select({ targets: 'all-linear', excludeModules: '.*proj' }, { optional: true })).toEqual(
      [],
    );
    expect(
      select({ targets: ['q_proj', 'lm_head'] }, { modulesToSave: ['lm_head'] }),
    ).not.toContain('lm_head');
  });

  it('takes roles', () => {
    expect(select({ targets: { roles: ['attention.value'] } })).toEqual(
      [0, 1, 2].map((i) => `model.layers.${i}.self_attn.v_proj`),
    );
  });

  it('names the nearest when nothing matches, also when one of several patterns matches nothing', () => {
    expect(() => select({ targets: ['q_prj'] })).toThrowErrorMatchingInlineSnapshot(`
      [PeftError: lora: no linear or embedding site matches "q_prj" in toy (11 sites).
        hint: Did you mean "q_proj" or "v_proj" or "up_proj"? List them with: peft inspect MODEL --sites]
    `);
    expect(() => select({ targets: ['q_proj', 'k_proj'] })).toThrow('matches "k_proj"');
    expect(select({ targets: ['q_proj', 'k_proj'] }, { strict: false })).toHaveLength(3);
    expect(() => select({ targets: ['k_proj'] }, { strict: false })).toThrow('matches "k_proj"');
  });
});

describe('parseCommonConfig', () => {
  it.each([
    [{ targets: [] }, 'targets must be a list of at least one name'],
    [{ targets: 3 }, 'targets must be a list of names'],
    [{ excludeModules: 3 }, 'excludeModules must be'],
    [{ layersToTransform: -1 }, 'layersToTransform must be'],
    [{ layersToTransform: 0, targets: '.*' }, 'layersToTransform must be absent'],
    [{ layersPattern: 3 }, 'layersPattern must be'],
    [{ modulesToSave: 'classifier' }, 'modulesToSave must be'],
  ])('refuses %j', (input, message) => {
    expect(() => parseCommonConfig('lora', input as never)).toThrow(message);
  });
});
