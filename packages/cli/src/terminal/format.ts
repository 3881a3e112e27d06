/** Numbers and tables for people. */

/** 122882 → `122,882`. */
export const count = (value: number): string => Math.round(value).toLocaleString('en-US');

/** 1234567 → `1.2 MB` (powers of ten, as files are sold). */
export function bytes(value: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB'];
  let size = value;
  let unit = 0;
  while (size >= 1000 && unit < units.length - 1) {
    size /= 1000;
    unit += 1;
  }
  return `${unit === 0 ? size : size.toFixed(size < 10 ? 2 : 1)} ${units[unit]}`;
}

/** 75 → `1m 15s`. */
export function duration(seconds: number): string {
  if (!Number.isFinite(seconds)) return '?';
  const whole = Math.max(0, Math.round(seconds));
  const [hours, minutes, rest] = [
    Math.floor(whole / 3600),
    Math.floor((whole % 3600) / 60),
    whole % 60,
  ];
  if (hours > 0) return `${hours}h ${String(minutes).padStart(2, '0')}m`;
  return minutes > 0 ? `${minutes}m ${String(rest).padStart(2, '0')}s` : `${rest}s`;
}

/** Rows as columns of equal width; numbers to the right. The first row is the head. */
export function table(rows: readonly (readonly (string | number)[])[]): string {
  const cells = rows.map((row) =>
    row.map((cell) => (typeof cell === 'number' ? count(cell) : cell)),
  );
  const widths = cells[0]!.map((_, column) =>
    Math.max(...cells.map((row) => row[column]?.length ?? 0)),
  );
  const isNumber = (column: number): boolean =>
    rows
      .slice(1)
      .every(
        (row) => typeof row[column] === 'number' || /^-?[\d.,]+( %)?$/.test(String(row[column])),
      );
  const line = (row: readonly string[]): string =>
    row
      .map((cell, column) =>
        isNumber(column) ? cell.padStart(widths[column]!) : cell.padEnd(widths[column]!),
      )
      .join('  ')
      .trimEnd();
  return [
    line(cells[0]!),
    widths.map((width) => '─'.repeat(width)).join('  '),
    ...cells.slice(1).map(line),
  ].join('\n');
}

/**
 * What trains and what a model takes, as AutoGluon's summary has it: 4 bytes an element, in units
 * of 10⁶ bytes.
 */
export function modelSummary(trainable: number, total: number): string {
  const megabytes = ((4 * total) / 1e6).toLocaleString('en-US', {
    minimumFractionDigits: 3,
    maximumFractionDigits: 3,
  });
  return table([
    ['parameters', ''],
    ['trainable', trainable],
    ['non-trainable', total - trainable],
    ['total', total],
    ['size in float32 (MB)', megabytes],
  ]);
}
