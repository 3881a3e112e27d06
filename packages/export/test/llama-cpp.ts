/**
 * node-llama-cpp, where it is: in the repository's node_modules, or in those of the folder that
 * PEFT_CONSUMERS names (`npm i --ignore-scripts node-llama-cpp` there).
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

/** What the tests use of its API. */
export interface LlamaModel {
  tokenize(text: string, specialTokens: boolean): number[];
  readonly tokens: { readonly bos: number | null; readonly eos: number | null };
  createContext(options: object): Promise<LlamaContext>;
  dispose(): Promise<void>;
}
interface LlamaContext {
  getSequence(): LlamaSequence;
  loadLora?(options: object): Promise<void>;
  dispose(): Promise<void>;
}
interface LlamaSequence {
  controlledEvaluate(
    input: readonly (readonly [number, object])[],
  ): Promise<{ readonly next: { readonly probabilities: ReadonlyMap<number, number> } }[]>;
}
export interface LlamaCpp {
  loadModel(options: object): Promise<LlamaModel>;
  dispose(): Promise<void>;
}

/** Every token counts: no sampler cuts any. */
const ALL = Object.freeze({ temperature: 1, topK: 0, topP: 1, minP: 0 });

/** Undefined where it is not installed. The caller disposes. */
export async function openLlamaCpp(): Promise<LlamaCpp | undefined> {
  const folder = process.env['PEFT_CONSUMERS'] ?? process.cwd();
  const path = join(folder, 'node_modules/node-llama-cpp/dist/index.js');
  if (!existsSync(path)) return undefined;
  const module = (await import(pathToFileURL(path).href)) as {
    getLlama(options: object): Promise<LlamaCpp>;
  };
  return module.getLlama({ build: 'never', gpu: false, logLevel: 'error', maxThreads: 1 });
}

/** Probabilities of every token after each one of `ids`, `[ids][V]`. */
export async function llamaProbabilities(
  model: LlamaModel,
  ids: readonly number[],
  { lora }: { readonly lora?: string } = {},
): Promise<Float64Array[]> {
  const context = await model.createContext({
    contextSize: 256,
    sequences: 1,
    threads: 1,
    ...(lora === undefined ? {} : { lora }),
  });
  try {
    const steps = await context
      .getSequence()
      .controlledEvaluate(
        ids.map((id) => [id, { generateNext: { probabilities: true, options: ALL } }] as const),
      );
    return steps.map(({ next: { probabilities } }) => {
      const row = new Float64Array(probabilities.size);
      for (const [id, value] of probabilities) row[id] = value;
      return row;
    });
  } finally {
    await context.dispose();
  }
}
