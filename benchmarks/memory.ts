/**
 * Planned against actual peak memory, each configuration in a process of its own: `npm run
 * bench:memory [-- --only FLAN --steps 2 --engine tensorflow]`.
 *
 * Random weights of the real shapes. The actual peak is what the system says that the process held
 * at the most, loading included.
 */
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

interface Report {
  readonly peakRssBytes: number;
  readonly plannedPeakBytes: number;
  readonly secondsPerStep: number;
  readonly weightBytes: number;
}

const root = fileURLToPath(new URL('..', import.meta.url));
const configs = 'packages/testing/fixtures/autogluon/configs/';
const { values: options } = parseArgs({
  options: {
    only: { type: 'string', default: '' },
    steps: { type: 'string', default: '2' },
    engine: { type: 'string', default: 'native' },
  },
});

/** Name → arguments of `bench:step`. */
const CASES: readonly (readonly [string, string])[] = [
  [
    'BERT base, bit_fit, 8 × 128',
    `--arch ${configs}bert-base-uncased --method bit_fit --batch 8 --length 128`,
  ],
  [
    'mDeBERTa-v3 base, float32 checkpoint, lora, 4 × 256',
    `--arch ${configs}mdeberta-v3-base --method lora --batch 4 --length 256 --stored-dtype F32`,
  ],
  [
    'XLM-R base, int8, ia3, 16 × 64, checkpointed',
    `--arch ${configs}xlm-roberta-base --method ia3 --batch 16 --length 64 --quantization int8 --checkpointing`,
  ],
  [
    'FLAN-T5 base encoder, LoRA r = 64 on all linear, 8 × 128',
    `--arch ${configs}flan-t5-base --rank 64 --targets all-linear --batch 8 --length 128`,
  ],
  [
    'FLAN-T5-XL encoder, NF4 + double, ia3_bias, 1 × 128',
    `--arch ${configs}flan-t5-xl --method ia3_bias --batch 1 --length 128 --quantization nf4 --double-quantization`,
  ],
  [
    'Llama-3-8B, NF4 + double, LoRA r = 16 on all linear, 1 × 512, checkpointed, 8-bit AdamW',
    '--arch benchmarks/configs/llama-3-8b.json --head causal-lm --rank 16 --targets ' +
      'all-linear --batch 1 --length 512 --quantization nf4 --double-quantization ' +
      '--checkpointing --optimizer adamw_8bit',
  ],
];

const gigabytes = (bytes: number): string => `${(bytes / 1e9).toFixed(2)} GB`;
console.log(
  '| configuration | weights | planned peak | actual peak | planned ÷ actual |\n|---|---|---|---|---|',
);
for (const [name, words] of CASES) {
  if (!name.includes(options.only)) continue;
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    [
      'tools/run-source.mjs',
      'benchmarks/step.ts',
      ...words.split(' '),
      '--steps',
      options.steps,
      '--engine',
      options.engine,
      '--json',
    ],
    { cwd: root, encoding: 'utf8' },
  );
  if (status !== 0) throw new Error(`${name}: ${stderr.trim().split('\n').at(-1)}`);
  const { peakRssBytes, plannedPeakBytes, weightBytes } = JSON.parse(
    stdout.trim().split('\n').at(-1)!,
  ) as Report;
  console.log(
    `| ${name} | ${gigabytes(weightBytes)} | ${gigabytes(plannedPeakBytes)} | ` +
      `${gigabytes(peakRssBytes)} | ${(plannedPeakBytes / peakRssBytes).toFixed(2)} |`,
  );
}
