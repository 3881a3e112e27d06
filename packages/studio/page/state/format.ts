/** Numbers, times and sizes as people read them. */

export function shortNumber(value: number | null | undefined): string {
  if (value === null || value === undefined || !Number.isFinite(value)) return '–';
  if (value === 0) return '0';
  const size = Math.abs(value);
  if (size >= 1e6)
    return value.toLocaleString('en', { notation: 'compact', maximumFractionDigits: 2 });
  if (size >= 1000) return Math.round(value).toLocaleString('en');
  if (size < 1e-3) return value.toExponential(2).replace('e-', 'e−');
  return String(Number(value.toPrecision(4)));
}

export const wholeNumber = (value: number): string => value.toLocaleString('en');

export const percent = (share: number): string => `${(share * 100).toFixed(1)} %`;

export function duration(seconds: number): string {
  if (seconds < 1) return 'under 1 s';
  if (seconds < 90) return `${Math.round(seconds)} s`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 90) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return `${hours} h ${minutes % 60} min`;
  return `${Math.round(hours / 24)} days`;
}

export function bytes(count: number): string {
  if (count < 1e6) return `${Math.round(count / 1e3)} kB`;
  if (count < 1e9) return `${Math.round(count / 1e6)} MB`;
  return `${(count / 1e9).toFixed(1)} GB`;
}

// to make one takes fifty times as long as to use it, and a list of runs has hundreds of moments
const MOMENTS = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium', timeStyle: 'short' });

export const moment = (atMs: number): string => MOMENTS.format(atMs);

/** A setting's value on one line. */
export const valueText = (value: unknown): string =>
  typeof value === 'string' ? value : (JSON.stringify(value) ?? '–');
