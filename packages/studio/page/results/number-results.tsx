/** How far predicted numbers are off. */
import type { NumberReport } from '../../src/api-types.js';
import { shortNumber } from '../state/format.js';

const SIZE = 200;

export function NumberResults({ numbers }: { readonly numbers: NumberReport }) {
  const { points, mistakes } = numbers;
  const values = points.flatMap(({ actual, predicted }) => [actual, predicted]);
  const [least, most] = [Math.min(...values), Math.max(...values)];
  const place = (value: number): number => ((value - least) / (most - least || 1)) * SIZE;
  return (
    <>
      <figure class="chart">
        <figcaption>
          <span class="chart-title">Predicted beside actual</span>{' '}
          <span class="quiet">
            from {shortNumber(least)} to {shortNumber(most)}
          </span>
        </figcaption>
        <svg
          class="square"
          viewBox={`-4 -4 ${SIZE + 8} ${SIZE + 8}`}
          role="img"
          aria-label={`Predicted beside actual values of ${points.length} rows`}
        >
          <rect width={SIZE} height={SIZE} class="frame" />
          <line x1="0" y1={SIZE} x2={SIZE} y2="0" class="frame" />
          {points.map(({ actual, predicted }, at) => (
            <circle key={at} cx={place(actual)} cy={SIZE - place(predicted)} r="2.5" class="mark" />
          ))}
        </svg>
        <p class="help">right: actual; up: predicted</p>
      </figure>
      <h3>Farthest off</h3>
      <div class="wide" tabIndex={0} role="region" aria-label="Farthest off">
        <table class="rows">
          <thead>
            <tr>
              <th scope="col">text</th>
              <th scope="col" class="number">
                is
              </th>
              <th scope="col" class="number">
                predicted
              </th>
            </tr>
          </thead>
          <tbody>
            {mistakes.map(({ text, actual, predicted }, at) => (
              <tr key={at}>
                <td>{text}</td>
                <td class="number">{shortNumber(actual)}</td>
                <td class="number">{shortNumber(predicted)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </>
  );
}
