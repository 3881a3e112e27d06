/**
 * Which elements of which parameters make a page of a `deviceStateStore`.
 *
 * Small parameters share pages, so that an update is a few operations for hundreds of them; a large
 * one has pages of its own. Parameters of a group lie together: where a page has one learning rate
 * and one weight decay, its coefficients are scalars.
 */
import type { ParameterSlots } from './slots.js';

/** A run of elements of one parameter within a page. */
export interface Segment {
  readonly parameter: string;
  /** Elements of the parameter in all. */
  readonly elements: number;
  /** First and past the last of its elements that lie here; `start` is a multiple of 256. */
  readonly start: number;
  readonly end: number;
  /** Place of `start` in the page. */
  readonly offset: number;
}

/** Never empty; a page's pieces lie one after the other. */
export type PageSegments = readonly Segment[];

const BLOCK = 256;

/**
 * Divides the elements of all parameters into pages of at most `elements` (rounded down to blocks
 * of 256, at least one). The pages of a parameter that is divided follow each other.
 */
export function layOutPages(
  declarations: readonly ParameterSlots[],
  elements: number,
): PageSegments[] {
  const room = Math.max(1, Math.floor(elements / BLOCK)) * BLOCK;
  const pages: PageSegments[] = [];
  let open: Segment[] = [];
  let used = 0;
  let openGroup = '';
  const close = (): void => {
    if (used > 0) pages.push(open);
    open = [];
    used = 0;
  };
  for (const { declared, group } of byGroup(declarations)) {
    const { parameter, elements: size } = declared;
    if (size > room / 2) {
      const step = Math.ceil(size / Math.ceil(size / room) / BLOCK) * BLOCK;
      for (let start = 0; start < size; start += step)
        pages.push([
          { parameter, elements: size, start, end: Math.min(size, start + step), offset: 0 },
        ]);
    } else if (size > 0) {
      if (used + size > room || (group !== openGroup && used >= room / 4)) close();
      open.push({ parameter, elements: size, start: 0, end: size, offset: used });
      used += size;
      openGroup = group;
    }
  }
  close();
  return pages;
}

/** The groups in the order in which they appear, and each group's parameters in theirs. */
function byGroup(
  declarations: readonly ParameterSlots[],
): { declared: ParameterSlots; group: string }[] {
  const groups = new Map<string, ParameterSlots[]>();
  for (const declared of declarations) {
    const key = declared.group
      ? `${declared.group.learningRateScale}/${declared.group.weightDecay}`
      : '';
    const members = groups.get(key);
    if (members) members.push(declared);
    else groups.set(key, [declared]);
  }
  return [...groups].flatMap(([group, members]) =>
    members.map((declared) => ({ declared, group })),
  );
}
