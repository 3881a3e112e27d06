/** Counts as bars, with their numbers as text. */

interface BarChartProps {
  readonly label: string;
  /** What a whole bar stands for. Default: the greatest value. */
  readonly most?: number;
  readonly bars: readonly {
    readonly name: string;
    readonly value: number;
    readonly text?: string;
  }[];
}

export function BarChart({ label, bars, most: given }: BarChartProps) {
  const most = given ?? Math.max(...bars.map(({ value }) => value), Number.MIN_VALUE);
  return (
    <ul class="bar-list" aria-label={label}>
      {bars.map(({ name, value, text }, at) => (
        <li key={at}>
          <span class="bar-name">{name}</span>
          <meter value={value} max={most} aria-label={name} />
          <span class="bar-value">{text ?? value.toLocaleString('en')}</span>
        </li>
      ))}
    </ul>
  );
}
