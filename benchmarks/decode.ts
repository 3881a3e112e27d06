/**
 * Times greedy decoding of a random-weight model and says how much of the memory's bandwidth it
 * uses: `npm run bench:decode -- [--arch benchmarks/configs/llama-3.2-1b.json] [--prompt 64]
 * [--tokens 32] [--batch 1] [--threads 2] [--quantization nf4 [--double-quantization]] [--profile] [--json]`.
 *
 * Each token reads every weight once (of the embedding table only the output layer's use of it),
 * and the cached keys and values: used share = tokens/s · bytes per token / bandwidth, the
 * bandwidth being that of a plain streaming read on as many threads (`decode/bandwidth.cc`, needs a
 * C++ compiler).
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import {
  architectureFor,
  describeModel,
  loadModel,
  quantizableWeights,
  randomWeights,
} from '@peft/core';
import { generate } from '@peft/generation';
import { architectures } from '@peft/models';
import { createNativeEngine } from '@peft/native';
import { watchKernels } from './kernel-times.js';

const { values: options } = parseArgs({
  options: {
    arch: { type: 'string', default: 'benchmarks/configs/llama-3.2-1b.json' },
    prompt: { type: 'string', default: '64' },
    tokens: { type: 'string', default: '32' },
    batch: { type: 'string', default: '1' },
    threads: { type: 'string' },
    precision: { type: 'string', default: 'bfloat16' },
    quantization: { type: 'string' },
    'double-quantization': { type: 'boolean', default: false },
    profile: { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});
if (options.help) {
  console.log(
    'bench:decode [--arch CONFIG_JSON] [--prompt 64] [--tokens 32] [--batch 1] [--threads N] ' +
      '[--precision bfloat16|float32] [--quantization nf4|int8] [--double-quantization] ' +
      '[--profile] [--json]',
  );
  process.exit(0);
}

const threads = options.threads === undefined ? availableParallelism() : Number(options.threads);
const bandwidthBefore = readBandwidth(threads);
const engine = createNativeEngine({ precision: options.precision as 'bfloat16', threads });
await engine.activate();
const config = JSON.parse(readFileSync(options.arch, 'utf8')) as Record<string, unknown>;
const architecture = architectureFor(config['model_type'], architectures);
const head = { kind: 'causal-lm' } as const;
const description = describeModel(architecture, architecture.parseConfig(config), head);
const model = loadModel(
  architecture,
  config,
  randomWeights(description, { dtype: 'BF16' }),
  engine,
  {
    head,
    ...(options.quantization && {
      quantization: {
        format: options.quantization as 'nf4',
        doubleQuantization: options['double-quantization'],
      },
    }),
  },
);

const prompt = Array.from(
  { length: Number(options.prompt) },
  (_, n) => 5 + ((n * 7919) % (description.vocabularySize - 5)),
);
const times: number[] = [];
const processor: number[] = [];
const prompts = Array.from({ length: Number(options.batch) }, (_, b) => prompt.map((id) => id + b));
const kernels = options.profile ? watchKernels(engine) : undefined;
await generate(model, prompts, {
  maxNewTokens: Number(options.tokens) + 1,
  onToken: (token) => {
    if (token.prompt !== 0) return;
    if (times.length === 0) kernels?.reset(); // the prompt is read
    times.push(performance.now());
    const { user, system } = process.cpuUsage();
    processor.push((user + system) / 1e3);
  },
});
if (kernels) console.error(kernels.report(`${options.tokens} tokens`, times.at(-1)! - times[0]!));
// of a machine that others share it changes from minute to minute
const bandwidth = Math.max(bandwidthBefore, readBandwidth(threads));
const [steps, processorSteps] = [times, processor].map((clock) =>
  clock
    .slice(1)
    .map((time, i) => time - clock[i]!)
    .sort((a, b) => a - b),
) as [number[], number[]];
const median = steps[Math.floor(steps.length / 2)]! / 1e3;
const weightBytes = readBytes();
const result = {
  arch: options.arch,
  threads,
  precision: options.precision,
  promptTokens: prompt.length,
  tokens: steps.length,
  medianMsPerToken: median * 1e3,
  // of all threads, what they wait for one another included: clean with one thread
  processorMsPerToken: processorSteps[Math.floor(processorSteps.length / 4)]!,
  batch: prompts.length,
  tokensPerSecond: prompts.length / median,
  megabytesPerToken: weightBytes / 1e6,
  gigabytesPerSecond: weightBytes / median / 1e9,
  bandwidthGigabytesPerSecond: bandwidth,
  usedShare: weightBytes / median / 1e9 / bandwidth,
};
console.log(
  options.json
    ? JSON.stringify(result)
    : `${result.tokensPerSecond.toFixed(2)} tokens/s (median of ${steps.length} tokens after a ` +
        `prompt of ${prompt.length}), ${result.gigabytesPerSecond.toFixed(1)} of ` +
        `${bandwidth.toFixed(1)} GB/s that ${threads} threads can read: ` +
        `${(100 * result.usedShare).toFixed(0)} %`,
);
model.dispose();
engine.dispose();

/**
 * Weights of the linear layers and norms, and the keys and values of a text of middle length. The
 * output layer stays in 16 bits.
 */
function readBytes(): number {
  const isRead = new Set(
    description.sites.flatMap((site) =>
      site.kind === 'linear' || site.kind === 'norm' ? [site.weight] : [],
    ),
  );
  const quantized = quantizableWeights(description);
  const weights = description.parameters
    .filter(({ name }) => isRead.has(name))
    .reduce(
      (sum, { name, shape }) =>
        sum +
        (shape.reduce((product, size) => product * size, 1) * bitsOf(quantized.has(name))) / 8,
      0,
    );
  const length = prompt.length + Number(options.tokens) / 2;
  const attentions = description.sites.filter((site) => site.kind === 'attention');
  return (
    weights +
    prompts.length *
      attentions.reduce(
        (sum, { keyValueHeads, headSize }) => sum + 2 * 4 * length * keyValueHeads * headSize,
        0,
      )
  );
}

function readBandwidth(count: number): number {
  const folder = mkdtempSync(join(tmpdir(), 'bandwidth-'));
  try {
    execFileSync('c++', [
      '-O3',
      '-march=native',
      '-pthread',
      fileURLToPath(new URL('decode/bandwidth.cc', import.meta.url)),
      '-o',
      join(folder, 'bandwidth'),
    ]);
    return Number(
      execFileSync(join(folder, 'bandwidth'), [String(count), '2000', '5'], { encoding: 'utf8' }),
    );
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Bits that a weight takes on average. */
function bitsOf(isQuantizable: boolean): number {
  if (options.quantization === undefined || !isQuantizable) return 16;
  if (options.quantization === 'int8') return 8;
  return options['double-quantization'] ? 4 + 8 / 64 + 32 / (64 * 256) : 4.5;
}
