export const LIMITS: Readonly<
  Record<'line' | 'longLineShare' | 'longestLine' | 'file' | 'medianFile' | 'filesOfFolder', number>
>;
export function measureLines(
  root: string,
  files: readonly string[],
  data?: readonly string[],
): { readonly problems: string[]; readonly figures: Readonly<Record<string, number>> };
