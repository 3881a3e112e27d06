/** What the modules of a block of BERT's kind are called, in the order that transformers lists. */

export type BertPart =
  'query' | 'key' | 'value' | 'output' | 'attentionNorm' | 'up' | 'down' | 'ffnNorm';

/** What an encoder's modules are called, and in which order its blocks run them. */
export interface BertForm {
  /** The attention site. */
  readonly self: string;
  readonly modules: Readonly<Record<BertPart, string>>;
  readonly order: readonly BertPart[];
  /** The sublayer sites: where the branches end. */
  readonly attentionSublayer: string;
  readonly ffnSublayer: string;
  /** Norms read a branch's input, not the residual sum, and one more stands behind the blocks. */
  readonly isPreNorm: boolean;
}

export const BERT_FORM: BertForm = {
  self: 'attention.self',
  modules: {
    query: 'attention.self.query',
    key: 'attention.self.key',
    value: 'attention.self.value',
    output: 'attention.output.dense',
    attentionNorm: 'attention.output.LayerNorm',
    up: 'intermediate.dense',
    down: 'output.dense',
    ffnNorm: 'output.LayerNorm',
  },
  order: ['query', 'key', 'value', 'output', 'attentionNorm', 'up', 'down', 'ffnNorm'],
  attentionSublayer: 'attention.output',
  ffnSublayer: 'output',
  isPreNorm: false,
};
