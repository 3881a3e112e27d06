/** What the benchmarks run: configs by name, precisions, and the rows of the table of steps. */
import { existsSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const FOLDERS = ['../configs/', '../../packages/testing/fixtures/autogluon/configs/'].map((path) =>
  fileURLToPath(new URL(path, import.meta.url)),
);

/** The config.json that a path, a folder or a name of one of the folders of configs means. */
export function configPath(arch: string): string {
  const candidates = [
    arch,
    ...FOLDERS.flatMap((folder) => [join(folder, arch), join(folder, `${arch}.json`)]),
  ];
  const found = candidates.find((path) => existsSync(path));
  if (!found)
    throw new Error(
      `--arch: there is no file or folder ${arch}, and no config of this name in ${FOLDERS.join(', ')}`,
    );
  return statSync(found).isDirectory() ? join(found, 'config.json') : found;
}

const PRECISIONS: Readonly<Record<string, 'bfloat16' | 'float32'>> = {
  bf16: 'bfloat16',
  bfloat16: 'bfloat16',
  fp32: 'float32',
  float32: 'float32',
};

export function precisionOf(name: string): 'bfloat16' | 'float32' {
  const precision = PRECISIONS[name];
  if (!precision)
    throw new Error(
      `--precision must be one of ${Object.keys(PRECISIONS).join(', ')}, got ${name}`,
    );
  return precision;
}

/** A row of the table: arguments that `step.ts` and `torch_step.py` both take. */
export interface Shape {
  readonly arch: string;
  readonly title: string;
  readonly words: readonly string[];
}

function shape(arch: string, batch: number, length: number, title: string, words: string): Shape {
  return {
    arch,
    title: `${title}, ${batch} × ${length}`,
    words: [...words.split(' '), '--batch', String(batch), '--length', String(length)],
  };
}

const ENCODERS = ['bert-base-uncased', 'mdeberta-v3-base', 'xlm-roberta-base', 'flan-t5-base'];
const LANGUAGE_MODELS = ['llama-3.2-1b', 'qwen3-0.6b'];
const ON_ALL = '--head causal-lm --rank 16 --targets all-linear';

export const SHAPES: readonly Shape[] = [
  ...ENCODERS.map((arch) => shape(arch, 8, 128, 'ia3_bias', '--method ia3_bias')),
  ...ENCODERS.map((arch) => shape(arch, 8, 128, 'LoRA r = 8', '--rank 8')),
  shape(
    'modernbert-base',
    4,
    1024,
    'LoRA r = 8, all linear layers',
    '--rank 8 --targets all-linear',
  ),
  ...LANGUAGE_MODELS.flatMap((arch) => [
    shape(arch, 1, 512, 'LoRA r = 16, all linear layers', ON_ALL),
    shape(
      arch,
      4,
      512,
      'LoRA r = 16, all linear layers, checkpointing',
      `${ON_ALL} --checkpointing`,
    ),
    shape(arch, 1, 2048, 'LoRA r = 16, all linear layers', ON_ALL),
  ]),
];
