export interface LongPart {
  readonly name: string;
  readonly covers: string;
  readonly command: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** Lines of the output that are kept. */
  readonly figures: RegExp;
  readonly platform?: NodeJS.Platform;
}
export const LONG_PARTS: readonly LongPart[];
