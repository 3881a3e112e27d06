/** What a feed-forward network of experts is made of, and how a router chooses among them. */
import type { TensorCut } from '../description/describe.js';
import type { ConfigReader } from '../description/config-reader.js';

/** Numbers and sizes of a decoder's experts. */
export interface ExpertsConfig {
  readonly count: number; // X
  /** K: experts of a token. */
  readonly perToken: number;
  /** F of one expert. */
  readonly size: number;
  /** Whether a block has experts. */
  readonly isSparse: readonly boolean[];
  readonly router: RouterConfig;
  readonly form: ExpertsForm;
  /** A network that every token takes as well; 0: none. */
  readonly sharedSize: number;
  /** Weight of the load-balancing loss; 0: it is not made. */
  readonly lossWeight: number;
}

/**
 * `softmax`: probabilities of all experts, of which the largest count; `chosen`: the softmax of the
 * largest logits; `sigmoid`: the largest of σ(logit) + correction, within the best groups.
 */
export interface RouterConfig {
  readonly kind: 'softmax' | 'chosen' | 'sigmoid';
  /** The weights of a token's experts are divided by their sum. */
  readonly normalises: boolean;
  /** The weights are multiplied by it. */
  readonly scale: number;
  readonly groups: number;
  readonly chosenGroups: number;
  readonly hasBias: boolean;
}

/** What the modules of a decoder's experts are called, and how they compute. */
export interface ExpertsForm {
  /** The module in a block: `mlp`. */
  readonly path: string;
  readonly router: string;
  /** Other names of the router's weight in checkpoints, below the block. */
  readonly routerAliases: readonly string[];
  /**
   * `halves`: W_down·(f(gate) ⊙ up), gate the first half of the columns; `clipped`: gpt-oss's, gate
   * and up in turns.
   */
  readonly gate: 'halves' | 'clipped';
  readonly hasBias: boolean;
  /** Checkpoints store an expert's weights as `[in, out]`. */
  readonly transposed: boolean;
  /** How checkpoints hold expert x of a block. */
  readonly cutOf: (block: string, x: number, count: number) => ExpertCut;
  /** Module of the network that every token takes, and of its gate. */
  readonly shared?: { readonly path: string; readonly gate?: string };
  /** Parts as transformers lists them. */
  readonly order: readonly ('router' | 'experts' | 'shared' | 'sharedGate')[];
}

export interface ExpertCut {
  readonly gateUp: TensorCut;
  readonly down: TensorCut;
  readonly gateUpBias?: TensorCut;
  readonly downBias?: TensorCut;
}

/**
 * Experts that checkpoints store one by one, or all in one tensor, as transformers 5 has them in
 * memory.
 * @param names of gate, up and down below the expert's module
 */
export const storedApart =
  (
    path: string,
    stored: string,
    names: readonly [gate: string, up: string, down: string],
  ): ExpertsForm['cutOf'] =>
  (block, x, count) => {
    const whole = (name: string) => `${block}.${path}.experts.${name}`;
    const apart = (name: string) => ({ name: `${block}.${stored}.experts.${x}.${name}.weight` });
    const entry = (name: string) => ({ of: whole(name), index: x, count });
    const [gate, up, down] = names;
    return {
      gateUp: {
        entry: entry('gate_up_proj'),
        pieces: [[apart(gate), apart(up)], [{ name: whole('gate_up_proj'), index: x }]],
      },
      down: {
        entry: entry('down_proj'),
        pieces: [[apart(down)], [{ name: whole('down_proj'), index: x }]],
      },
    };
  };

export const SOFTMAX_ROUTER: RouterConfig = {
  kind: 'softmax',
  normalises: false,
  scale: 1,
  groups: 1,
  chosenGroups: 1,
  hasBias: false,
};

/** Experts behind `mlp.gate`, as most families have them. */
export const MLP_EXPERTS: ExpertsForm = {
  path: 'mlp',
  router: 'gate',
  routerAliases: [],
  gate: 'halves',
  hasBias: false,
  transposed: false,
  cutOf: storedApart('mlp', 'mlp', ['gate_proj', 'up_proj', 'down_proj']),
  order: ['router', 'experts'],
};

/** `router_aux_loss_coef`, which counts where `output_router_logits` is on. */
export const parseRouterLoss = (config: ConfigReader, fallback: number): number =>
  config.flag('output_router_logits', false) ? config.number('router_aux_loss_coef', fallback) : 0;

/** Experts of a token, at most as many as there are. */
export function parsePerToken(config: ConfigReader, count: number, fallback: number): number {
  const perToken = config.size('num_experts_per_tok', fallback);
  return perToken <= count
    ? perToken
    : config.refuse('num_experts_per_tok', perToken, `at most the ${count} experts`);
}
