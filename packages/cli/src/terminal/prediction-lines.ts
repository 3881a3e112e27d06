/** Predictions for people: what was predicted, and beside it what it was predicted for. */

export type PredictionRow = Readonly<Record<string, unknown>>;

/** Shortest part of an input that is worth showing. */
const SHORTEST_INPUT = 20;

/**
 * A line per row: label, probabilities if there are some, tags or text.
 * @param inputs what each row was predicted for; undefined where another program reads the lines.
 * @param columns width of the terminal.
 */
export function predictionLines(
  rows: readonly PredictionRow[],
  inputs: readonly string[] | undefined,
  columns: number,
): string[] {
  const shown = rows.map(predictionText);
  if (!inputs || rows.some((row) => 'embedding' in row)) return shown;
  if (rows.some((row) => 'text' in row))
    return rows.length === 1
      ? shown
      : shown.flatMap((text, row) => [`--- ${oneLine(inputs[row]!, columns - 4)}`, text]);
  const width = Math.max(...shown.map((text) => text.length));
  const room = Math.max(SHORTEST_INPUT, columns - width - 2);
  return shown.map((text, row) => `${text.padEnd(width)}  ${oneLine(inputs[row]!, room)}`);
}

function predictionText(row: PredictionRow): string {
  if ('probabilities' in row) {
    const probabilities = Object.entries(row['probabilities'] as Record<string, number>);
    const words = probabilities.map(([name, value]) => `${name}=${value.toFixed(4)}`);
    return `${labelText(row)}\t${words.join(' ')}`;
  }
  if ('tags' in row) return (row['tags'] as readonly string[]).join(' ');
  if ('embedding' in row) return JSON.stringify(row);
  if ('score' in row) return (row['score'] as number).toFixed(4);
  return 'text' in row ? String(row['text']) : labelText(row);
}

/** A label, or all that a row has, a dash for none. */
const labelText = ({ label, labels }: PredictionRow): string =>
  Array.isArray(labels) ? labels.join(', ') || '—' : String(label);

/** The beginning of a text, on one line. */
export function oneLine(text: string, width: number): string {
  const line = text.replace(/\s+/g, ' ').trim();
  return line.length <= width ? line : `${line.slice(0, Math.max(1, width - 1)).trimEnd()}…`;
}
