/**
 * Settings with which a run fits, found by planning: first those that change nothing but the time,
 * then those that round.
 */
import type { WeightQuantization } from '@peft/core';
import { PeftError } from '@peft/errors';
import { adamw8bit, lion8bit, momentum8bit, type Optimizer } from '@peft/optim';
import type { MachineMemory } from './machine-memory.js';
import {
  createPlanner,
  type MemoryPlan,
  type Planner,
  type PlanRequest,
  type RunSettings,
} from './plan-memory.js';
import { formatPlan, gigabytes } from './format-plan.js';

/** One thing to switch on. */
export interface Suggestion {
  readonly kind:
    'micro-batch' | 'checkpointing' | 'paged-optimizer' | '8-bit-optimizer' | 'quantization';
  /** For people. */
  readonly text: string;
  /** Whether the run computes the same with it. */
  readonly isExact: boolean;
  readonly settings: RunSettings;
  /** Of the process; of the card, where a GPU computes. */
  readonly peakBytes: number;
  readonly fits: boolean;
}

/** The share of the peak that a measure has to take away to be suggested. */
const WORTH_SAYING = 0.001;
/** Tokens below which products no longer use a processor well. */
const EFFICIENT_TOKENS = 512;
const NF4: WeightQuantization = Object.freeze({
  format: 'nf4',
  blockSize: 64,
  doubleQuantization: true,
});
const EIGHT_BIT: Readonly<Record<string, () => Optimizer>> = {
  adamw: adamw8bit,
  adam: adamw8bit,
  lion: lion8bit,
  sgd: momentum8bit,
};

/** In which order measures are taken. */
const ORDER = [
  ['micro-batch', 'efficient'],
  ['checkpointing', 'one'],
  ['micro-batch', 'one'],
  ['paged-optimizer', 'one'],
  ['8-bit-optimizer', 'one'],
  ['quantization', 'one'],
] as const;

/**
 * The blocks of the deepest memory first: all before number `count`. Their recomputation comes
 * last, when the others' results are gone.
 */
export const firstBlocks = (count: number): ReadonlySet<number> =>
  new Set(Array.from({ length: count }, (_, block) => block));

/**
 * Each measure that lowers the peak, on its own, in the order in which they should be tried.
 * @param request as for `planMemory`.
 */
export function suggestSettings(request: PlanRequest): Suggestion[] {
  return withPlanner(request, (planner) => {
    const before = planner.plan(request);
    return measures(planner, request, request)
      .filter(({ settings }) => isLighter(planner.plan(settings), before, WORTH_SAYING))
      .map((measure) => judge(planner, measure));
  });
}

/**
 * The given settings if the run fits with them, else with as few of the measures as it takes, each
 * kept while the next is added: micro-batches of at least 512 tokens, checkpointing of as few
 * blocks as it takes, smaller micro-batches, paged and 8-bit optimiser state, NF4 for the base.
 *
 * @param options.exact only measures that change nothing but the time. Default false.
 * @param options.allowed the measures that may be taken. Default: all.
 * @throws PEFT_MEMORY_INSUFFICIENT with the plan when nothing helps.
 */
export function chooseSettings(
  request: PlanRequest,
  options: { readonly exact?: boolean; readonly allowed?: readonly Suggestion['kind'][] } = {},
): {
  readonly settings: RunSettings;
  readonly plan: MemoryPlan;
  readonly applied: readonly Suggestion[];
} {
  return withPlanner(request, (planner) => {
    let settings = settingsOf(request);
    let plan = planner.plan(settings);
    const applied: Suggestion[] = [];
    for (const [kind, smallestBatch] of ORDER) {
      if (plan.fits) break;
      if (options.allowed && !options.allowed.includes(kind)) continue;
      const measure = measures(planner, request, settings, smallestBatch).find(
        (each) => each.kind === kind && (each.isExact || !options.exact),
      );
      if (!measure) continue;
      const lighter = planner.plan(measure.settings);
      if (!isLighter(lighter, plan)) continue;
      applied.push(judge(planner, measure));
      settings = measure.settings;
      plan = lighter;
    }
    if (!plan.fits)
      throw insufficient(
        plan,
        measures(planner, request, settings).map((measure) => judge(planner, measure)),
      );
    return withoutNeedless(planner, request, settings, plan, applied);
  });
}

/**
 * A later measure can make an earlier one needless: each is left out if the run fits without it, or
 * taken as little as it takes.
 */
function withoutNeedless(
  planner: Planner,
  request: PlanRequest,
  settings: RunSettings,
  plan: MemoryPlan,
  applied: readonly Suggestion[],
): {
  readonly settings: RunSettings;
  readonly plan: MemoryPlan;
  readonly applied: readonly Suggestion[];
} {
  const kept: Suggestion[] = [];
  for (const measure of applied.toReversed()) {
    const without = withUndone(settings, request, measure.kind);
    const undone = planner.plan(without);
    if (undone.fits && kept.length > 0) {
      [settings, plan] = [without, undone];
      continue;
    }
    const lighter =
      measure.kind === 'micro-batch' || measure.kind === 'checkpointing'
        ? measures(planner, request, without).find(({ kind }) => kind === measure.kind)
        : undefined;
    const judged = lighter && judge(planner, lighter);
    if (judged?.fits) [settings, plan] = [judged.settings, planner.plan(judged.settings)];
    kept.unshift({
      ...measure,
      text: judged?.fits ? judged.text : measure.text,
      settings,
      peakBytes: decisivePeak(plan),
      fits: true,
    });
  }
  return { settings, plan, applied: kept };
}

const SETTING_OF = {
  'micro-batch': 'batch',
  checkpointing: 'checkpointing',
  'paged-optimizer': 'residentStateBytes',
  '8-bit-optimizer': 'optimizer',
  quantization: 'quantization',
} as const satisfies Record<Suggestion['kind'], keyof RunSettings>;

/** As it was asked for. */
function withUndone(
  settings: RunSettings,
  request: RunSettings,
  kind: Suggestion['kind'],
): RunSettings {
  const keys: readonly (keyof RunSettings)[] =
    kind === 'micro-batch' ? ['batch', 'evaluationBatch', 'gradientSums'] : [SETTING_OF[kind]];
  return settingsOf({
    ...settings,
    ...Object.fromEntries(keys.map((key) => [key, request[key]])),
  });
}

/** @throws PEFT_MEMORY_INSUFFICIENT when the plan does not fit. */
export function requireFit(plan: MemoryPlan, suggestions: readonly Suggestion[] = []): void {
  if (!plan.fits) throw insufficient(plan, suggestions);
}

function insufficient(plan: MemoryPlan, suggestions: readonly Suggestion[] = []): PeftError {
  const fitting = suggestions.filter(({ fits }) => fits);
  const hint = fitting.length
    ? `it would fit with ${fitting.map(({ text }) => text).join(', or ')}`
    : `take a smaller model, shorter texts, or a ${plan.gpu && !plan.gpu.fits ? 'card' : 'machine'} with more memory`;
  const { peakBytes, memory } = budgetsOf(plan).find(isOver) ?? budgetsOf(plan)[0]!;
  const where = plan.gpu && memory !== plan.machine ? ` on ${plan.gpu.name}` : '';
  return new PeftError(
    'PEFT_MEMORY_INSUFFICIENT',
    `memory plan: the run would take ${gigabytes(peakBytes)}${where}, and ` +
      `${gigabytes(memory.usableBytes)} of ${gigabytes(memory.totalBytes)} are free.\n` +
      `${formatPlan(plan)}`,
    { hint },
  );
}

interface Budget {
  readonly peakBytes: number;
  readonly memory: MachineMemory;
}

/** The card first, where there is one. */
const budgetsOf = ({ gpu, peakBytes, machine }: MemoryPlan): Budget[] => [
  ...(gpu ? [gpu] : []),
  { peakBytes, memory: machine },
];
const decisivePeak = ({ gpu, peakBytes }: MemoryPlan): number => (gpu ?? { peakBytes }).peakBytes;
const isOver = ({ peakBytes, memory }: Budget): boolean => peakBytes > memory.usableBytes;

/**
 * Whether it takes less by `share` of what matters: what was over its budget, or all if nothing
 * was; and puts nothing else over.
 */
function isLighter(after: MemoryPlan, before: MemoryPlan, share = 0): boolean {
  const pairs = budgetsOf(before).map((budget, i) => [budget, budgetsOf(after)[i]!] as const);
  return (
    pairs.some(
      ([was, is]) => (before.fits || isOver(was)) && is.peakBytes < was.peakBytes * (1 - share),
    ) && pairs.every(([was, is]) => isOver(was) || !isOver(is))
  );
}

type Measure = Pick<Suggestion, 'kind' | 'text' | 'isExact' | 'settings'>;

function judge(planner: Planner, measure: Measure): Suggestion {
  const plan = planner.plan(measure.settings);
  return { ...measure, peakBytes: decisivePeak(plan), fits: plan.fits };
}

/**
 * @param smallestBatch how far micro-batches go down: to one sequence, or to as many as keep the
 *   products efficient.
 */
function measures(
  planner: Planner,
  request: PlanRequest,
  current: RunSettings,
  smallestBatch: 'one' | 'efficient' = 'one',
): Measure[] {
  const settings = settingsOf(current);
  const {
    batch = { sequences: 1, length: 128 },
    checkpointing = false,
    optimizer,
    residentStateBytes,
    quantization,
  } = settings;
  const fits = (changed: RunSettings): boolean => planner.plan(changed).fits;
  const found: Measure[] = [];
  const { smallerBatches } = request;
  if (smallerBatches) {
    const current = smallerBatches.findIndex((each) => each.batch!.sequences >= batch.sequences);
    const list = current === -1 ? smallerBatches : smallerBatches.slice(0, current);
    const smallest =
      smallestBatch === 'one'
        ? 0
        : Math.max(
            0,
            list.findIndex(
              (each) => each.batch!.sequences * each.batch!.length >= EFFICIENT_TOKENS,
            ),
          );
    const chosen =
      list[
        largestThatFits(smallest, list.length - 1, (index) =>
          fits({ ...settings, ...list[index]! }),
        )
      ];
    if (chosen)
      found.push({
        kind: 'micro-batch',
        text: `micro-batches of ${chosen.batch!.sequences} instead of ${batch.sequences} sequences`,
        isExact: true,
        settings: { ...settings, ...chosen },
      });
  } else if (batch.sequences > 1) {
    const smallest =
      smallestBatch === 'one'
        ? 1
        : Math.min(batch.sequences, Math.ceil(EFFICIENT_TOKENS / batch.length));
    const withSequences = (sequences: number): RunSettings => ({
      ...settings,
      batch: { ...batch, sequences },
    });
    const sequences = largestThatFits(smallest, batch.sequences, (count) =>
      fits(withSequences(count)),
    );
    if (sequences < batch.sequences)
      found.push({
        kind: 'micro-batch',
        text: `micro-batches of ${sequences} instead of ${batch.sequences} sequences`,
        isExact: true,
        settings: withSequences(sequences),
      });
  }
  if (request.method && checkpointing !== true) {
    const withBlocks = (count: number): RunSettings => ({
      ...settings,
      checkpointing: count === planner.blocks ? true : firstBlocks(count),
    });
    const count =
      planner.blocks -
      largestThatFits(0, planner.blocks, (kept) => fits(withBlocks(planner.blocks - kept)));
    if (count > 0)
      found.push({
        kind: 'checkpointing',
        text:
          'gradient checkpointing of ' +
          `${count === planner.blocks ? 'all' : `the first ${count} of ${planner.blocks}`} ` +
          'blocks',
        isExact: true,
        settings: withBlocks(count),
      });
  }
  const name = optimizer?.name ?? 'adamw';
  if (request.method && residentStateBytes === undefined)
    found.push({
      kind: 'paged-optimizer',
      text:
        request.optimizerStateOn === 'device'
          ? "optimiser state in the machine's memory"
          : 'optimiser state in a page file',
      isExact: true,
      settings: { ...settings, residentStateBytes: 64e6 },
    });
  if (request.method && EIGHT_BIT[name] && request.optimizerStateOn !== 'device')
    found.push({
      kind: '8-bit-optimizer',
      text: `the optimiser ${EIGHT_BIT[name]().name}`,
      isExact: false,
      settings: { ...settings, optimizer: EIGHT_BIT[name]() },
    });
  if (!quantization && !planner.isStoredQuantized)
    found.push({
      kind: 'quantization',
      text: 'the base in NF4 with double quantisation',
      isExact: false,
      settings: { ...settings, quantization: NF4 },
    });
  return found;
}

/**
 * The largest of `low … high` for which `holds` is true, by bisection; `low` when it holds for
 * none.
 */
function largestThatFits(low: number, high: number, holds: (value: number) => boolean): number {
  let [best, upper] = [low, high];
  while (best < upper) {
    const middle = Math.ceil((best + upper) / 2);
    if (holds(middle)) best = middle;
    else upper = middle - 1;
  }
  return best;
}

function settingsOf({
  batch,
  evaluationBatch,
  gradientSums,
  checkpointing,
  optimizer,
  residentStateBytes,
  quantization,
}: RunSettings): RunSettings {
  return {
    batch,
    evaluationBatch,
    gradientSums,
    checkpointing,
    optimizer,
    residentStateBytes,
    quantization,
  };
}

function withPlanner<T>(request: PlanRequest, body: (planner: Planner) => T): T {
  const planner = createPlanner(request);
  try {
    return body(planner);
  } finally {
    planner.dispose();
  }
}
