/** PEFT's words for the options of AdaLoRA. */
import type { PeftConfigContext } from '@peft/core';
import { loraPeftKeys } from '@peft/lora';
import type { AdaloraConfig } from './adalora-config.js';
import type { RankAllocator } from './rank-allocator.js';

/** PEFT's `adapter_config.json` of an AdaLoRA, with the ranks that were allocated so far. */
export function toPeftAdaloraConfig(
  config: AdaloraConfig,
  context: PeftConfigContext,
): Record<string, unknown> {
  const allocator = context.shared.get('adalora') as RankAllocator | undefined;
  return {
    ...loraPeftKeys(context.sites),
    r: 8,
    lora_alpha: config.alpha,
    lora_dropout: config.dropout,
    bias: config.bias,
    init_lora_weights: config.initWeights,
    init_r: config.initialRank,
    target_r: config.targetRank,
    total_step: config.totalSteps,
    tinit: config.initialSteps,
    tfinal: config.finalSteps,
    deltaT: config.interval,
    beta1: config.beta1,
    beta2: config.beta2,
    orth_reg_weight: config.orthogonalWeight,
    rank_pattern: allocator?.rankPattern ?? config.rankPattern ?? null,
  };
}

/** The options that a PEFT `adapter_config.json` states; those that it leaves out are absent. */
export function fromPeftAdaloraConfig(
  json: Readonly<Record<string, unknown>>,
): Partial<AdaloraConfig> {
  const known = {
    initialRank: json['init_r'],
    targetRank: json['target_r'],
    alpha: json['lora_alpha'],
    dropout: json['lora_dropout'],
    totalSteps: json['total_step'],
    initialSteps: json['tinit'],
    finalSteps: json['tfinal'],
    interval: json['deltaT'],
    beta1: json['beta1'],
    beta2: json['beta2'],
    orthogonalWeight: json['orth_reg_weight'],
    initWeights:
      json['init_lora_weights'] === undefined ? undefined : json['init_lora_weights'] !== false,
    bias: json['bias'],
    rankPattern: json['rank_pattern'] ?? undefined,
  } as Partial<AdaloraConfig>;
  return Object.fromEntries(Object.entries(known).filter(([, value]) => value !== undefined));
}
