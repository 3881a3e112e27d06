/** `peft doctor`: which engines work here, on what, and what to type where one does not. */
import type { Command } from 'commander';
import { PeftError } from '@peft/errors';
import { chooseEngine, ENGINE_NAMES, type EngineName } from '@peft/predictor';
import { cacheFolder, findInstallations, probeGpus } from '@peft/tensorflow';
import { listAdapters, type AdapterDescription } from '@peft/webgpu';
import { positiveInteger } from '../options/numbers.js';
import { examineRanks } from '../ranks/examine-ranks.js';
import { bytes } from '../terminal/format.js';
import type { Terminal } from '../terminal/terminal.js';

interface EngineReport {
  readonly engine: EngineName;
  /** Device, precision, threads; undefined where it does not run. */
  readonly description?: string;
  readonly problem?: string;
  readonly hint?: string;
}

interface DoctorFlags {
  readonly json?: boolean;
  readonly mpi?: boolean;
  readonly ranks: string;
  readonly hosts?: string;
}

/** @param argv the words after `peft`, which ranks are started with. */
export function addDoctor(program: Command, terminal: Terminal, argv: readonly string[]): void {
  program
    .command('doctor')
    .summary('print which engines work here, and what to do about those that do not')
    .description(
      'Starts each engine once and prints its version and device, or why it does not run and what to type.',
    )
    .option('--json', 'print one JSON object')
    .option('--mpi', 'start ranks instead, and measure the latency and bandwidth between them')
    .option('--ranks <number>', 'how many, with --mpi', '2')
    .option('--hosts <list>', 'their machines, with how many each has: a:2,b:2 (default: all here)')
    .action(async ({ json = false, mpi, ranks, hosts }: DoctorFlags) => {
      if (!mpi) return terminal.out(await examine(json));
      const count = positiveInteger('doctor', '--ranks', ranks);
      await examineRanks(argv, { ranks: count, hosts, json }, terminal);
    });
}

async function examine(json: boolean): Promise<string> {
  const machine = {
    node: process.versions.node,
    platform: `${process.platform}-${process.arch}`,
    gpus: probeGpus().gpus,
  };
  const engines: EngineReport[] = [];
  for (const name of [...ENGINE_NAMES].sort()) engines.push(await examineEngine(name));
  const auto = await chooseEngine();
  const choice = {
    engine: auto.engine.name,
    reason: auto.reason,
    warning: auto.warning?.message,
  };
  auto.engine.dispose();
  const { found, problems } = findInstallations();
  const tensorflow = { folder: cacheFolder(), found, problems };
  const adapters = await adaptersHere();
  if (json)
    return JSON.stringify({ ...machine, engines, auto: choice, tensorflow, webgpu: { adapters } });
  return [
    `Node ${machine.node} on ${machine.platform}`,
    machine.gpus.length > 0
      ? machine.gpus
          .map(
            (gpu, n) =>
              `GPU ${n}: ${gpu.name}, ` +
              `${Number.isFinite(gpu.totalBytes) ? `${bytes(gpu.freeBytes)} of ${bytes(gpu.totalBytes)} free, ` : ''}driver ` +
              `${gpu.driver}, compute capability ${gpu.computeCapability}`,
          )
          .join('\n')
      : 'no NVIDIA GPU (nvidia-smi lists none)',
    '',
    ...engines.flatMap(({ engine, description, problem, hint }) => [
      description
        ? `✓ ${description}`
        : `✗ ${problem!.startsWith(`${engine}:`) ? problem : `${engine}: ${problem}`}`,
      ...(description && problem ? [`    ${problem}`] : []),
      ...(hint ? [`    ${hint}`] : []),
    ]),
    '',
    ...[
      ...found.map(
        ({ source, scripts, tfjsNodeVersion }) =>
          `tfjs-node ${tfjsNodeVersion} (${source}) in ${scripts}`,
      ),
      ...problems,
    ],
    ...adapters.map(adapterLine),
    `auto takes ${choice.engine}: ${choice.reason}`,
  ].join('\n');
}

/** Those that WebGPU finds; none where it is not installed, which its engine's line says. */
async function adaptersHere(): Promise<readonly AdapterDescription[]> {
  try {
    return await listAdapters();
  } catch {
    return [];
  }
}

const adapterLine = ({ name, isSoftware, features, limits }: AdapterDescription): string =>
  `WebGPU adapter ${name}${isSoftware ? ' (in software)' : ''}: ` +
  `${bytes(limits.maxBindingBytes)} of a weight and ${bytes(limits.maxBufferBytes)} of a buffer at a time, ` +
  `${bytes(limits.maxWorkgroupBytes)} and ${limits.maxWorkgroupThreads} threads a workgroup; ` +
  `features: ${features.join(', ') || 'none'}`;

async function examineEngine(name: EngineName): Promise<EngineReport> {
  try {
    const { engine } = await chooseEngine({ name });
    const { description, device } = engine as typeof engine & {
      readonly device?: { readonly gpuProblem?: PeftError };
    };
    engine.dispose();
    const problem = device?.gpuProblem ? reasonOf(device.gpuProblem) : {};
    return { engine: name, description, ...problem };
  } catch (error) {
    return { engine: name, ...reasonOf((error as Error).cause ?? error) };
  }
}

function reasonOf(error: unknown): { problem: string; hint?: string } {
  const [problem = ''] = (error as Error).message.split('\n');
  const hint = error instanceof PeftError ? error.hint : undefined;
  return { problem, hint };
}
