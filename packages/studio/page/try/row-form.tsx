/** A row through a predictor: classes as bars, anything else as text. */
import { useState } from 'preact/hooks';
import type { OpenModel, TriedRow } from '../../src/api-types.js';
import { BarChart } from '../parts/bar-chart.js';
import { FailureNote } from '../parts/failure-note.js';
import { post } from '../state/api.js';
import { percent } from '../state/format.js';

export function RowForm({ model }: { readonly model: OpenModel & { readonly kind: 'predictor' } }) {
  const [row, setRow] = useState<Readonly<Record<string, string>>>({});
  const [result, setResult] = useState<TriedRow>();
  const [failure, setFailure] = useState<Error>();
  const [isBusy, setIsBusy] = useState(false);
  const ask = async (): Promise<void> => {
    setIsBusy(true);
    setFailure(undefined);
    try {
      setResult(await post<TriedRow>('/api/try/predict', { row }));
    } catch (error) {
      setFailure(error as Error);
    } finally {
      setIsBusy(false);
    }
  };
  const isWhole = model.inputs.every((name) => (row[name] ?? '').trim() !== '');
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        void ask();
      }}
    >
      {model.inputs.map((name) => (
        <div class="field" key={name}>
          <label for={`try-${name}`}>{name}</label>
          <textarea
            id={`try-${name}`}
            rows={3}
            value={row[name] ?? ''}
            onInput={({ currentTarget }) => setRow({ ...row, [name]: currentTarget.value })}
            onKeyDown={(event) => {
              if (event.key === 'Enter' && (event.ctrlKey || event.metaKey) && isWhole) void ask();
            }}
          />
        </div>
      ))}
      <p>
        <button type="submit" class="main" disabled={isBusy || !isWhole}>
          Try
        </button>
      </p>
      <FailureNote failure={failure} />
      <div role="status" aria-label="Answer">
        {result?.probabilities && (
          <BarChart
            label="Probabilities"
            most={1}
            bars={result.probabilities.map(({ label, probability }) => ({
              name: label,
              value: probability,
              text: percent(probability),
            }))}
          />
        )}
        {result?.answer !== undefined && <p class="answer">{result.answer}</p>}
      </div>
    </form>
  );
}
