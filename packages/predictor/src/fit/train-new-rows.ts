/** Lets a method train the rows of tokens that were added to a vocabulary. */
import {
  attachAdapter,
  tiedEmbeddings,
  tiedOutputs,
  vocabularyModules,
  type MethodPart,
  type MethodSpec,
  type ModelDescription,
} from '@peft/core';
import { PeftError } from '@peft/errors';

export interface RowTraining {
  readonly spec: MethodSpec;
  /** Modules that train whole, since the method has no rows of its own. */
  readonly whole: readonly string[];
}

/**
 * The method with rows of the word table, and of a language model's own output layer: as rows where
 * it has such and its files have a word for them (LoRA's `trainable_token_indices` in PEFT's
 * layout), else by training these modules whole (`modules_to_save`), an output layer that reads the
 * table among them.
 * @param rows ids of tokens
 */
export function trainNewRows(
  spec: MethodSpec,
  description: ModelDescription,
  rows: readonly number[],
): RowTraining {
  if (rows.length === 0 || trainsTables(spec, description)) return { spec, whole: [] };
  const { tables, outputs } = vocabularyModules(description);
  const isPeftLayout = spec.parts.every(({ method }) => method.format === undefined);
  const at = isPeftLayout ? spec.parts.findIndex(({ method }) => method.withRows) : -1;
  const replaced = (index: number, part: Partial<MethodPart>): MethodSpec => ({
    ...spec,
    parts: spec.parts.map((other, i) => (i === index ? { ...other, ...part } : other)),
  });
  if (at >= 0) {
    const { method, config } = spec.parts[at]!;
    const byModule = Object.fromEntries([...tables, ...outputs].map((path) => [path, rows]));
    const withRows = method.withRows!(config, byModule, description) as never; // the method's own
    return { spec: replaced(at, { config: withRows }), whole: [] };
  }
  const readers = tiedEmbeddings(description).map(({ reader }) => reader.path);
  const whole = [
    ...(readers.length ? readers : tables),
    ...outputs,
    ...tiedOutputs(description).map(({ output }) => output.path),
  ];
  const [first] = spec.parts;
  const modulesToSave = [...new Set([...(first?.common.modulesToSave ?? []), ...whole])];
  return first
    ? { spec: replaced(0, { common: { ...first.common, modulesToSave } }), whole }
    : { spec, whole: [] };
}

/** Whether the method trains the word table whole anyway; what computes on weights does not. */
function trainsTables(spec: MethodSpec, description: ModelDescription): boolean {
  try {
    const adapter = attachAdapter('trial', spec, description, undefined);
    const isTrained = vocabularyModules(description).tables.every((path) =>
      adapter.unfrozen(`${path}.weight`),
    );
    adapter.dispose();
    return isTrained;
  } catch (error) {
    if (error instanceof PeftError && error.code === 'PEFT_MODEL_WITHOUT_WEIGHTS') return false;
    throw error;
  }
}
