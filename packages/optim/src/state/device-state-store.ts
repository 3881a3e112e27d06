/**
 * State on the device of the tfjs backend: pages up to a budget stay there as tensors, the others
 * rest in host memory and pass through the device, one at a time.
 *
 * The next page is uploaded before the present one's new state is read back, so that a device that
 * computes asynchronously does both at once. Which pages stay is fixed when the state is made, as
 * in `paged-state-store.ts` and for its reason. The bytes of an update do not depend on where its
 * page was.
 */
import { check, PeftError } from '@peft/errors';
import * as tf from '@tensorflow/tfjs';
import type { Tensor1D } from '@tensorflow/tfjs';
import { layOutPages, type PageSegments, type Segment } from './page-layout.js';
import type { StatePages } from './state-pages.js';
import {
  assertUnique,
  stateDisposed,
  storeTaken,
  unknownParameter,
  unknownSlot,
  type StateStore,
} from './state-store.js';
import { slotBytes, type ParameterSlots } from './slots.js';

/** How much of the state lies on the device, and in what portions. */
export interface DeviceStateOptions {
  /**
   * Bytes of state that may lie on the device, the pages that pass through it included; those are
   * there in any case. Default: all.
   */
  readonly residentBytes?: number;
  /**
   * Bytes of a page. An update takes about five times as much on the device for what it computes in
   * passing (AdamW). Default 8 MiB.
   */
  readonly pageBytes?: number;
}

/** A store whose state lies on the device; `residentBytes` counts what lies there. */
export interface DeviceStateStore extends StateStore {
  readonly pages: StatePages;
  /** Bytes of the pages that rest in host memory. */
  readonly hostBytes: number;
}

interface Page {
  readonly segments: PageSegments;
  readonly length: number;
  readonly resident: boolean;
  /** The state, where it is on the device. */
  tensors: readonly Tensor1D[] | undefined;
  /**
   * The state where it is not. A page that is not resident keeps these arrays while it is on the
   * device.
   */
  host: readonly Float32Array[] | undefined;
  /** Whether the tensors are newer than `host`. */
  changed: boolean;
}

/** Old and new state of the present page, and the next one. */
const PASSING_PAGES = 3;
/** Pages that `prefetch` uploads; the update needs no more at once. */
const PREFETCHED_PAGES = 2;

/**
 * A store for optimisers that run on a device (`Optimizer.runsOnDevice`: AdamW, Adam, SGD, Lion).
 * The state belongs to the tfjs backend that is active at `init`.
 * @throws PEFT_CONFIG_INVALID here; `declare` PEFT_OPTIM_DEVICE_UNSUPPORTED for state that is not
 *   one float32 for each element
 */
export function deviceStateStore({
  residentBytes: budget = Number.MAX_SAFE_INTEGER,
  pageBytes = 8 << 20,
}: DeviceStateOptions = {}): DeviceStateStore {
  check.nonNegativeInteger('optim', 'residentBytes', budget);
  check.positiveInteger('optim', 'pageBytes', pageBytes);
  let declared: readonly ParameterSlots[] = [];
  let pages: readonly Page[] = [];
  const places = new Map<string, { page: Page; segment: Segment }[]>();
  let slots = 0;
  let taken = false;
  let disposed = false;

  const placesOf = (parameter: string): readonly { page: Page; segment: Segment }[] => {
    if (disposed) throw stateDisposed();
    return places.get(parameter) ?? unknownParameter(parameter);
  };

  const makePages = (): void => {
    const perElement = 4 * Math.max(1, slots);
    const layout = layOutPages(declared, pageBytes / perElement).map((segments) => ({
      segments,
      length: segments.at(-1)!.offset + segments.at(-1)!.end - segments.at(-1)!.start,
    }));
    const bytes = layout.map(({ length }) => length * 4 * slots);
    const all = bytes.reduce((sum, own) => sum + own, 0);
    let left = all <= budget ? budget : budget - PASSING_PAGES * Math.max(...bytes);
    pages = layout.map(({ segments, length }, i) => {
      left -= bytes[i]!;
      const resident = left >= 0;
      return {
        segments,
        length,
        resident,
        tensors: undefined,
        host: resident ? undefined : zeros(slots, length),
        changed: false,
      };
    });
    for (const page of pages)
      for (const segment of page.segments) places.get(segment.parameter)!.push({ page, segment });
    for (const page of pages)
      if (page.resident)
        page.tensors = tf.tidy(() =>
          Array.from({ length: slots }, () => tf.fill<tf.Rank.R1>([page.length], 0)).map((tensor) =>
            tf.keep(tensor),
          ),
        );
  };
  const dispose = (): void => {
    for (const page of pages) tf.dispose((page.tensors ?? []) as Tensor1D[]);
    pages = [];
    declared = [];
    places.clear();
    disposed = true;
  };

  return {
    get totalBytes() {
      return declared.reduce(
        (sum, { slots: own }) => sum + own.reduce((bytes, slot) => bytes + slotBytes(slot), 0),
        0,
      );
    },
    get residentBytes() {
      return pages.reduce(
        (sum, { tensors, length }) => sum + (tensors ? length * 4 * slots : 0),
        0,
      );
    },
    get hostBytes() {
      return pages.reduce(
        (sum, { resident, tensors, host, length }) =>
          sum + (host && !(resident && tensors) ? length * 4 * slots : 0),
        0,
      );
    },
    declare(declarations) {
      if (taken) throw storeTaken();
      assertUnique(declarations);
      slots = slotsOf(declarations);
      taken = true;
      declared = declarations;
      for (const { parameter } of declarations) places.set(parameter, []);
      try {
        makePages();
      } catch (error) {
        dispose(); // nobody else can: there is no state yet
        throw error;
      }
    },
    declarations: () => declared,
    whole: (parameter, slot) => (placesOf(parameter), unknownSlot(parameter, slot)),
    visit(parameter, access, visitor, only = { start: 0, end: Infinity }) {
      if (slots === 0) return;
      for (const { page, segment } of placesOf(parameter)) {
        const { start, end, offset } = segment;
        if (start >= only.end || end <= only.start) continue;
        if (page.changed || !page.host) throw notOnHost(parameter);
        if (access === 'write') drop(page);
        visitor(
          start,
          end,
          page.host.map((array) => array.subarray(offset, offset + end - start)),
        );
      }
    },
    async bringToHost() {
      if (disposed) throw stateDisposed();
      for (const page of pages) await copyToHost(page);
    },
    prefetch() {
      pages
        .filter(({ resident }) => !resident)
        .slice(0, PREFETCHED_PAGES)
        .forEach(bring);
      pages.filter(({ resident }) => resident).forEach(bring); // restored ones
      return Promise.resolve();
    },
    pages: {
      async visit(parameters, update) {
        if (disposed) throw stateDisposed();
        const turn = pages.filter(({ segments }) =>
          segments.some(({ parameter }) => parameters.has(parameter)),
        );
        try {
          for (const [i, page] of turn.entries()) {
            bring(page);
            const updated = tf.tidy(() =>
              [...update(page.segments, page.tensors!)].map((tensor) => tf.keep(tensor)),
            );
            tf.dispose(page.tensors!.filter((old) => !updated.includes(old)));
            page.tensors = updated;
            page.changed = true;
            if (page.resident) page.host = undefined; // of an earlier state
            if (turn[i + 1]) bring(turn[i + 1]!);
            if (!page.resident) await leave(page);
          }
        } finally {
          // uploaded by `prefetch`, and not in turn
          for (const page of pages) if (!page.resident) await leave(page);
        }
      },
    },
    dispose,
  };
}

/** Has the page's state on the device. */
function bring(page: Page): void {
  if (page.tensors) return;
  page.tensors = page.host!.map((array) => tf.keep(tf.tensor1d(array, 'float32')));
  // tfjs uploads a tensor when an operation first reads it: this one reads an element.
  for (const tensor of page.tensors) if (page.length > 0) tf.slice(tensor, [0], [1]).dispose();
  page.changed = false;
  if (page.resident) page.host = undefined;
}

/** Has the page's state in host memory, and not on the device. */
async function leave(page: Page): Promise<void> {
  if (!page.tensors) return;
  await copyToHost(page);
  drop(page);
}

/** Has the page's state in host memory, too. */
async function copyToHost(page: Page): Promise<void> {
  const { tensors } = page;
  if (!tensors || (page.host && !page.changed)) return;
  const host = page.host ?? zeros(tensors.length, page.length);
  const values = await Promise.all(tensors.map((tensor) => tensor.data<'float32'>()));
  values.forEach((array, i) => host[i]!.set(array));
  page.host = host;
  page.changed = false;
}

/** Frees what lies on the device of a page that is in host memory, too. */
function drop(page: Page): void {
  if (page.tensors) tf.dispose(page.tensors as Tensor1D[]);
  page.tensors = undefined;
}

const notOnHost = (parameter: string): PeftError =>
  new PeftError(
    'PEFT_OPTIM_STATE_ON_DEVICE',
    `optim: the state of ${JSON.stringify(parameter)} lies on the device.`,
    { hint: 'Await bringToHost() of the store before you visit it.' },
  );

const zeros = (slots: number, length: number): Float32Array[] =>
  Array.from({ length: slots }, () => new Float32Array(length));

/** How many slots every parameter has. */
function slotsOf(declarations: readonly ParameterSlots[]): number {
  const count = declarations[0]?.slots.length ?? 0;
  const odd = declarations.find(
    ({ slots }) =>
      slots.length !== count || slots.some(({ dtype, span }) => dtype !== 'F32' || span !== 1),
  );
  if (odd)
    throw deviceUnsupported(
      'optim',
      `the state of ${JSON.stringify(odd.parameter)} is not ${count} float32 for each element`,
    );
  return count;
}

/**
 * @throws PEFT_OPTIM_DEVICE_UNSUPPORTED unless the optimiser's state may lie in a {@link
 *   deviceStateStore}.
 */
export function assertRunsOnDevice({
  name,
  runsOnDevice,
}: {
  readonly name: string;
  readonly runsOnDevice?: boolean;
}): void {
  if (!runsOnDevice) throw deviceUnsupported(name, 'this optimiser computes on the host alone');
}

const deviceUnsupported = (owner: string, problem: string): PeftError =>
  new PeftError(
    'PEFT_OPTIM_DEVICE_UNSUPPORTED',
    `${owner}: the state cannot lie on the device: ${problem}.`,
    {
      hint:
        'Keep the state on the host (memoryStateStore, pagedStateStore; optim.state_device=host), ' +
        'or take adamw, adam, sgd or lion.',
    },
  );
