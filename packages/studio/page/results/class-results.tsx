/** What a classifier takes for what. */
import type { ClassReport } from '../../src/api-types.js';
import { percent, wholeNumber } from '../state/format.js';
import { LineDrawing } from './line-drawing.js';

export function ClassResults({ classes }: { readonly classes: ClassReport }) {
  const { perClass, curves, mistakes } = classes;
  return (
    <>
      <Confusion classes={classes} />
      <h3>Each class</h3>
      <div class="wide" tabIndex={0} role="region" aria-label="Each class">
        <table>
          <thead>
            <tr>
              <th scope="col">class</th>
              {['precision', 'recall', 'F1', 'rows'].map((name) => (
                <th key={name} scope="col" class="number">
                  {name}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {perClass.map(({ label, precision, recall, f1, rows }) => (
              <tr key={label}>
                <th scope="row">{label}</th>
                {[precision, recall, f1].map((share, at) => (
                  <td key={at} class="number">
                    {percent(share)}
                  </td>
                ))}
                <td class="number">{wholeNumber(rows)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      {curves && (
        <div class="charts">
          <LineDrawing
            title="ROC curve"
            across={`share of other rows taken for ${curves.positive}`}
            up={`share of ${curves.positive} that is found`}
            said={`area ${curves.area.toFixed(3)}`}
            points={curves.roc.map(({ falsePositives, truePositives }) => [
              falsePositives,
              truePositives,
            ])}
          />
          <LineDrawing
            title="Calibration"
            across={`probability of ${curves.positive}`}
            up={`share that is ${curves.positive}`}
            said={curves.calibration
              .map(({ probability, share }) => `${percent(probability)}: ${percent(share)}`)
              .join(', ')}
            points={curves.calibration.map(({ probability, share }) => [probability, share])}
            hasMarks
          />
        </div>
      )}
      <h3>Surest mistakes</h3>
      {mistakes.length === 0 ? (
        <p class="quiet">There are none.</p>
      ) : (
        <div class="wide" tabIndex={0} role="region" aria-label="Surest mistakes">
          <table class="rows">
            <thead>
              <tr>
                <th scope="col">text</th>
                <th scope="col">is</th>
                <th scope="col">taken for</th>
                <th scope="col" class="number">
                  sure
                </th>
              </tr>
            </thead>
            <tbody>
              {mistakes.map(({ text, actual, predicted, probability }, at) => (
                <tr key={at}>
                  <td>{text}</td>
                  <td>{actual}</td>
                  <td>{predicted}</td>
                  <td class="number">{percent(probability)}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </>
  );
}

/** Shades of a cell, by its share of the row. */
const SHADES = 5;

function Confusion({ classes: { labels, confusion } }: { readonly classes: ClassReport }) {
  return (
    <>
      <h3>Confusion matrix</h3>
      <div class="wide" tabIndex={0} role="region" aria-label="Confusion matrix">
        <table class="confusion">
          <caption>Rows are what a text is, columns what it is taken for.</caption>
          <thead>
            <tr>
              <td />
              {labels.map((label) => (
                <th key={label} scope="col">
                  {label}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {labels.map((label, actual) => {
              const total = confusion[actual]!.reduce((sum, count) => sum + count, 0);
              return (
                <tr key={label}>
                  <th scope="row">{label}</th>
                  {confusion[actual]!.map((count, predicted) => (
                    <td
                      key={predicted}
                      class={predicted === actual ? 'number right' : 'number wrong'}
                      data-shade={count === 0 ? 0 : Math.ceil((SHADES * count) / total)}
                    >
                      {count}
                    </td>
                  ))}
                </tr>
              );
            })}
          </tbody>
        </table>
      </div>
    </>
  );
}
