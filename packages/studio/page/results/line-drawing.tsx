/** A line in a square from 0 to 1, beside the diagonal. */

const SIZE = 200;

interface LineDrawingProps {
  readonly title: string;
  /** What goes to the right. */
  readonly across: string;
  /** What goes up. */
  readonly up: string;
  /** The same in words. */
  readonly said: string;
  readonly points: readonly (readonly [x: number, y: number])[];
  readonly hasMarks?: boolean;
}

export function LineDrawing({ title, across, up, said, points, hasMarks }: LineDrawingProps) {
  const placed = points.map(([x, y]) => [x * SIZE, SIZE - y * SIZE] as const);
  return (
    <figure class="chart">
      <figcaption>
        <span class="chart-title">{title}</span> <span class="quiet">{said}</span>
      </figcaption>
      <svg
        class="square"
        viewBox={`-1 -1 ${SIZE + 2} ${SIZE + 2}`}
        role="img"
        aria-label={`${title}: ${said}`}
      >
        <rect width={SIZE} height={SIZE} class="frame" />
        <line x1="0" y1={SIZE} x2={SIZE} y2="0" class="frame" />
        <polyline points={placed.map((point) => point.join(',')).join(' ')} class="line" />
        {hasMarks && placed.map(([x, y]) => <circle key={x} cx={x} cy={y} r="3" class="mark" />)}
      </svg>
      <p class="help">
        right: {across}; up: {up}
      </p>
    </figure>
  );
}
