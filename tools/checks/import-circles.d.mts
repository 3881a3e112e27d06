/** Files of one tangle, and a shortest circle in it, whose first file stands at the end again. */
export interface Tangle {
  readonly files: readonly string[];
  readonly circle: readonly string[];
}
export function importCircles(folder: string): Tangle[];
