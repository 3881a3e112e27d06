/**
 * Paged state: pages up to a budget stay in memory, the others live in a file and pass through a
 * few buffers, one at a time.
 *
 * A page holds all slots of a run of elements (m and v side by side), so a page is one read and one
 * write per update. Which pages stay is fixed when the state is made: every update goes through all
 * pages in the same order, and for that order keeping a fixed part is the best any policy can do
 * (evicting the least recently used one would miss every time). Pages lie in the file in that same
 * order, so the operating system reads ahead and writes behind. The bytes of an update do not
 * depend on where its page was.
 */
import { tmpdir } from 'node:os';
import { check } from '@peft/errors';
import { PageFile } from './page-file.js';
import {
  assertUnique,
  stateDisposed,
  storeTaken,
  unknownParameter,
  unknownSlot,
  type StateStore,
} from './state-store.js';
import {
  slotBytes,
  zeroSlot,
  type ParameterSlots,
  type SlotSpec,
  type StateArray,
} from './slots.js';

/** How much of the state stays in memory, and where the rest lies. */
export interface PagedStateOptions {
  /**
   * Bytes of state that may stay in memory, buffers included. Whole slots (Adafactor's means) and
   * one buffer are there in any case.
   */
  readonly residentBytes: number;
  /** Bytes of a page. Default 1 MiB. */
  readonly pageBytes?: number;
  /** Pages that `prefetch` reads ahead. Default 2. */
  readonly prefetchPages?: number;
  /** Folder of the page file; a fast local disk. Default: the system's temporary folder. */
  readonly directory?: string;
  /** Makes the page file. Default: a new one in `directory`. */
  readonly openFile?: (neededBytes: number) => PageFile;
}

interface Page {
  readonly start: number;
  readonly end: number;
  /** Byte offset of each ranged slot within the page. */
  readonly layout: readonly number[];
  readonly byteLength: number;
  /** In the file; −1 for a resident page. */
  fileOffset: number;
  resident: readonly StateArray[] | undefined;
}

interface Entry {
  readonly declared: ParameterSlots;
  readonly ranged: readonly SlotSpec[];
  readonly whole: ReadonlyMap<string, StateArray>;
  readonly pages: readonly Page[];
}

/**
 * A store that keeps `residentBytes` in memory and the rest in a file. Nothing is written when
 * everything fits.
 * @throws PEFT_CONFIG_INVALID here; `declare` PEFT_PAGE_FILE_DISK_FULL and PEFT_PAGE_FILE_UNUSABLE;
 *   `visit` PEFT_PAGE_FILE_DISK_FULL, PEFT_PAGE_FILE_MISSING and PEFT_PAGE_FILE_CORRUPT. After an
 *   error within an update part of the parameters has moved: dispose the state and resume from a
 *   checkpoint.
 */
export function pagedStateStore({
  residentBytes,
  pageBytes = 1 << 20,
  prefetchPages = 2,
  directory = tmpdir(),
  openFile = (needed) => PageFile.create(directory, needed),
}: PagedStateOptions): StateStore {
  check.nonNegativeInteger('optim', 'residentBytes', residentBytes);
  check.positiveInteger('optim', 'pageBytes', pageBytes);
  check.nonNegativeInteger('optim', 'prefetchPages', prefetchPages);
  const entries = new Map<string, Entry>();
  const ahead = new Map<Page, Uint8Array>(); // read and verified
  const coming = new Set<Page>(); // being read
  let buffers: Uint8Array[] = [];
  let bufferBytes = 0;
  let keptBytes = 0;
  let totalBytes = 0;
  let file: PageFile | undefined;
  let taken = false;
  let disposed = false;
  let largestPage = 0;

  const entry = (parameter: string): Entry => {
    if (disposed) throw stateDisposed();
    return entries.get(parameter) ?? unknownParameter(parameter);
  };
  const take = (): Uint8Array => {
    const free = buffers.pop();
    if (free) return free;
    bufferBytes += largestPage;
    return new Uint8Array(largestPage);
  };

  const load = (page: Page): Uint8Array => {
    const ready = ahead.get(page);
    ahead.delete(page);
    if (ready) return ready;
    const buffer = take();
    const bytes = buffer.subarray(0, page.byteLength);
    if (file!.has(page.fileOffset)) file!.read(page.fileOffset, bytes);
    else bytes.fill(0);
    return buffer;
  };

  const bring = async (page: Page): Promise<void> => {
    const buffer = take();
    coming.add(page);
    let fits = false;
    try {
      const count = await file!.readLater(page.fileOffset, buffer.subarray(0, page.byteLength));
      // An update that came meanwhile may have written the page: then the checksum differs, and the
      // next update reads it itself.
      fits =
        !disposed && file!.matches(page.fileOffset, buffer.subarray(0, count), page.byteLength);
    } finally {
      coming.delete(page);
      if (fits) ahead.set(page, buffer);
      else buffers.push(buffer);
    }
  };

  return {
    get totalBytes() {
      return totalBytes;
    },
    get residentBytes() {
      return keptBytes + bufferBytes;
    },
    declare(declarations) {
      if (taken) throw storeTaken();
      assertUnique(declarations);
      taken = true;
      for (const declared of declarations) {
        const whole = new Map(
          declared.slots
            .filter(({ span }) => span === 'whole')
            .map((slot) => [slot.name, zeroSlot(slot)]),
        );
        const ranged = declared.slots.filter(({ span }) => span !== 'whole');
        entries.set(declared.parameter, {
          declared,
          ranged,
          whole,
          pages: pagesOf(declared.elements, ranged, pageBytes),
        });
        totalBytes += declared.slots.reduce((sum, slot) => sum + slotBytes(slot), 0);
        for (const array of whole.values()) keptBytes += array.byteLength;
      }
      const pages = [...entries.values()].flatMap((own) =>
        own.pages.map((page) => ({ page, ranged: own.ranged })),
      );
      largestPage = Math.max(0, ...pages.map(({ page }) => page.byteLength));
      const needed = keepResident(
        pages,
        residentBytes - keptBytes,
        (prefetchPages + 1) * largestPage,
      );
      keptBytes += pages.reduce((sum, { page }) => sum + (page.resident ? page.byteLength : 0), 0);
      if (needed > 0) file = openFile(needed);
    },
    declarations: () => [...entries.values()].map(({ declared }) => declared),
    whole: (parameter, slot) => entry(parameter).whole.get(slot) ?? unknownSlot(parameter, slot),
    visit(parameter, access, visitor, only) {
      const { pages: all, ranged } = entry(parameter);
      const pages = only
        ? all.filter(({ start, end }) => start < only.end && end > only.start)
        : all;
      if (pages.some((page) => !page.resident)) file!.assertPresent();
      for (const page of pages) {
        if (page.resident) {
          visitor(page.start, page.end, page.resident);
          continue;
        }
        const buffer = load(page);
        try {
          visitor(page.start, page.end, viewsOf(page, ranged, buffer));
          if (access === 'write') file!.write(page.fileOffset, buffer.subarray(0, page.byteLength));
        } finally {
          buffers.push(buffer);
        }
      }
    },
    async prefetch() {
      const streamed = [...entries.values()]
        .flatMap(({ pages }) => pages)
        .filter((page) => !page.resident && file!.has(page.fileOffset));
      const wanted = streamed
        .slice(0, prefetchPages)
        .filter((page) => !ahead.has(page) && !coming.has(page));
      await Promise.all(wanted.map(bring));
    },
    dispose() {
      file?.dispose();
      entries.clear();
      ahead.clear();
      buffers = [];
      bufferBytes = keptBytes = totalBytes = 0;
      disposed = true;
    },
  };
}

/** Splits a parameter's elements into pages of whole 256-blocks. */
function pagesOf(elements: number, ranged: readonly SlotSpec[], pageBytes: number): Page[] {
  if (ranged.length === 0) return [];
  const perBlock = ranged.reduce(
    (sum, slot) => sum + rangeLength(slot, 256) * (slot.dtype === 'F32' ? 4 : 1),
    0,
  );
  const step = 256 * Math.max(1, Math.floor(pageBytes / perBlock));
  const pages: Page[] = [];
  for (let start = 0; start < elements; start += step) {
    const end = Math.min(elements, start + step);
    const layout: number[] = [];
    let byteLength = 0;
    for (const slot of ranged) {
      layout.push(byteLength);
      byteLength +=
        Math.ceil((rangeLength(slot, end - start) * (slot.dtype === 'F32' ? 4 : 1)) / 4) * 4;
    }
    pages.push({ start, end, layout, byteLength, fileOffset: -1, resident: undefined });
  }
  return pages;
}

/**
 * Makes pages resident while they fit, the smallest first (they cost most reads and writes for
 * their bytes), and gives the others their places in the file. Returns the file's length; 0 when
 * all are resident.
 */
function keepResident(
  pages: readonly { page: Page; ranged: readonly SlotSpec[] }[],
  budget: number,
  buffers: number,
): number {
  const all = pages.reduce((sum, { page }) => sum + page.byteLength, 0);
  let left = all <= budget ? budget : budget - buffers;
  for (const { page, ranged } of [...pages].sort((a, b) => a.page.byteLength - b.page.byteLength)) {
    if (page.byteLength > left) break;
    left -= page.byteLength;
    page.resident = viewsOf(page, ranged, new Uint8Array(page.byteLength));
  }
  let fileOffset = 0;
  for (const { page } of pages) {
    if (page.resident) continue;
    page.fileOffset = fileOffset;
    fileOffset += page.byteLength;
  }
  return fileOffset;
}

function viewsOf(page: Page, ranged: readonly SlotSpec[], bytes: Uint8Array): StateArray[] {
  return ranged.map((slot, i) => {
    const length = rangeLength(slot, page.end - page.start);
    return slot.dtype === 'F32'
      ? new Float32Array(bytes.buffer, page.layout[i], length)
      : new Uint8Array(bytes.buffer, page.layout[i], length);
  });
}

const rangeLength = (slot: SlotSpec, elements: number): number =>
  Math.ceil(elements / (slot.span as number));
