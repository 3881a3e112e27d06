/**
 * `peft plan`: how much memory a training run would take, and what makes it fit. Needs no weights.
 */
import { existsSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { Command } from 'commander';
import { architectureFor, type WeightQuantization } from '@peft/core';
import { check, PeftError } from '@peft/errors';
import { openCheckpoint, readModelConfig, resolveModel, WEIGHT_FILES } from '@peft/hub';
import {
  chooseSettings,
  firstBlocks,
  formatPlan,
  gigabytes,
  machineMemory,
  planMemory,
  storedDtypeOf,
  suggestSettings,
  type MemoryPlan,
  type PlanRequest,
  type RunSettings,
  type Suggestion,
} from '@peft/memory-plan';
import { architectures } from '@peft/models';
import { nativeEngine } from '@peft/native';
import type { EngineDefinition } from '@peft/ops';
import { assertRunsOnDevice, createOptimizer, OPTIMIZER_NAMES } from '@peft/optim';
import { portableEngine } from '@peft/portable';
import { ENGINE_NAMES } from '@peft/predictor';
import {
  findInstallations,
  gpuMemory,
  hasFastBfloat16,
  probeGpus,
  tensorflowEngine,
  tensorflowSizing,
  visibleGpuMemory,
  visibleGpus,
} from '@peft/tensorflow';
import { webgpuEngine } from '@peft/webgpu';
import { table } from '../terminal/format.js';
import { methodNamed } from '../options/method-options.js';
import { loadPlugins } from '../options/plugins.js';
import { byteCount } from '../terminal/byte-count.js';
import { addPluginFlag } from '../options/engine-flags.js';
import { addHeadFlags, headOptions, type HeadFlags } from '../options/head-flags.js';
import { keyValues } from '../options/key-values.js';
import { positiveInteger } from '../options/numbers.js';
import {
  addRevisionFlag,
  addVocabularyFlag,
  withVocabulary,
  type RevisionFlag,
  type VocabularyFlag,
} from '../options/model-flags.js';
import { addRankFlags, gradientSumsOf, type RankFlags } from '../ranks/plan-ranks.js';
import { formatPipeline, planPipeline } from '../ranks/plan-pipeline.js';
import { planOfRanks, shardRanksOf } from '../ranks/plan-shards.js';
import type { Terminal } from '../terminal/terminal.js';

interface PlanFlags extends HeadFlags, RevisionFlag, VocabularyFlag, RankFlags {
  readonly method: string;
  readonly option: readonly string[];
  readonly plugin: readonly string[];
  readonly batch: string;
  readonly length: string;
  readonly decoderLength?: string;
  readonly checkpointing?: boolean | string;
  readonly optimizer: string;
  readonly resident?: string;
  readonly stateDevice: string;
  readonly base?: string;
  readonly blockSize?: string;
  readonly doubleQuantization: boolean;
  readonly dtype?: string;
  readonly engine: string;
  readonly precision?: string;
  readonly gpu?: string;
  readonly memory?: string;
  readonly exact?: boolean;
  readonly json?: boolean;
}

const DTYPES = { float32: 'F32', float16: 'F16', bfloat16: 'BF16' } as const;

export function addPlan(program: Command, terminal: Terminal): void {
  const command = program
    .command('plan')
    .summary('say how much memory a training run takes, and what makes it fit')
    .description(
      'Prints weights, adapters, gradients, optimiser state, activations and the peak of a ' +
        'training run, beside what the machine has, and what to switch on to fit. A ' +
        'config.json is enough: no weights are read.',
    )
    .argument('<model>', 'a folder, a config.json, or a hub id such as microsoft/mdeberta-v3-base')
    .option('-m, --method <name>', 'ia3_bias, lora, …', 'ia3_bias')
    .option('-o, --option <key=value...>', 'options of the method: rank=16 targets=all-linear', [])
    .option('-b, --batch <sequences>', 'sequences of a micro-batch', '8')
    .option('-l, --length <tokens>', 'tokens of each sequence', '128')
    .option(
      '--decoder-length <tokens>',
      'tokens of each sequence of the decoder; default: --length',
    );
  addVocabularyFlag(addRevisionFlag(addHeadFlags(addRankFlags(command))))
    .option(
      '--checkpointing [blocks]',
      'blocks that keep only their inputs: all, or the first so many',
    )
    .option('--optimizer <name>', OPTIMIZER_NAMES.join(', '), 'adamw')
    .option(
      '--resident <size>',
      'what of the optimiser state stays in memory (64MB); the rest lies in a page file',
    )
    .option(
      '--state-device <place>',
      'where the optimiser state lies: host, or device (the GPU: --resident stays there, the rest in memory)',
      'host',
    )
    .option(
      '--base <format>',
      'quantise the base while loading: nf4, fp4 or int8; or round it: bf16 or f16',
    )
    .option('--block-size <weights>', 'weights that share a maximum; default 64')
    .option('--no-double-quantization', 'keep the maxima in float32')
    .option(
      '--dtype <name>',
      `type of the checkpoint: ${Object.keys(DTYPES).join(', ')}; default: as the weights are, or config.json says`,
    )
    .option('--engine <name>', ENGINE_NAMES.join(', '), 'native')
    .option(
      '--precision <name>',
      'of the products on tensorflow: float32, bfloat16; default: what that engine takes here',
    )
    .option(
      '--gpu <size>',
      'the memory of the GPU that tensorflow computes on (24GB), or none; default: the GPU that nvidia-smi lists',
    )
    .option(
      '--memory <size>',
      'what the machine has to give (16GB); default: what is free on this one',
    )
    .option('--exact', 'suggest only what changes nothing but the time');
  addPluginFlag(command)
    .option('--json', 'print one JSON object')
    .addHelpText(
      'after',
      '\n' +
        'Examples:\n' +
        '  peft plan microsoft/mdeberta-v3-base --method ia3_bias --batch 8 --length 128\n' +
        '  peft plan ./llama/config.json --head causal-lm --method lora --option rank=16 ' +
        'targets=all-linear --batch 1 --length 512 --base nf4 --optimizer adamw_8bit --memory ' +
        '8GB\n' +
        '  peft plan bert-base-uncased --engine tensorflow --gpu 16GB\n' +
        '  peft plan bert-base-uncased --ranks 4 --micro-batches 16 --link 1Gb/s\n' +
        '  peft plan ./llama/config.json --head causal-lm --method lora --base nf4 --ranks 4 ' +
        '--pipeline 2 --micro-batches 16\n' +
        '  peft plan ./llama/config.json --head causal-lm --method lora --base nf4 --ranks 4 ' +
        '--shard-base --micro-batches 16 --link 10Gb/s --tokens-per-second 19',
    )
    .action(async (model: string, flags: PlanFlags) =>
      terminal.out(await plan(model, flags, terminal)),
    );
}

async function plan(model: string, flags: PlanFlags, terminal: Terminal): Promise<string> {
  const given = await requestOf(model, flags, terminal);
  const request = { ...given, shardRanks: shardRanksOf(flags, given) };
  const pipeline = planPipeline(flags, request);
  if (pipeline) return flags.json ? JSON.stringify({ pipeline }) : formatPipeline(pipeline, flags);
  const made = planMemory(request);
  const shared = planOfRanks(flags, request, made);
  const suggestions = made.fits
    ? []
    : suggestSettings(request).filter(({ isExact }) => isExact || !flags.exact);
  const chosen = made.fits ? undefined : settingsThatFit(request, flags.exact ?? false);
  if (flags.json)
    return JSON.stringify({
      plan: made,
      ranks: shared?.costs,
      suggestions: suggestions.map(toJson),
      chosen: chosen
        ? {
            peakBytes: peakOf(chosen.plan),
            flags: chosen.applied.map(({ kind }) => flagOf(kind, chosen.settings)),
          }
        : null,
    });
  const told = [formatPlan(made), ...(shared ? [shared.text] : [])];
  if (made.fits) return told.join('\n\n');
  const flagsOf = ({ kind, settings }: Suggestion): string => flagOf(kind, settings);
  return [
    ...told,
    ...(suggestions.length
      ? [
          table([
            ['what would help', 'flag', 'peak', 'fits'],
            ...suggestions.map((each) => [
              each.text,
              flagsOf(each),
              gigabytes(each.peakBytes),
              each.fits ? 'yes' : 'no',
            ]),
          ]),
        ]
      : []),
    chosen
      ? `It fits (${gigabytes(peakOf(chosen.plan))}) with ` +
        `${chosen.applied.map(({ kind }) => flagOf(kind, chosen.settings)).join(' ')}`
      : 'Nothing makes it fit: take a smaller model, shorter texts, or a ' +
        `${made.gpu && !made.gpu.fits ? 'GPU' : 'machine'} with more memory.`,
  ].join('\n\n');
}

async function requestOf(
  model: string,
  flags: PlanFlags,
  terminal: Terminal,
): Promise<PlanRequest> {
  const file =
    flags.revision === undefined && existsSync(model) && statSync(model).isFile()
      ? model
      : await resolveModel(model, {
          revision: flags.revision,
          files: ['config'],
          signal: terminal.signal,
        });
  const config = withVocabulary('plan', readModelConfig(file), flags);
  const plugins = await loadPlugins(flags.plugin);
  check.oneOf('plan', '--optimizer', flags.optimizer, OPTIMIZER_NAMES);
  check.oneOf('plan', '--state-device', flags.stateDevice, ['host', 'device']);
  const optimizer = createOptimizer(flags.optimizer);
  if (flags.stateDevice === 'device') assertRunsOnDevice(optimizer);
  if (flags.dtype !== undefined) check.oneOf('plan', '--dtype', flags.dtype, Object.keys(DTYPES));
  const dtype =
    flags.dtype === undefined ? dtypeOfWeights(model) : DTYPES[flags.dtype as keyof typeof DTYPES];
  const settings: RunSettings = {
    batch: {
      sequences: integer('--batch', flags.batch),
      length: integer('--length', flags.length),
      decoderLength:
        flags.decoderLength === undefined
          ? undefined
          : integer('--decoder-length', flags.decoderLength),
    },
    gradientSums: gradientSumsOf(flags),
    checkpointing:
      typeof flags.checkpointing === 'string' && flags.checkpointing !== 'all'
        ? firstBlocks(integer('--checkpointing', flags.checkpointing))
        : flags.checkpointing !== undefined,
    optimizer,
    residentStateBytes:
      flags.resident === undefined ? undefined : byteCount('plan', '--resident', flags.resident),
    quantization: flags.base === undefined ? undefined : quantizationOf(flags.base, flags),
  };
  const free = machineMemory();
  const given =
    flags.memory === undefined ? undefined : byteCount('plan', '--memory', flags.memory);
  return {
    architecture: architectureFor(config['model_type'], [
      ...architectures,
      ...plugins.architectures,
    ]),
    config,
    head: headOptions('plan', flags),
    method: methodNamed(flags.method, keyValues('plan: --option', flags.option), plugins),
    ...engineOf(flags, plugins.engines),
    storedDtype: dtype,
    optimizerStateOn: flags.stateDevice,
    machine: given === undefined ? free : { totalBytes: given, usableBytes: given },
    ...settings,
  };
}

/** What the engine that is named would hold. */
function engineOf(
  flags: PlanFlags,
  thirdParties: readonly EngineDefinition[],
): Pick<PlanRequest, 'engine' | 'gpu'> {
  if (flags.engine === tensorflowEngine.name) return tensorflowOf(flags);
  const given = { '--precision': flags.precision, '--gpu': flags.gpu };
  const flag = Object.entries(given).find(([, value]) => value !== undefined)?.[0];
  if (flag)
    throw new PeftError(
      'PEFT_OPTION_INVALID',
      `plan: ${flag} is for --engine tensorflow, got --engine ${flags.engine}.`,
      { hint: `leave ${flag} out, or say --engine tensorflow` },
    );
  const definitions = [nativeEngine, portableEngine, webgpuEngine, ...thirdParties];
  check.oneOf('plan', '--engine', flags.engine, [
    ...definitions.map(({ name }) => name),
    tensorflowEngine.name,
  ]);
  const sizing = definitions.find(({ name }) => name === flags.engine)!.sizing?.({});
  if (!sizing)
    throw new PeftError(
      'PEFT_ENGINE_UNSIZED',
      `plan: the engine ${flags.engine} does not say what it holds in memory.`,
      { hint: 'its definition needs sizing(); see docs/write-an-engine.md' },
    );
  return { engine: sizing };
}

/** In which precision TensorFlow computes here, with which kernels, and on which GPU, if any. */
function tensorflowOf({ precision, gpu: asked }: PlanFlags): Pick<PlanRequest, 'engine' | 'gpu'> {
  if (precision !== undefined)
    check.oneOf('plan', '--precision', precision, ['float32', 'bfloat16']);
  const [probe, [library]] = [probeGpus(), findInstallations().found];
  const listed = asked === undefined ? visibleGpuMemory(probe, library?.build) : undefined;
  const size =
    asked === undefined || asked === 'none' ? undefined : byteCount('plan', '--gpu', asked);
  const gpu =
    size === undefined
      ? listed
      : gpuMemory({ name: `a GPU with ${gigabytes(size)}`, totalBytes: size, freeBytes: size });
  const isFast =
    size !== undefined ||
    hasFastBfloat16(listed ? { kind: 'gpu', gpu: visibleGpus(probe)[0]! } : { kind: 'cpu' });
  const engine = tensorflowSizing({
    precision: (precision as 'float32' | undefined) ?? (isFast ? 'bfloat16' : 'float32'),
    isOnCard: gpu !== undefined,
    hasKernels: !gpu && (!library || library.kernels !== undefined),
  });
  return { engine, gpu };
}

/** Where weights lie beside config.json. */
function dtypeOfWeights(model: string): 'F32' | 'F16' | 'BF16' | undefined {
  if (!existsSync(model) || !WEIGHT_FILES.some((file) => existsSync(join(model, file))))
    return undefined;
  const store = openCheckpoint(model);
  try {
    return storedDtypeOf(store);
  } finally {
    store.close();
  }
}

function settingsThatFit(
  request: PlanRequest,
  exact: boolean,
): ReturnType<typeof chooseSettings> | undefined {
  try {
    return chooseSettings(request, { exact });
  } catch (error) {
    if (error instanceof PeftError && error.code === 'PEFT_MEMORY_INSUFFICIENT') return undefined;
    throw error;
  }
}

/** Of the GPU, where one computes. */
const peakOf = ({ gpu, peakBytes }: MemoryPlan): number => (gpu ?? { peakBytes }).peakBytes;

/** A measure as this command's own flag. */
function flagOf(
  kind: Suggestion['kind'],
  { batch, checkpointing, optimizer, residentStateBytes }: RunSettings,
): string {
  switch (kind) {
    case 'micro-batch':
      return `--batch ${batch!.sequences}`;
    case 'checkpointing':
      return checkpointing === true
        ? '--checkpointing'
        : `--checkpointing ${(checkpointing as ReadonlySet<number>).size}`;
    case 'paged-optimizer':
      return `--resident ${residentStateBytes! / 1e6}MB`;
    case '8-bit-optimizer':
      return `--optimizer ${optimizer!.name}`;
    case 'quantization':
      return '--base nf4';
  }
}

const toJson = ({ kind, text, isExact, peakBytes, fits, settings }: Suggestion) => ({
  kind,
  text,
  isExact,
  peakBytes,
  fits,
  flag: flagOf(kind, settings),
});

function quantizationOf(
  format: string,
  { blockSize, doubleQuantization }: PlanFlags,
): WeightQuantization {
  check.oneOf('plan', '--base', format, ['nf4', 'fp4', 'int8', 'bf16', 'f16']);
  return {
    format,
    doubleQuantization: format === 'nf4' || format === 'fp4' ? doubleQuantization : undefined,
    blockSize: blockSize === undefined ? undefined : integer('--block-size', blockSize),
  };
}

const integer = (flag: string, text: string): number => positiveInteger('plan', flag, text);
