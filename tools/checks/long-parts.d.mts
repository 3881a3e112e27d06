export interface LongPart {
  readonly name: string;
  readonly covers: string;
  readonly command: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
}
export const LONG_PARTS: readonly LongPart[];
