/**
 * DeepSeek-V3 and R1 (DeepSeek-AI 2024): keys and values from a narrow state, dense blocks first,
 * then experts that are chosen by groups, beside one network that all tokens take.
 */
import { defineArchitecture } from '@peft/core';
import { readConfig, type ConfigJson } from '../../description/config-reader.js';
import { parseDecoderConfig, type DecoderConfig } from '../../decoder/decoder-config.js';
import { decoderParts } from '../../decoder/decoder.js';
import { MLP_EXPERTS, parsePerToken, type ExpertsForm } from '../../decoder/experts-config.js';
import type { RopeConfig } from '../../decoder/rope-config.js';

const EXPERTS: ExpertsForm = {
  ...MLP_EXPERTS,
  shared: { path: 'shared_experts' },
  order: ['experts', 'router', 'shared'],
};

/**
 * DeepSeek-V3 and R1, `model_type` `deepseek_v3` (DeepSeek-AI 2024). The reference is transformers'
 * implementation.
 */
export const deepseekV3 = defineArchitecture<DecoderConfig>({
  ...decoderParts,
  family: 'DeepSeek-V3',
  modelTypes: ['deepseek_v3'],
  parseConfig(json: ConfigJson) {
    const turning = json['qk_rope_head_dim'] ?? 64;
    const config = readConfig('DeepSeek-V3', { ...json, head_dim: json['head_dim'] ?? turning });
    config.only('head_dim', turning, 'it is qk_rope_head_dim, the columns that turn');
    const shared = parseDecoderConfig(config, {
      vocabularySize: 129280,
      hiddenSize: 7168,
      layers: 61,
      heads: 128,
      keyValueHeads: 128,
      feedForwardSize: 18432,
      maxPositions: 4096,
      isTied: false,
    });
    if (shared.keyValueHeads !== shared.heads)
      config.refuse('num_key_value_heads', shared.keyValueHeads, 'num_attention_heads');
    const still = config.size('qk_nope_head_dim', 128);
    const count = config.size('n_routed_experts', 256);
    const groups = config.size('n_group', 8);
    if (count % groups !== 0 || count / groups < 2)
      config.refuse('n_group', groups, `a divisor of the ${count} experts, two to a group`);
    const chosenGroups = config.size('topk_group', 4);
    if (chosenGroups > groups) config.refuse('topk_group', chosenGroups, `at most ${groups}`);
    const size = config.size('moe_intermediate_size', 2048);
    const dense = config.count('first_k_dense_replace', 3);
    return {
      ...shared,
      rope: shared.rope && {
        ...shared.rope,
        interleaved: config.flag('rope_interleave', true),
      },
      attentionScale: scoreScale(shared.rope) / Math.sqrt(still + shared.headSize),
      latent: {
        queryRank: json['q_lora_rank'] === null ? 0 : config.size('q_lora_rank', 1536),
        keyValueRank: config.size('kv_lora_rank', 512),
        turning: shared.headSize,
        still,
        valueSize: config.size('v_head_dim', 128),
        hasBias: config.flag('attention_bias', false),
      },
      experts: {
        count,
        perToken: parsePerToken(config, (count / groups) * chosenGroups, 8),
        size,
        isSparse: shared.windows.map((_, layer) => layer >= dense),
        router: {
          kind: 'sigmoid',
          normalises: config.flag('norm_topk_prob', true),
          scale: config.number('routed_scaling_factor', 2.5),
          groups,
          chosenGroups,
          hasBias: false,
        },
        form: EXPERTS,
        sharedSize: size * config.count('n_shared_experts', 1),
        lossWeight: 0,
      },
    };
  },
});

/** YaRN's `mscale_all_dim` sharpens scores: (0.1·m·ln(factor) + 1)². */
function scoreScale(rope: RopeConfig | undefined): number {
  const { mscale_all_dim: m, factor } = (rope?.scaling ?? {}) as Record<string, unknown>;
  if (typeof m !== 'number' || m === 0 || typeof factor !== 'number' || factor <= 1) return 1;
  return (0.1 * m * Math.log(factor) + 1) ** 2;
}
