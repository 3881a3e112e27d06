/**
 * The golden model cases that run where all would take too long: one of each form. None has experts:
 * where a router chooses, a rounded logit may choose others, and a distance says nothing.
 */
export const ONE_OF_EACH_FORM: ReadonlySet<string> = new Set([
  'bert',
  'deberta-v2',
  'deberta-v2-convolution',
  'deberta-v2-plain',
  'distilbert',
  'electra',
  'flan-t5',
  'gemma2',
  'gemma3',
  'gpt2',
  'llama',
  'llama-yarn',
  'mistral',
  'modernbert',
  'modernbert-mean',
  'mt5',
  'phi3',
  'phi3-longrope',
  'qwen2',
  'qwen3',
  'roberta',
  't5',
  'xlm-roberta',
]);
