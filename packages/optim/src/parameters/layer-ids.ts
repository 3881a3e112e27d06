/**
 * AutoGluon's layer ids: how far a parameter is from the output, read from its name alone.
 *
 * Outside the backbone (the head) 0; in the backbone by the first number in the name, the last
 * block 1, the first block N; embeddings and norms outside the blocks N + 1; pooler and final norms
 * 0. The order of the names matters: a new block starts where the number changes.
 */

/** How `layerIds` reads names: what the backbone is called and what lies outside its blocks. */
export interface LayerIdOptions {
  /** The backbone's names start with it. Default `model`. */
  readonly backbonePrefix?: string;
  /** A backbone name without a number that contains one of them lies before the blocks. */
  readonly beforeBlocks?: readonly string[];
  /**
   * A backbone name without a number that contains one of them (and none of the others) lies after
   * the blocks.
   */
  readonly afterBlocks?: readonly string[];
}

/** What `layerIds` read from the names. */
export interface LayerIds {
  /** In the order of the names. */
  readonly ids: ReadonlyMap<string, number>;
  /**
   * Set when a backbone name fits no pattern: all ids are 0 then, as in AutoGluon, and the sentence
   * says which name it was. Worth a warning.
   */
  readonly problem?: string;
}

/** The patterns of AutoGluon's text models. */
export const TEXT_LAYER_PATTERNS = Object.freeze({
  beforeBlocks: Object.freeze([
    'embeddings',
    'LayerNorm',
    'wte',
    'wpe',
    'shared.weight',
    'encoder.conv.conv',
    'relative_attention_bias',
    'dummy_layer',
  ]),
  afterBlocks: Object.freeze(['head', 'pooler', 'ln_f', 'final_layer_norm']),
});

/**
 * The layer id of every parameter (all of them, in the model's order, also those that do not
 * train).
 */
export function layerIds(
  parameterNames: readonly string[],
  {
    backbonePrefix = 'model',
    beforeBlocks = TEXT_LAYER_PATTERNS.beforeBlocks,
    afterBlocks = TEXT_LAYER_PATTERNS.afterBlocks,
  }: LayerIdOptions = {},
): LayerIds {
  const backbone = parameterNames.filter((name) => name.startsWith(backbonePrefix));
  const before: string[] = [];
  const after: string[] = [];
  const blockOf = new Map<string, number>(); // 1 for the first block
  let block = 0;
  for (const child of childrenOf(backbone, backbonePrefix)) {
    let last = -1;
    for (const name of backbone.filter((candidate) => candidate.startsWith(child))) {
      const number = firstNumber(name);
      if (number !== undefined) {
        if (number !== last) block += 1;
        last = number;
        blockOf.set(name, block);
      } else if (beforeBlocks.some((pattern) => name.includes(pattern))) before.push(name);
      else if (afterBlocks.some((pattern) => name.includes(pattern))) after.push(name);
      else {
        return {
          ids: new Map(parameterNames.map((other) => [other, 0])),
          problem:
            `the name ${JSON.stringify(name)} has no block number and fits neither ` +
            `${beforeBlocks.join(', ')} nor ${afterBlocks.join(', ')}, so every parameter has layer id 0`,
        };
      }
    }
  }
  const blocks = Math.max(0, ...blockOf.values());
  const distance = new Map<string, number>();
  for (const name of before) distance.set(name, blocks + 1);
  for (const [name, position] of blockOf) distance.set(name, blocks + 1 - position);
  for (const name of after) distance.set(name, 0);
  return { ids: new Map(parameterNames.map((name) => [name, distance.get(name) ?? 0])) };
}

/**
 * Prefixes of the backbone's direct children, in order of appearance. One may be a prefix of
 * another (ELECTRA's `embeddings`, `embeddings_project`).
 */
function childrenOf(names: readonly string[], prefix: string): Set<string> {
  return new Set(names.map((name) => `${prefix}.${name.slice(prefix.length + 1).split('.')[0]}`));
}

function firstNumber(name: string): number | undefined {
  const part = name.split('.').find((piece) => /^\d+$/.test(piece));
  return part === undefined ? undefined : Number(part);
}
