/**
 * Peak memory of learning from pairs against supervised training on the same tokens: `node
 * tools/run-source.mjs benchmarks/preference.ts [--arch llama-3.2-1b --pairs 2 --length 180 --prompts
 * 150,8 --checkpointing]`. Random weights in NF4, LoRA on all linear maps, two steps of the real loop, each task in a
 * process of its own; the peak is what the system says that the process held at the most.
 */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import {
  architectureFor,
  describeModel,
  loadModel,
  randomWeights,
  type ModelBatch,
} from '@peft/core';
import { tokenData } from '@peft/data';
import { lora } from '@peft/lora';
import { architectures } from '@peft/models';
import { createNativeEngine } from '@peft/native';
import { adamw, constantSchedule } from '@peft/optim';
import { preference } from '@peft/preference';
import { causalLanguageModel, createBatchOrder, train, type Task } from '@peft/trainer';
import { configPath } from './peers/shapes.js';

const { values: options } = parseArgs({
  options: {
    arch: { type: 'string', default: 'llama-3.2-1b' },
    pairs: { type: 'string', default: '2' },
    length: { type: 'string', default: '180' },
    prompts: { type: 'string', default: '150,8' },
    checkpointing: { type: 'boolean', default: false },
    /** Of the process that measures: `preference` or `supervised`. */
    task: { type: 'string' },
  },
});

interface Report {
  readonly trainingPeakBytes: number;
  readonly livingPeakBytes: number;
  readonly secondsPerStep: number;
}

if (options.task === undefined) compare();
else await measure(options.task);

function compare(): void {
  console.log(
    '| tokens of a prompt, of a text | task | peak of the process | peak of tensors | s/step |\n' +
      '|---|---|---|---|---|',
  );
  for (const prompt of options.prompts.split(',')) {
    const [supervised, pairs] = ['supervised', 'preference'].map((task) => {
      const report = inProcess(task, prompt);
      console.log(
        `| ${prompt}, ${options.length} | ${task} | ${gigabytes(report.trainingPeakBytes)} | ` +
          `${gigabytes(report.livingPeakBytes)} | ${report.secondsPerStep.toFixed(2)} |`,
      );
      return report;
    });
    const ratio = (of: keyof Report): string => (pairs![of] / supervised![of]).toFixed(3);
    console.log(
      `| ${prompt}, ${options.length} | preference ÷ supervised | ${ratio('trainingPeakBytes')} | ` +
        `${ratio('livingPeakBytes')} | ${ratio('secondsPerStep')} |`,
    );
  }
}

function gigabytes(bytes: number): string {
  return `${(bytes / 1e9).toFixed(2)} GB`;
}

function inProcess(task: string, prompt: string): Report {
  const { arch, pairs, length, checkpointing } = options;
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    [
      'tools/run-source.mjs',
      'benchmarks/preference.ts',
      ...['--task', task, '--prompts', prompt, '--arch', arch, '--pairs', pairs],
      ...['--length', length, ...(checkpointing ? ['--checkpointing'] : [])],
    ],
    { cwd: fileURLToPath(new URL('..', import.meta.url)), encoding: 'utf8' },
  );
  if (status !== 0) throw new Error(`${task}: ${stderr.trim().split('\n').at(-1)}`);
  return JSON.parse(stdout.trim().split('\n').at(-1)!) as Report;
}

async function measure(name: string): Promise<void> {
  const engine = createNativeEngine({ precision: 'bfloat16' });
  await engine.activate();
  const config = JSON.parse(readFileSync(configPath(options.arch), 'utf8')) as Record<
    string,
    unknown
  >;
  const architecture = architectureFor(config['model_type'], architectures);
  const head = { kind: 'causal-lm' } as const;
  const description = describeModel(architecture, architecture.parseConfig(config), head);
  const weights = randomWeights(description, { dtype: 'BF16' });
  const quantization = { format: 'nf4', doubleQuantization: true } as const;
  const model = loadModel(architecture, config, weights, engine, { head, quantization });
  model.addAdapter('default', lora({ rank: 16, targets: 'all-linear' }));
  const data = pairsOf(description.vocabularySize);
  let trainingPeakBytes = 0;
  const look = (): void =>
    void (trainingPeakBytes = Math.max(trainingPeakBytes, process.memoryUsage.rss()));
  const sampler = setInterval(look, 5);
  const { pool } = engine.backend;
  pool.resetPeak();
  const began = performance.now();
  const steps = 2;
  const task = (name === 'preference' ? preference() : causalLanguageModel()) as Task<ModelBatch>;
  await train({
    model,
    task,
    data: data as never,
    order: createBatchOrder({ lengths: data.lengths, batchSize: Number(options.pairs), seed: 0 }),
    optimizer: adamw(),
    schedule: constantSchedule({ learningRate: 1e-4 }),
    options: {
      maxSteps: steps,
      epochs: steps,
      gradientCheckpointing: options.checkpointing,
    },
  });
  clearInterval(sampler);
  look();
  const report: Report = {
    trainingPeakBytes,
    livingPeakBytes: pool.usage.peakLivingBytes,
    secondsPerStep: (performance.now() - began) / 1e3 / steps,
  };
  console.log(JSON.stringify(report));
  model.dispose();
  engine.dispose();
}

/** Both answers of a pair behind one prompt. */
function pairsOf(vocabularySize: number) {
  const [prompt, length] = [Number(options.prompts), Number(options.length)];
  const id = (seed: number): number => 5 + ((seed * 7919) % (vocabularySize - 5));
  return tokenData(
    Array.from({ length: Number(options.pairs) }, (_, pair) =>
      [1, 2].map((answer) => {
        const inputIds = Array.from({ length }, (__, n) =>
          id(n < prompt ? pair * 1000 + n : pair * 1000 + answer * 300 + n),
        );
        return { inputIds, labels: inputIds.map((token, n) => (n < prompt ? -100 : token)) };
      }),
    ),
  );
}
