/**
 * Training steps, ours and PyTorch's in turn (ours, peers, ours, peers …), since machines drift:
 * what counts is the median of the ratios to the strongest peer of each round.
 */
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { configPath, type Shape } from './shapes.js';

const root = fileURLToPath(new URL('../..', import.meta.url));

export interface StepReport {
  readonly tokensPerSecond: number;
  readonly secondsPerStep: number;
  /** Of all threads, waiting in loops included: what a busy machine disturbs less. */
  readonly processorSecondsPerStep: number;
  readonly peakRssBytes: number;
  readonly loss: number;
  /** Ours only. */
  readonly frozenOperations?: number;
}

export interface PairOptions {
  readonly python: string;
  readonly hasPeer: boolean;
  readonly precisions: readonly ('bfloat16' | 'float32')[];
  readonly steps: string;
  readonly rounds: number;
  /** Also torch.compile of the bfloat16 base. */
  readonly compile: boolean;
  /** Words of the labels of the peers that run; all where it is left out. */
  readonly peers?: readonly string[];
}

/** The last line that a side which failed wrote. */
interface Failure {
  readonly failure: string;
}

interface Side {
  readonly label: string;
  readonly isOurs: boolean;
  run(): StepReport | Failure;
}

export const HEADER = [
  '| side | tokens/s | s/step | peak memory | ÷ strongest peer, median (least to most) | by processor time | of oneDNN |',
  '|---|---|---|---|---|---|---|',
];

/** The lines of one shape's table. */
export function comparePairs(shape: Shape, options: PairOptions): string[] {
  const sides = sidesOf(shape, options);
  const rounds: Map<Side, StepReport>[] = [];
  const products: number[] = [];
  const failures = new Map<Side, string>();
  for (let round = 0; round < options.rounds; round += 1) {
    const reports = new Map<Side, StepReport>();
    if (options.hasPeer) products.push(...productSpeed(options.python));
    for (const side of sides) {
      const report = side.run();
      if ('failure' in report) failures.set(side, report.failure);
      else reports.set(side, report);
    }
    rounds.push(reports);
  }
  const speed = products.length > 0 ? median(products) : undefined;
  return sides.map((side) => line(side, rounds, speed, failures.get(side)));
}

function sidesOf(shape: Shape, options: PairOptions): Side[] {
  const words = [
    '--arch',
    configPath(shape.arch),
    ...shape.words,
    '--steps',
    options.steps,
    '--json',
  ];
  const ours = options.precisions.map((precision) => ({
    label: `ours, ${precision}`,
    isOurs: true,
    run: () =>
      report(process.execPath, [
        'tools/run-source.mjs',
        'benchmarks/step.ts',
        ...words,
        '--precision',
        precision,
      ]),
  }));
  const variants: [label: string, words: string[]][] = [
    ['PyTorch, bfloat16 base', ['--precision', 'bfloat16']],
    ['PyTorch, autocast', ['--precision', 'autocast']],
    ['PyTorch, float32', ['--precision', 'float32']],
  ];
  if (options.compile)
    variants.push(['PyTorch, bfloat16 base, compiled', ['--precision', 'bfloat16', '--compile']]);
  const chosen = variants.filter(
    ([label]) => !options.peers || options.peers.some((word) => label.includes(word)),
  );
  const peers = chosen.map(([label, more]) => ({
    label,
    isOurs: false,
    run: () => report(options.python, ['benchmarks/peers/torch_step.py', ...words, ...more]),
  }));
  return options.hasPeer ? [...ours, ...peers] : ours;
}

function line(
  side: Side,
  rounds: readonly ReadonlyMap<Side, StepReport>[],
  products: number | undefined,
  failure: string | undefined,
): string {
  const own = rounds.flatMap((round) => round.get(side) ?? []);
  if (own.length === 0) return `| ${side.label} | failed: ${failure} | | | | | |`;
  const operations = own[0]!.frozenOperations;
  const seconds = median(own.map(({ secondsPerStep }) => secondsPerStep));
  const cells = [
    side.label,
    median(own.map(({ tokensPerSecond }) => tokensPerSecond)).toFixed(1),
    seconds.toFixed(3),
    `${(Math.max(...own.map(({ peakRssBytes }) => peakRssBytes)) / 1e9).toFixed(2)} GB`,
    ratioCell(side, rounds, ({ secondsPerStep }) => secondsPerStep),
    ratioCell(side, rounds, ({ processorSecondsPerStep }) => processorSecondsPerStep),
    operations !== undefined && products !== undefined
      ? `${((100 * operations) / seconds / 1e9 / products).toFixed(0)} %`
      : '',
  ];
  return `| ${cells.join(' | ')} |`;
}

/** How many times as fast as the fastest peer of each round: the median, and in brackets the least and
 * the most. */
function ratioCell(
  side: Side,
  rounds: readonly ReadonlyMap<Side, StepReport>[],
  secondsOf: (report: StepReport) => number,
): string {
  const ratios = rounds.flatMap((round) => {
    const peers = [...round].filter(([{ isOurs }]) => !isOurs);
    const mine = round.get(side);
    return side.isOurs && mine && peers.length > 0
      ? [Math.min(...peers.map(([, report]) => secondsOf(report))) / secondsOf(mine)]
      : [];
  });
  if (ratios.length === 0) return '';
  return `${median(ratios).toFixed(2)} (${Math.min(...ratios).toFixed(2)} to ${Math.max(...ratios).toFixed(2)})`;
}

/** GFLOP/s of oneDNN's bfloat16 products, as PyTorch runs them. */
function productSpeed(python: string): number[] {
  const speed = Number.parseFloat(run(python, ['benchmarks/peers/torch_products.py']).stdout);
  return Number.isFinite(speed) ? [speed] : [];
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

function run(command: string, words: readonly string[]): { stdout: string; stderr: string } {
  const { stdout, stderr } = spawnSync(command, words, { cwd: root, encoding: 'utf8' });
  return { stdout: stdout ?? '', stderr: stderr ?? '' };
}

const lastLine = (text: string): string => text.trim().split('\n').at(-1) ?? '';

/** The JSON line that a step benchmark ends with. */
function report(command: string, words: readonly string[]): StepReport | Failure {
  const { stdout, stderr } = run(command, words);
  const last = lastLine(stdout);
  if (last.startsWith('{')) return JSON.parse(last) as StepReport;
  const message = /^\w*Error.*$/m.exec(stderr)?.[0] ?? lastLine(stderr);
  return { failure: message.slice(0, 200).replaceAll('|', '/') };
}
