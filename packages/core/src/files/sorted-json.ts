/** The JSON of an adapter's files. */

/** As Python writes it: keys sorted, two spaces, only ASCII. */
export const sortedJson = (value: unknown, floatKeys: readonly string[] = []): string =>
  JSON.stringify(sorted(value), null, 2)
    .replace(/^( *"([^"]+)": -?\d+)(,?)$/gm, (line, number: string, key: string, comma: string) =>
      floatKeys.includes(key) ? `${number}.0${comma}` : line,
    )
    .replace(
      /[\u0080-\uffff]/g,
      (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`,
    );

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, item]) => [key, sorted(item)]),
  );
}
