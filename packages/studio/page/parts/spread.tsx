/** A histogram, drawn small. */
import type { Histogram } from '../../src/api-types.js';
import { shortNumber } from '../state/format.js';

const HEIGHT = 48;
const WIDTH = 240;

export function Spread({ of, label }: { readonly of: Histogram; readonly label: string }) {
  const most = Math.max(...of.bars.map(({ count }) => count), 1);
  const width = WIDTH / of.bars.length;
  const said = `${label}: from ${shortNumber(of.least)} to ${shortNumber(of.most)}, mean ${shortNumber(of.mean)}`;
  return (
    <figure class="spread">
      <svg viewBox={`0 0 ${WIDTH} ${HEIGHT}`} role="img" aria-label={said}>
        {of.bars.map(({ count }, at) => (
          <rect
            key={at}
            x={at * width}
            width={Math.max(0.5, width - 1)}
            y={HEIGHT - (count / most) * HEIGHT}
            height={(count / most) * HEIGHT}
          />
        ))}
      </svg>
      <figcaption class="quiet">
        {shortNumber(of.least)} to {shortNumber(of.most)}, mean {shortNumber(of.mean)}
      </figcaption>
    </figure>
  );
}
